"""What the deadline of an undecided stage comes to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.domain.watching import SPLIT, check, compared, gate, over, request, stage
from turnout.domain.answered import deciding
from turnout.domain.plan import Gate, JsonSource, Scorecard, ScoredMetric
from turnout.domain.recourse import HARM, no_evidence_of_harm
from turnout.domain.rollout import Observation
from turnout.domain.verdicts import Check, Verdict
from turnout.domain.vigil import conclude

PASS, FAIL, INCONCLUSIVE, NO_DATA, SOURCE_ERROR = Verdict
ADVANCE = "advance_if_no_evidence_of_harm"
GUARDRAIL = Gate(metric="error_rate", max=0.1, on_fail="rollback")
CAUTION = ["rollback", "pause", "hold", ADVANCE]

policies = st.sampled_from(CAUTION)


def at_deadline(
    gates: list[Gate],
    checks: list[Check],
    guardrails: list[Gate] | None = None,
    blocked: Verdict = INCONCLUSIVE,
    **more: Any,
) -> Observation | None:
    """What watching comes to when the hold and the deadline have passed."""
    asked = request(stage(gates, guardrails or [], **more), blocked=blocked)
    return conclude(asked, over(waited=asked.stage.deadline), checks)


def asked_for(*policies: str | None, **more: Any) -> str | None:
    """The recourse when gates with these own policies are all inconclusive and nothing speaks for harm."""
    gates = [gate(on_inconclusive=policy) for policy in policies]
    seen = at_deadline(gates, [check(INCONCLUSIVE, p_fail=1.0)] * len(gates), **more)
    return seen.recourse if seen is not None else None


def test_a_gates_policy_goes_before_the_stages() -> None:
    """The stage's is for those that have none of their own."""
    assert asked_for(None, on_inconclusive="rollback") == "rollback"
    assert asked_for("pause", on_inconclusive="rollback") == "pause"
    assert asked_for("hold", on_inconclusive="rollback") is None
    assert asked_for(ADVANCE, on_inconclusive="rollback") == "advance"
    assert asked_for("pause", None, on_inconclusive="rollback") == "rollback"


@given(st.lists(policies, min_size=1, max_size=4))
def test_the_most_cautious_wins(asked: list[str]) -> None:
    """Rollback before pause before hold before advance, whatever the order of the gates."""
    expected = {"hold": None, ADVANCE: "advance"}
    most = min(asked, key=CAUTION.index)
    assert asked_for(*asked) == expected.get(most, most)


def test_a_gate_that_is_decided_asks_for_nothing() -> None:
    """Only what keeps the stage undecided has a say."""
    gates = [gate(on_inconclusive="rollback", on_no_data="rollback"), gate(on_inconclusive="pause")]
    seen = at_deadline(gates, [check(PASS), check(INCONCLUSIVE)])
    assert seen is not None
    assert (seen.recourse, seen.verdict) == ("pause", INCONCLUSIVE)


def test_the_deadline_tells_what_asked_for_it() -> None:
    """Of several doubts, those whose policy applies: the verdict and the text are theirs."""
    gates = [gate(), gate(on_inconclusive="rollback")]
    checks = [check(NO_DATA), check(INCONCLUSIVE, text="cost is open")]
    seen = at_deadline(gates, checks, on_no_data="pause")
    assert seen is not None
    assert (seen.recourse, seen.verdict, seen.text) == ("rollback", INCONCLUSIVE, "cost is open")


@pytest.mark.parametrize(
    ("verdict", "field"),
    [(INCONCLUSIVE, "on_inconclusive"), (NO_DATA, "on_no_data"), (SOURCE_ERROR, "on_source_error")],
)
def test_each_doubt_has_its_own_policy(verdict: Verdict, field: str) -> None:
    """On the stage and on the gate; the policies for other doubts do not matter."""
    others = {name: "pause" for name in ("on_inconclusive", "on_no_data", "on_source_error")}
    for gates, of_stage in (([gate(**{field: "rollback"})], others), ([gate()], others | {field: "rollback"})):
        seen = at_deadline(gates, [check(verdict, errors=9)], blocked=verdict, **of_stage)
        assert seen is not None
        assert (seen.kind, seen.recourse) == ("overdue", "rollback")


def test_hold_waits_without_an_end() -> None:
    """For evidence, for data and for a source alike."""
    held = {"on_inconclusive": "hold", "on_no_data": "hold", "on_source_error": "hold"}
    for verdict in (INCONCLUSIVE, NO_DATA, SOURCE_ERROR):
        assert at_deadline([gate()], [check(verdict, errors=9)], blocked=verdict, **held) is None


