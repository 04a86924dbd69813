"""The simulations of the decisions at a tiny scale: what a broken decision function would break by far."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from benchmarks.decisions import (
    clustered_limits,
    concluded,
    horizon,
    late_onset,
    limits,
    mean_limits,
    noninferiority,
    other_metrics,
    page,
    plots,
    policy,
    ramp,
    rare_errors,
    rules,
    split,
)
from benchmarks.decisions.figures import median, quantile, share
from benchmarks.decisions.result import Result, load, save
from benchmarks.decisions.run import Run, Size
from benchmarks.decisions.traffic import Habits, as_stored, clustered, crowd, normals
from benchmarks.report import Section
from turnout.analysis.clusters import sums_of, unit_squares
from turnout.analysis.evidence import Floats
from turnout.analysis.onset import LEAD, first_error_onset

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with Run(jobs=1, seed=11) as serial:
        yield serial


def never_more(flags: Floats, alpha: float) -> None:
    """At most ``alpha`` and five Monte-Carlo errors."""
    assert flags.mean() <= alpha + 5 * math.sqrt(alpha * (1 - alpha) / flags.size)


def found(drawn: Mapping[str, Floats], rule: str) -> Floats:
    return np.isfinite(drawn[rule]).astype(np.float64)


def test_rare_errors(run: Run) -> None:
    """Errors by arm keep α where the naive rule does not, and find a threefold rate in a few hundred requests."""
    same = run.repeat(rare_errors.simulate, Size(150, 50), "same", 0.01, 0.05)
    never_more(found(same, "**errors by arm**"), 0.05)
    never_more(found(same, "confidence sequence of the difference"), 0.05)
    assert found(same, "naive z at each look").mean() > 0.2
    worse = run.repeat(rare_errors.simulate_one, Size(100, 50), "worse", 0.03, 0.05)
    assert 150 < median(worse["found"]).value < 500


@pytest.mark.parametrize(("metric", "most"), [("quality", 80), ("satisfaction", 80), ("latency", 300), ("cost", 900)])
def test_other_metrics(run: Run, metric: str, most: float) -> None:
    """Each of the other metrics keeps α, where a plain z test does not, and finds its change."""
    same = run.repeat(other_metrics.simulate, Size(100, 20), metric, metric, False)
    rule = "exceedances by arm" if metric == "latency" else "confidence sequence"
    never_more(found(same, rule), 0.05)
    assert found(same, "naive z").mean() > 0.1
    worse = run.repeat(other_metrics.simulate, Size(60, 20), metric, metric, True)
    assert median(worse[rule]).value < most


@pytest.mark.parametrize("rate", [0.05, 0.06])
def test_absolute_limits(run: Run, rate: float) -> None:
    """At the limit the absolute gate passes at most α, also where it is asked at every outcome."""
    table = limits.decisions()
    drawn = run.repeat(limits.simulate, Size(150, 50), "limits", rate, *table)
    never_more(found(drawn, "pass"), 0.05)
    assert found(drawn, "point").mean() > 0.4
    if rate == 0.05:
        never_more(found(drawn, "fail"), 0.05)
        assert found(drawn, "wilson").mean() > 0.25
    good = run.repeat(limits.simulate, Size(50, 50), "good", 0.01, *table)
    assert median(good["pass"]).value < 300


def test_clustered_limit(run: Run) -> None:
    """At the limit, with users who send all in one go, the larger design effect keeps α and independence does not."""
    drawn = run.repeat(clustered_limits.simulate, Size(40, 20), "clustered", 0.3, "session", 0.05, 0.05)
    never_more(found(drawn, "larger effect pass"), 0.05)
    never_more(found(drawn, "larger effect fail"), 0.05)
    assert found(drawn, "per request pass").mean() > 0.3


@pytest.mark.parametrize("name", list(mean_limits.CASES)[:4])
def test_skewed_limit(run: Run, name: str) -> None:
    """A skewed mean exactly at its limit passes at most α, also where stable is of half the scale; alone far more."""
    drawn = run.repeat(mean_limits.simulate, Size(40, 40), name, name, 1.0)
    never_more(found(drawn, "decided pass"), 0.05)
    never_more(found(drawn, "decided fail"), 0.05)
    assert found(drawn, "alone pass").mean() > found(drawn, "decided pass").mean() + 0.05


@pytest.mark.parametrize(("worse", "least"), [(False, 0), (True, 12)])
def test_the_code_that_decides(worse: bool, least: int) -> None:
    """`conclude` comes to the verdicts of the arrays at every look, on good candidates and on bad ones."""
    drawn = concluded.simulate(np.random.default_rng(4), 1, policy.SHAPES["few"], worse, every=12)
    assert drawn["verdicts"].tolist() == [40]
    assert drawn["apart"].tolist() == [0]
    assert least <= drawn["fails"][0] <= (40 if worse else 0)


def test_ramp(run: Run) -> None:
    """A drift of both arms along a ramp does not count against the candidate; pooling over stages would."""
    drawn = run.repeat(ramp.simulate, Size(400, 200), "ramp", True)
    never_more(drawn["**errors by arm, each with the share at its time**"], 0.05)
    assert drawn["pooled confidence sequence, each minute"].mean() > 0.9


def test_late_onset(run: Run) -> None:
    """Trouble after two hours is found in less than half of the time that a cumulative test takes."""
    drawn = run.repeat(late_onset.simulate, Size(24, 12), "late", 120)
    assert median(drawn["lead"]).value - 120 < 20
    assert median(drawn["cumulative"]).value - 120 > 22
    same = run.repeat(late_onset.simulate, Size(40, 20), "never", 200)
    never_more(found(same, "lead"), 0.05)


def test_onset_of_many_looks_is_that_of_each(run: Run) -> None:
    """All looks at once are what `first_error_onset` says at each of them."""
    random = np.random.default_rng(3)
    ours, theirs = random.poisson(1.0, 30), random.poisson(10.0, 30)
    counts = (np.cumsum(arm).astype(np.float64) for arm in (ours, theirs))
    looks = rules.log_onset_looks(*counts, 0.05, LEAD)
    for look in (0, 7, 29):
        one = first_error_onset(ours[: look + 1], theirs[: look + 1], 0.05, "fail", 30)
        assert looks[look] == pytest.approx(one.log_e, rel=1e-9, abs=1e-9)


def test_split(run: Run) -> None:
    """A split of 3 instead of 5 % is seen in some thousand users, and a right one is not accused."""
    broken = run.repeat(split.simulate, Size(100, 50), "broken", 0.05, 0.03)
    assert 1000 < median(broken["k = 1000"]).value < 4000
    right = run.repeat(split.simulate, Size(200, 100), "right", 0.05, 0.05)
    never_more(found(right, "k = 1000"), 0.001)


def test_guarded_horizon(run: Run) -> None:
    """With a large stable arm summed in clusters a small candidate does not look better more often than α."""
    case = horizon.Case(0.01, (100, 9900), (0.0, 0.0, 0.0))
    drawn = run.repeat(horizon.simulate, Size(200, 50), "horizon", case)
    never_more(drawn["guarded better"], 0.05)
    assert drawn["delta better"].mean() > 0.1
    assert drawn["naive"].mean() > 0.25


def test_noninferiority(run: Run) -> None:
    """A candidate exactly at the margin passes at most α, an equal one passes."""
    edge = run.repeat(noninferiority.simulate_rates, Size(50, 25), "edge", 0.05, 1.5, 1.5)
    never_more(found(edge, "found"), 0.05)
    equal = run.repeat(noninferiority.simulate_rates, Size(25, 25), "equal", 0.05, 1.5, 1.0)
    assert median(equal["found"]).value < 2000


def test_policy(run: Run) -> None:
    """Five metrics on clustered traffic: a good candidate stays, a bad one is taken back, a naive rule fails."""
    shape = policy.SHAPES["few"]
    same = run.repeat(policy.simulate, Size(16, 8), "same", shape, None)
    back = np.any([np.isfinite(same[f"{metric} minute"]) for metric in policy.METRICS], axis=0).astype(np.float64)
    never_more(back, 0.05)
    assert same["naive"].mean() > 0.5
    worse = run.repeat(policy.simulate, Size(12, 6), "worse", shape, "quality")
    assert median(worse["quality requests"]).value < 250


def test_bundled_sums_are_those_of_users() -> None:
    """Summing users in clusters changes neither totals nor, within its noise, the squares over single users."""
    random = np.random.default_rng(5)
    traffic = crowd(random, Habits(5_000, 1.2), 100_000, 2, 0.05)
    values = normals(random, traffic, 0.3)
    for one, two in zip(clustered(traffic, values), clustered(traffic, values, bundle=False), strict=True):
        assert one.total == pytest.approx(two.total)
        assert one.units == pytest.approx(two.units)
        assert unit_squares(one) == pytest.approx(unit_squares(two), rel=0.3)
    stored = as_stored(random, np.full(50, 20), np.ones(50), 50.0)
    assert float(unit_squares(sums_of(stored))) == pytest.approx(50 * 400, rel=0.3)


def test_same_seed_same_figures() -> None:
    """The figures follow from the seed, not from the number of processes."""
    with Run(jobs=1) as one, Run(jobs=2) as two:
        alone, together = (each.repeat(split.simulate, Size(40, 20), "x", 0.05, 0.05) for each in (one, two))
    assert all(np.array_equal(alone[rule], together[rule]) for rule in alone)


def test_figures() -> None:
    """A share has a binomial error, never 0; a quantile of paths without a detection is shown as none."""
    assert str(share(np.zeros(100), 0.01)).endswith("[1 %]")
    assert share(np.zeros(100)).error > 0
    assert quantile(np.array([1.0, 2.0, 3.0, math.inf]), 0.5).value == 2
    assert str(quantile(np.array([1.0, math.inf, math.inf]), 0.5, 30)) == "– [30]"


def test_results_survive_keeping(tmp_path: Path) -> None:
    """What is kept of a table is read again as it was."""
    result = Result(Section("t", "m", ["a"], [["1"]]), {"x": [1.0]}, [])
    save({"ramp": result}, 0.5, "here", tmp_path / "f.json")
    assert load(tmp_path / "f.json") == ({"ramp": result}, 0.5, "here")


def test_page_is_written_from_the_figures(tmp_path: Path) -> None:
    """docs/decisions.md and its plots are what the kept figures give, so that no number in it was typed."""
    results, scale, machine = load(DOCS / "decisions" / "figures.json")
    assert (DOCS / "decisions.md").read_text() == page.written(results, scale, machine)
    plots.draw(results, tmp_path)
    for plot in plots.PLOTS:
        assert (tmp_path / f"{plot.file}.svg").is_file()
        assert (DOCS / "decisions" / f"{plot.file}.svg").is_file()
    assert json.loads((DOCS / "decisions" / "figures.json").read_text())["scale"] >= 1


def test_requirements_hold() -> None:
    """No requirement on error rates or delays is broken in the kept figures."""
    results, _, _ = load(DOCS / "decisions" / "figures.json")
    assert [one.what for result in results.values() for one in result.requirements if not one.holds] == []
