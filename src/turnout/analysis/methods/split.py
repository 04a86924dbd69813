"""Is the traffic split as planned? Where it is not, comparisons of the arms mean nothing."""

from __future__ import annotations

from turnout.analysis import srm, wording
from turnout.analysis.intervals import Interval
from turnout.analysis.methods.finding import Finding
from turnout.analysis.policy import Alphas
from turnout.domain.plan import Gate
from turnout.domain.readings import SplitReading
from turnout.domain.verdicts import Verdict

METHOD = "Dirichlet-multinomial sample-ratio test"


def judged(gate: Gate, reading: SplitReading, alphas: Alphas) -> Finding:
    """Hold the numbers of users against the planned shares; the first variant with a share is the one that is shown."""
    names = [
        name for name in {**reading.shares, **reading.units} if reading.shares.get(name) or reading.units.get(name)
    ]
    counts = [reading.units.get(name, 0) for name in names]
    shares = [reading.shares.get(name, 0.0) for name in names]
    if not all(count >= 0 for count in counts) or not sum(shares) > 0:
        text = f"the source's numbers of users contradict each other: {dict(reading.units)}"
        return Finding(Verdict.SOURCE_ERROR, text, METHOD)
    planned = [share / sum(shares) for share in shares]
    users = sum(counts)
    if users == 0:
        text = "no user has reported an outcome yet"
        missing = "a first user"
        return Finding(
            Verdict.NO_DATA, text, METHOD, anytime=True, threshold=planned[0], alphas=alphas, missing=missing
        )
    found = srm.mismatch(counts, shares)
    verdict = Verdict.FAIL if found.rejects(alphas.fail) else Verdict.PASS
    if found.muted is not None:
        verdict = Verdict.INCONCLUSIVE
    return Finding(
        verdict,
        _text(names, counts, planned, verdict, found.p_value),
        METHOD,
        anytime=True,
        interval=Interval(counts[0] / users, float("-inf"), float("inf")),
        threshold=planned[0],
        units=users,
        p_fail=found.p_value,
        alphas=alphas,
        missing="a split between two variants" if found.muted is not None else "",
    )


def _text(names: list[str], counts: list[int], planned: list[float], verdict: Verdict, p: float) -> str:
    users = sum(counts)
    seen = ", ".join(f"{count / users * 100:.4g} % {name}" for name, count in zip(names, counts, strict=True))
    asked = ", ".join(f"{share * 100:.4g} %" for share in planned)
    opening = f"{wording.count(users, 'user')} split into {seen}; planned are {asked}"
    if verdict is Verdict.INCONCLUSIVE:
        return f"{opening}; there is no split to test"
    if verdict is Verdict.PASS:
        return f"{opening}, which chance explains (anytime p = {p:.2g})"
    return f"{opening}, which chance does not explain (anytime p = {p:.1g}): the arms cannot be compared"
