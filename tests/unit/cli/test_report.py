"""The report on a rollout, for a terminal and as a page."""

from __future__ import annotations

from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest

from tests.unit.analysis.judging import rate
from tests.unit.cli.builders import START, check, plan
from turnout.analysis.judge import judge
from turnout.cli.render import plots
from turnout.cli.render.plan import plan_view
from turnout.cli.render.report import report_view
from turnout.cli.render.report_page import page
from turnout.cli.render.svg import Scale, element
from turnout.cli.session import plain
from turnout.domain.experiments import EXPERIMENT, Experiment, ExperimentResult, MetricUnderTest
from turnout.domain.plan import Gate
from turnout.domain.readings import ExperimentReading
from turnout.domain.reporting import Arrival, Change, Report
from turnout.domain.rollout import State

ARMS = {"new": 30_000, "<b>": 30_000, "old": 40_000}


def found(sample: int = 1500) -> ExperimentResult:
    """The result of a test of three arms in which new wins."""
    metric = MetricUnderTest(metric="success_rate", better="higher", smallest_effect=0.05)
    trial = Experiment(control="old", arms=ARMS, metrics=(metric,), sample=sample)
    arms = {"new": rate(420, 450), "<b>": rate(400, 450), "old": rate(500, 600)}
    reading = ExperimentReading({"success_rate": arms}, {arm: stats.units for arm, stats in arms.items()})
    result = judge(Gate(metric=EXPERIMENT, experiment=trial), "gate", reading).experiment
    assert result is not None
    return result


def report(result: ExperimentResult | None, **more: Any) -> Report:
    """A report on a rollout that had all arms for a day and then returned."""
    changes = (
        Change(at=START, kind="started", actor="ann", text="started by ann", share=0.3, weights=ARMS),
        Change(at=START + timedelta(days=1), kind="returned", actor="turnout", text="gates pass", share=0.0),
    )
    fields: dict[str, Any] = {
        "flag": "engine",
        "rollout_id": "r1",
        "strategy": "multivariate",
        "state": State.COMPLETED,
        "candidate": "new",
        "stable": "old",
        "started_by": "ann",
        "started_at": START,
        "ended_at": START + timedelta(days=1),
        "at": START + timedelta(days=2),
        "summary": "completed & done",
        "experiment": result,
        "checks": (check(),),
        "changes": changes,
        "arrivals": (
            Arrival(at=START, users={"new": 100, "old": 120}),
            Arrival(at=START + timedelta(hours=1), users={"<b>": 90}),
        ),
    }
    return Report(**(fields | more))


class _Balance(HTMLParser):
    """Collects texts, and fails on an element that is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        assert not [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "!doctype"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def parsed(html: str) -> _Balance:
    """The page, read by a parser that is strict about what is open."""
    parser = _Balance()
    parser.feed(html)
    assert parser.open == []
    return parser


def test_the_terminal_tells_the_recommendation_and_the_arms() -> None:
    """Recommendation with its confidence, a row an arm with effect and interval, the decisions."""
    text = plain(report_view(report(found())))
    assert "engine: multivariate completed" in text
    assert "deploy new (" in text
    row = next(line.split() for line in text.splitlines() if line.startswith("new "))
    assert row[:4] == ["new", "450", "450", "93.33"]
    assert row[-1] == "better"
    assert "correction: dunnett" in text
    assert "gates pass" in text


def test_a_test_that_waits_shows_no_effect() -> None:
    """Before the planned look there is the sample, and no number to be tempted by."""
    text = plain(report_view(report(found(sample=5000), state=State.RUNNING, ended_at=None)))
    assert "no recommendation yet: 1,500 of 5,000 planned users" in text
    assert "better" not in text.replace("higher is better", "")


def test_a_rollout_without_a_test() -> None:
    """Any rollout has a report: its checks and decisions."""
    text = plain(report_view(report(None, strategy="canary")))
    assert "success_rate ≥ 0.95" in text
    assert parsed(page(report(None))).seen.count("svg") == 2


def test_the_page_is_whole() -> None:
    """One page: an effect plot a metric, shares and users over time, names escaped, nothing from elsewhere."""
    html = page(report(found()))
    parser = parsed(html)
    assert parser.seen.count("svg") == 3
    assert {"<b>", "new", "old", "completed & done"} <= {text.strip() for text in parser.texts}
    assert "script" not in parser.seen
    assert "http" not in html
    assert "Deploy new" in html


def test_plots_of_nothing_are_left_out() -> None:
    """Without an effect, traffic or users there is no picture."""
    empty = report(None, changes=(), arrivals=())
    assert plots.shares(empty) == plots.users(empty) == ""
    assert plots.effects(found(sample=5000).metrics[0]) == ""


def test_an_effect_is_drawn_where_it_is() -> None:
    """The interval's ends are as far apart as the scale says, and zero lies where it should."""
    result = found().metrics[0]
    picture = plots.effects(result)
    assert picture.count("<circle") == 2
    assert 'class="zero"' in picture
    assert "smallest effect" in picture


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (-0.03, 0.05, [-0.02, 0, 0.02, 0.04]), (5, 5, [5])],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    """Round numbers within the scale."""
    assert Scale(low, high, 0, 100).ticks() == pytest.approx(ticks)


def test_attributes_are_escaped() -> None:
    """Whatever a name holds stays a value."""
    assert element("text", x=1.50, class_='a"b') == '<text x="1.5" class="a&quot;b"/>'


def test_a_plan_shows_its_arms() -> None:
    """The plan of a test tells its sample, its arms, whom it includes and what follows."""
    metric = {"metric": "success_rate", "baseline": 0.9, "smallest_effect": 0.02}
    strategy = {"kind": "ab_test", "metrics": [metric], "exposure": 20, "looks": [0.5, 1], "ship_winner": {}}
    text = plain(plan_view(plan(strategy=strategy), START))
    assert "ab test of answer-engine: lightrag versus perplexity, 6,426 users, 28d at the most" in text
    assert "Arms: lightrag 50 %, perplexity 50 % of 20 % of all users." in text
    assert "After a winner: everybody gets perplexity; then a gradual rollout ships it." in text
    assert "from 6,426 users of all arms; error rate 0.05, power 0.8; looks at 50 %, 100 % of the sample" in text


def test_a_report_has_the_name_of_its_rollout() -> None:
    """As people call it, whatever characters that takes."""
    named = report(None, name="<spring>")
    assert "engine: multivariate “<spring>” completed" in plain(report_view(named))
    assert "engine: multivariate “&lt;spring&gt;” completed" in page(named)