def test_a_silent_source_of_a_guardrail_has_its_policy() -> None:
    """A stage whose guardrails cannot be read is not watched, so it counts as undecided."""
    guardrail = GUARDRAIL.model_copy(update={"on_source_error": "rollback"})
    checks = [check(PASS), check(SOURCE_ERROR, "guardrail", errors=9)]
    seen = at_deadline([gate()], checks, [guardrail], blocked=SOURCE_ERROR)
    assert seen is not None
    assert seen.recourse == "rollback"


def advances(checks: list[Check], gates: list[Gate] | None = None, guardrails: list[Gate] | None = None) -> bool:
    """Whether a stage that may advance without proof does."""
    gates = gates or [gate(), compared()]
    seen = at_deadline(gates, checks, guardrails, on_inconclusive=ADVANCE)
    assert seen is not None
    assert seen.recourse in ("advance", "pause")
    return seen.recourse == "advance"


@pytest.mark.parametrize(("p_fail", "clear"), [(1.0, True), (0.21, True), (HARM, False), (0.02, False), (None, False)])
def test_evidence_of_harm_stops_the_advance(p_fail: float | None, clear: bool) -> None:
    """Five to one against the candidate is evidence; without a p-value there is no telling."""
    assert advances([check(PASS), check(INCONCLUSIVE, p_fail=p_fail)]) is clear


def test_a_gate_that_passes_needs_no_further_proof() -> None:
    """Its p-value of harm is no question any more."""
    assert advances([check(PASS, p_fail=None), check(INCONCLUSIVE, p_fail=1.0)])


@pytest.mark.parametrize("sample", [{"samples": 49}, {"units": 19}, {"samples": 0, "units": 0}])
def test_too_little_data_is_not_the_absence_of_harm(sample: dict[str, int]) -> None:
    """A gate below its minimum has not looked yet."""
    assert not advances([check(PASS), check(INCONCLUSIVE, p_fail=1.0, **sample)])


def test_counts_of_a_source_have_no_users() -> None:
    """A gate on counts needs its minimum of events alone; one on a single number has no p-value."""
    counted = gate(source=JsonSource(kind="json", url="http://x", numerator="a", denominator="b"))
    assert advances([check(INCONCLUSIVE, p_fail=0.6, units=0)], [counted])
    single = gate(source=JsonSource(kind="json", url="http://x", pointer="a"))
    assert not advances([check(INCONCLUSIVE, samples=0, units=0)], [single])


def test_a_score_cannot_tell() -> None:
    """A marginal score is no proof of innocence."""
    card = Scorecard(metrics=(ScoredMetric(metric="cost", direction="increase"),))
    assert not advances([check(INCONCLUSIVE)], [Gate(metric="score", score=card)])


@pytest.mark.parametrize(
    ("found", "clear"),
    [
        (check(PASS, "guardrail"), True),
        (check(INCONCLUSIVE, "guardrail", p_fail=0.5), True),
        (check(INCONCLUSIVE, "guardrail", p_fail=0.1), False),
        (check(NO_DATA, "guardrail"), False),
    ],
)
def test_guardrails_have_a_say(found: Check, clear: bool) -> None:
    """A guardrail that leans towards failing, or has no data, stops the advance."""
    assert advances([check(INCONCLUSIVE, p_fail=1.0), found], [gate()], [GUARDRAIL]) is clear


def test_missing_data_stops_the_advance() -> None:
    """A gate without data asks for its own policy, and may not be passed over."""
    gates = [gate(), gate(on_no_data="pause")]
    assert not advances([check(INCONCLUSIVE, p_fail=1.0), check(NO_DATA)], gates)


def test_a_dry_run_has_no_say() -> None:
    """Not for the recourse, and not about harm."""
    dry = gate(dry_run=True, on_inconclusive="rollback")
    assert advances([check(INCONCLUSIVE, p_fail=1.0), check(FAIL, dry_run=True)], [gate(), dry])


@given(st.sampled_from(Verdict), st.floats(0, 1), st.integers(0, 200), st.integers(0, 200))
def test_no_evidence_of_harm_is_what_it_says(verdict: Verdict, p_fail: float, samples: int, units: int) -> None:
    """For one undecided gate: enough data and a p-value above the line, and a split that holds."""
    asked = stage([gate()], [SPLIT])
    found = [check(verdict, p_fail=p_fail, samples=samples, units=units), check(INCONCLUSIVE, "signal", p_fail=0.01)]
    expected = verdict is PASS or (verdict is INCONCLUSIVE and samples >= 50 and units >= 20 and p_fail > HARM)
    assert no_evidence_of_harm(deciding(asked, found)) is expected
