"""turnout analyse: the statistics of recorded outcomes, from a file or a pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from turnout.cli.command import command
from turnout.cli.failures import ExitCode, need_statistics
from turnout.cli.render.analysis import study_view
from turnout.cli.session import Session
from turnout.cli.written import fractions_of, numbers_of

if TYPE_CHECKING:
    from turnout.analysis.study.metrics import Metric
    from turnout.analysis.study.outcomes import Outcomes
    from turnout.analysis.study.question import Question
    from turnout.analysis.study.result import Finding

DATA, SURE, MORE = "Columns", "How it is judged", "More questions"

SourceArgument = Annotated[
    str, typer.Argument(metavar="FILE", help="CSV, JSON lines or Parquet, one outcome a row; - reads standard input.")
]
UnitOption = Annotated[str, typer.Option("--unit", help="The column of the user.", rich_help_panel=DATA)]
ArmOption = Annotated[str, typer.Option("--arm", help="The column of the variant.", rich_help_panel=DATA)]
ControlOption = Annotated[
    str, typer.Option("--control", help="The arm all others are compared with.", rich_help_panel=DATA)
]
MetricOption = Annotated[
    list[str],
    typer.Option(
        "--metric",
        metavar="NAME[:KIND][LIMIT][:BETTER]",
        help="A column, mean (the default), rate or pNN, <= or >= a limit, higher or lower is better. Repeatable.",
        rich_help_panel=DATA,
    ),
]
IdentityOption = Annotated[
    str, typer.Option("--id", help="The column that names an outcome; repetitions are dropped.", rich_help_panel=DATA)
]
TimeOption = Annotated[
    str, typer.Option("--time", help="The column of the time, to tell when it was decided.", rich_help_panel=DATA)
]
SharesOption = Annotated[
    str,
    typer.Option("--shares", metavar="ARM=SHARE,...", help="The planned split. [equal]", rich_help_panel=SURE),
]
ConfidenceOption = Annotated[float, typer.Option("--confidence", help="Of two-sided intervals.", rich_help_panel=SURE)]
MethodOption = Annotated[
    Literal["fixed", "anytime", "both"],
    typer.Option("--method", help="Right for one planned look, or at every look.", rich_help_panel=SURE),
]
MarginOption = Annotated[
    list[str] | None,
    typer.Option(
        "--margin", metavar="METRIC=NUMBER", help="How much worse is allowed. Repeatable.", rich_help_panel=SURE
    ),
]
RatioOption = Annotated[
    list[str] | None,
    typer.Option(
        "--ratio", metavar="METRIC=FACTOR", help="How many times as bad is allowed. Repeatable.", rich_help_panel=SURE
    ),
]
CorrectionOption = Annotated[
    Literal["holm", "bh", "none"],
    typer.Option("--correction", help="Of p-values, over metrics and arms.", rich_help_panel=SURE),
]
TestOption = Annotated[
    Literal["welch", "mann-whitney"], typer.Option("--test", help="Of means at this look.", rich_help_panel=SURE)
]
PowerOption = Annotated[
    float, typer.Option("--power", help="At which the smallest detectable effect is told.", rich_help_panel=SURE)
]
CovariateOption = Annotated[
    str,
    typer.Option("--covariate", help="A column from before the exposure, to take noise out.", rich_help_panel=MORE),
]
SegmentOption = Annotated[
    str, typer.Option("--segment", help="A column to show effects by; picks no winner.", rich_help_panel=MORE)
]
LooksOption = Annotated[
    str, typer.Option("--looks", metavar="SHARE,...", help="The planned looks: 0.25,0.5,0.75,1.", rich_help_panel=MORE)
]
SpendingOption = Annotated[
    Literal["obrien_fleming", "pocock"],
    typer.Option("--spending", help="How the looks spend the error rate.", rich_help_panel=MORE),
]
PlannedOption = Annotated[
    int, typer.Option("--planned-units", help="Users planned for all arms together.", rich_help_panel=MORE)
]


def add_to(app: typer.Typer, panel: str) -> None:
    """Add the command of this file to ``app``."""
    command(app, "analyse", panel)(analyse)


def analyse(  # noqa: PLR0913 - one parameter an option
    session: Session,
    source: SourceArgument,
    unit: UnitOption,
    arm: ArmOption,
    control: ControlOption,
    metric: MetricOption,
    identity: IdentityOption = "",
    time: TimeOption = "",
    shares: SharesOption = "",
    confidence: ConfidenceOption = 0.95,
    method: MethodOption = "both",
    margin: MarginOption = None,
    ratio: RatioOption = None,
    correction: CorrectionOption = "holm",
    test: TestOption = "welch",
    power: PowerOption = 0.8,
    covariate: CovariateOption = "",
    segment: SegmentOption = "",
    looks: LooksOption = "",
    spending: SpendingOption = "obrien_fleming",
    planned_units: PlannedOption = 0,
) -> ExitCode:
    """Analyse recorded outcomes: is an arm better or worse than the control, by how much, and how sure is that?

    Needs no API and changes nothing. The exit code is 1 when the users are not split as planned, or when a limit,
    margin or ratio is shown to be broken; whether to go on is yours to decide.
    """
    need_statistics("analyse")
    from turnout.analysis.study.metrics import parse_metric
    from turnout.analysis.study.question import Question
    from turnout.cli.recorded.files import outcomes_of
    from turnout.cli.recorded.wanted import Wanted

    metrics = tuple(parse_metric(text) for text in metric)
    question = Question(
        metrics=metrics,
        control=control,
        shares=numbers_of("--shares", shares.split(",") if shares else (), "stable=0.95,candidate=0.05"),
        confidence=confidence,
        method=method,
        margins=_by_label("--margin", margin or (), metrics),
        ratios=_by_label("--ratio", ratio or (), metrics),
        correction=correction,
        test=test,
        power=power,
        looks=fractions_of("--looks", looks),
        spending=spending,
        planned_units=planned_units,
        segment=segment,
    )
    columns = tuple(dict.fromkeys(one.column for one in metrics))
    rates = frozenset(one.column for one in metrics if one.kind == "rate")
    wanted = Wanted(unit, arm, columns, rates, covariate, segment, time, identity)
    return _answered(session, outcomes_of(source, wanted), question)


def _by_label(option: str, written: list[str] | tuple[str, ...], metrics: tuple[Metric, ...]) -> dict[str, float]:
    """Numbers by the labels of metrics; a column stands for its only metric without a limit."""
    labels: dict[str, float] = {}
    for name, value in numbers_of(option, written, f"{metrics[0].label}=0.02").items():
        compared = [metric.label for metric in metrics if metric.limit is None and metric.column == name]
        labels[compared[0] if len(compared) == 1 else name] = value
    return labels


def _answered(session: Session, outcomes: Outcomes, question: Question) -> ExitCode:
    from turnout.analysis.study.run import study

    found = study(outcomes, question)
    session.answer(found.model_dump(mode="json"), study_view(found))
    return ExitCode.OK if found.comparable and not any(map(_broken, found.findings)) else ExitCode.NEGATIVE


def _broken(finding: Finding) -> bool:
    asked = finding.requirement
    return asked is not None and any(one is not None and one.status == "broken" for one in (asked.fixed, asked.anytime))
