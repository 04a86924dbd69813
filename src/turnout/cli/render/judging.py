"""What other gates would have decided: a table of each stage, and a sentence for each gate."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from turnout.cli.render.words import VERDICT_STYLES, count, moment, number, spaced, span, table, verdict_text
from turnout.domain.rejudged import RejudgedGate, RejudgedStage, Rejudgement

_NONE = "–"
_WIDEST = 30
"""Characters of a gate's name in the table; the sentences have it in full."""


def judgement_view(found: Rejudgement) -> RenderableType:
    """Every stage the rollout went through: a table, the sentences, and the numbers at its end."""
    parts: list[RenderableType] = [Text(f"{found.flag}: rollout {found.rollout_id} by other gates", style="bold")]
    for stage in found.stages:
        parts += [Text(""), *map(Text, _heading(found, stage)), _table(stage), *_sentences(stage)]
    return Group(*parts)


def _heading(found: Rejudgement, stage: RejudgedStage) -> Iterator[str]:
    reported = count(stage.outcomes, "outcome")
    lasted = f"{moment(stage.since)} for {span(stage.until - stage.since)}"
    yield f"Stage {stage.stage + 1} ({stage.name}), {lasted}, {reported}"
    if stage.every > found.check_every:
        often, wanted = span(stage.every), span(found.check_every)
        yield f"asked {count(stage.looks, 'time')}, every {often} instead of every {wanted}: times are that coarse"


def _table(stage: RejudgedStage) -> Table:
    grid = table(
        "gate", "first pass", "first fail", "at the end", "value", "rollout", right=("first pass", "first fail")
    )
    for gate in stage.gates:
        end = Text("not asked", style="dim") if gate.final is None else verdict_text(gate.final.verdict)
        grid.add_row(
            _short(gate.gate),
            _NONE if gate.passed_after is None else span(gate.passed_after),
            _NONE if gate.failed_after is None else span(gate.failed_after),
            end,
            number(gate.final.value if gate.final else None),
            _NONE if gate.rollout is None else verdict_text(gate.rollout),
        )
    return grid


def _short(name: str) -> str:
    return name if len(name) <= _WIDEST else name[: _WIDEST - 1] + "…"


def _sentences(stage: RejudgedStage) -> Iterator[Text]:
    for gate in stage.gates:
        yield Text(gate.text, style=_style(gate))
        if gate.final is not None:
            yield Text(f"    {spaced(gate.final.verdict)}: {gate.final.text}", style="dim")


def _style(gate: RejudgedGate) -> str:
    return "dim" if gate.final is None else VERDICT_STYLES[gate.final.verdict]
