"""Random rollouts: specs, what is observed of them, and what people ask of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from hypothesis import strategies as st

from tests.workflows.script import (
    HOUR,
    Answer,
    blocked,
    fails_early,
    guardrail,
    judged,
    overdue,
    passes,
    quiet,
    recovered,
    rest_of_hold,
)
from turnout.domain.freezes import Freeze
from turnout.domain.rollout import Observation, WatchRequest
from turnout.domain.verdicts import Verdict

UNDECIDED = (Verdict.NO_DATA, Verdict.INCONCLUSIVE)

_unknown = st.sampled_from(["pause", "rollback", "hold"])
_undecided = st.sampled_from(["pause", "rollback", "hold", "advance_if_no_evidence_of_harm"])
_shares = st.lists(st.integers(1, 99), min_size=0, max_size=3, unique=True).map(lambda few: [*sorted(few), 100])
_gradual = st.fixed_dictionaries(
    {
        "kind": st.just("gradual"),
        "stages": _shares,
        "stage_duration": st.sampled_from(["1h", "5h", "24h"]),
        "on_fail": st.sampled_from(["previous_stage", "rollback", "pause"]),
    }
)
_canary = st.fixed_dictionaries(
    {
        "kind": st.just("canary"),
        "observation_period": st.sampled_from(["1h", "5h", "24h"]),
        "auto_promote": st.booleans(),
        "auto_rollback": st.booleans(),
    }
)
_shadow = st.fixed_dictionaries(
    {
        "kind": st.just("shadow"),
        "duration": st.sampled_from(["1h", "5h", "24h"]),
        "sample": st.sampled_from([1, 100]),
    }
)
_part = (_gradual | _canary | _shadow).map(lambda strategy: {"strategy": strategy})
_ways = _part | st.lists(_part, min_size=1, max_size=3).map(
    lambda parts: {"pipeline": sorted(parts, key=lambda part: part["strategy"]["kind"] != "shadow")}
)
_approval = st.fixed_dictionaries(
    {"before": st.integers(2, 100), "by": st.sampled_from([None, "approver"])}
) | st.fixed_dictionaries(
    {
        "before": st.integers(2, 100),
        "timeout": st.sampled_from(["1h", "30h"]),
        "on_timeout": st.sampled_from(["pause", "rollback", "hold"]),
    }
)
_windows = st.sampled_from(
    [
        {"days": "mon-fri", "hours": "09:00-17:00", "timezone": "Europe/Berlin"},
        {"hours": "22:00-04:00", "timezone": "America/New_York"},
        [{"days": "sat", "hours": "10:00-11:00"}, {"days": ["mon", "wed"], "timezone": "Asia/Kolkata"}],
    ]
)


_own_policies = st.fixed_dictionaries(
    {}, optional={"on_no_data": _unknown, "on_inconclusive": _undecided, "on_source_error": _unknown}
)


def _spec(
    ways: dict[str, object],
    approvals: list[dict[str, object]],
    own: dict[str, object],
    more: dict[str, object],
) -> dict[str, object]:
    parts = ways.get("pipeline", [ways])
    shares = [part["strategy"].get("stages", [5])[0] for part in parts]  # type: ignore[attr-defined] # drawn lists
    first = min(shares)
    return {
        "flag": "answer-engine",
        "candidate": "lightrag",
        **ways,
        "gates": [{"metric": "success_rate", "min": 0.95, **own}],
        "guardrails": [{"metric": "error_rate", "max": 0.1}],
        "approvals": [approval for approval in approvals if approval["before"] > first],  # type: ignore[operator]
        **more,
    }


specs = st.builds(
    _spec,
    _ways,
    st.lists(_approval, max_size=1),
    _own_policies,
    st.fixed_dictionaries(
        {
            "deadline": st.sampled_from(["1h", "6h"]),
            "on_no_data": _unknown,
            "on_inconclusive": _undecided,
            "on_source_error": _unknown,
            "max_attempts": st.integers(1, 3),
        },
        optional={"windows": _windows},
    ),
)


@dataclass(frozen=True)
class Whim:
    """One draw of what a watch comes to; `answer` makes it one that this watch could give."""

    kind: str
    verdict: Verdict
    after: timedelta

    def answer(self, request: WatchRequest) -> Answer:
        """An answer that keeps the contract of `Observation` for ``request``."""
        if self.kind == "guardrail" and request.stage.guardrails:
            return guardrail(self.after, "pause" if request.stage.guardrails[0].on_fail == "pause" else "rollback")
        if not request.counting:
            return quiet
        if self.kind == "early":
            return fails_early(self.after)
        if self.kind == "judged" and request.blocked is not Verdict.SOURCE_ERROR:
            return judged(self.verdict if self.verdict in (Verdict.PASS, Verdict.FAIL) else Verdict.PASS)
        if request.blocked is Verdict.SOURCE_ERROR:
            return overdue(Verdict.SOURCE_ERROR) if self.kind == "overdue" else recovered(self.after)
        if request.blocked is not None:
            return overdue(request.blocked) if self.kind == "overdue" else passes
        if self.verdict in UNDECIDED:
            return blocked(self.verdict)
        return blocked(Verdict.SOURCE_ERROR, min(self.after, rest_of_hold(request)))


_whim = st.builds(
    Whim,
    kind=st.sampled_from(["judged", "judged", "judged", "early", "guardrail", "blocked", "overdue"]),
    verdict=st.sampled_from([Verdict.PASS, Verdict.PASS, *Verdict]),
    after=st.integers(0, 30 * 60).map(lambda minutes: timedelta(minutes=minutes)),
)
whims = st.lists(_whim, max_size=8)
_PASSING = Whim("judged", Verdict.PASS, timedelta())


@dataclass(frozen=True)
class Season:
    """When the rollout is to start, and a freeze, both in hours from now; None for neither."""

    start_after: int | None
    freeze: tuple[int, int] | None

    def spec(self, now: datetime) -> dict[str, object]:
        """What the spec says of it."""
        return {} if self.start_after is None else {"start_at": (now + self.start_after * HOUR).isoformat()}

    def freezes(self, now: datetime) -> list[Freeze]:
        """The freezes there are."""
        if self.freeze is None:
            return []
        begin, long = self.freeze
        start = now + begin * HOUR
        return [Freeze(id="f1", by="carol", at=now, start=start, end=start + long * HOUR, reason="season")]


seasons = st.builds(
    Season,
    start_after=st.none() | st.sampled_from([-5, 3, 50]),
    freeze=st.none() | st.tuples(st.integers(-5, 60), st.integers(1, 100)),
)


class Whims:
    """A script that follows ``whims`` one by one, then passes every stage."""

    def __init__(self, whims: list[Whim]) -> None:
        self._left = list(whims)
        self.given: list[tuple[WatchRequest, Observation]] = []

    def __call__(self, request: WatchRequest, now: datetime) -> Observation | None:
        """The answer to ``request``, which is kept."""
        whim = self._left.pop(0) if self._left else _PASSING
        seen = whim.answer(request)(request, now)
        if seen is not None:
            self.given.append((request, seen))
        return seen


@dataclass(frozen=True)
class Order:
    """A command ``after`` the one before, on one of the two ways, or as a repetition of the one before."""

    after: timedelta
    kind: str
    actor: str
    roles: tuple[str, ...]
    by_signal: bool
    again: bool


orders = st.lists(
    st.builds(
        Order,
        after=st.integers(0, 36 * 60).map(lambda minutes: timedelta(minutes=minutes)) | st.just(HOUR),
        kind=st.sampled_from(
            ["pause", "pause", "resume", "resume", "promote", "promote", "approve", "approve", "abort", "rollback"]
        ),
        actor=st.sampled_from(["alice", "bob", "carol"]),
        roles=st.sampled_from([(), ("approver",), ("freeze_override",)]),
        by_signal=st.booleans(),
        again=st.integers(0, 5).map(lambda n: n == 0),
    ),
    max_size=9,
)
