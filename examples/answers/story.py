"""What came of the two rollouts: measured times, counts, and whether the demo showed what it is there to show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from turnout.domain.rollout import Decision, State

from .traffic import strayed

GOOD, BAD = "semantic", "semantic-degraded"


@dataclass(frozen=True, slots=True)
class Told:
    """One rollout as it ended: its final ``state`` and its ``decisions``, oldest first."""

    state: State
    decisions: Sequence[Decision]

    def at(self, kind: str) -> datetime | None:
        """When it first decided this; None if it never did."""
        return next((decision.at for decision in self.decisions if decision.kind == kind), None)

    @property
    def everybody_over(self) -> datetime | None:
        """When the candidate was first given to all users."""
        return next((decision.at for decision in self.decisions if decision.share == 1), None)


@dataclass(frozen=True, slots=True)
class Served:
    """What the client side saw: the outcomes ``sent`` and ``lost``, how many users went which ``paths`` through the
    variants, and when the broken system answered for the last time.
    """

    sent: int
    lost: int
    paths: Counter[tuple[str, ...]]
    last_bad: datetime | None


@dataclass(frozen=True, slots=True)
class Summary:
    """The end of the demo; ``seconds`` is how long all of it took."""

    good: Told
    bad: Told
    served: Served
    seconds: float

    @property
    def times(self) -> Mapping[str, float | None]:
        """What was measured, in seconds; None for what did not happen."""
        good, bad = self.good, self.bad
        return {
            "start_to_everybody": _between(good.at("started"), good.everybody_over),
            "start_to_completed": _between(good.at("started"), good.at("ended")),
            "bad_start_to_decision": _between(bad.at("started"), bad.at("withdrawn")),
            "decision_to_last_bad_answer": _not_before(_between(bad.at("withdrawn"), self.served.last_bad)),
        }

    @property
    def strays(self) -> int:
        """Users who were served anything that the two rollouts do not explain."""
        return sum(users for path, users in self.served.paths.items() if strayed(path, ("keyword", GOOD, BAD, GOOD)))

    def failures(self) -> Iterator[str]:
        """Why the demo did not show what it is there to show; nothing when it did."""
        if self.good.state is not State.COMPLETED:
            yield f"the rollout to {GOOD} was to complete, but {_ended(self.good)}"
        if self.bad.state is not State.ROLLED_BACK or self.bad.at("withdrawn") is None:
            yield f"the rollout to {BAD} was to be rolled back, but {_ended(self.bad)}"
        if self.strays:
            yield f"{self.strays} users were moved to and fro"

    def data(self) -> dict[str, object]:
        """The summary for a program; times in seconds."""
        return {
            "ok": not any(self.failures()),
            "failures": list(self.failures()),
            "seconds": {"all": round(self.seconds, 2), **self.times},
            "outcomes": {"sent": self.served.sent, "lost": self.served.lost},
            "paths": [{"served": path, "users": users} for path, users in self.served.paths.most_common()],
        }

    def lines(self) -> Iterator[str]:
        """The summary for a person."""
        times = self.times
        yield f"{_said(times['start_to_everybody'])}  from the start to {GOOD} for everybody, in three judged steps"
        yield f"{_said(times['bad_start_to_decision'])}  from the start of {BAD} to the decision to roll it back"
        yield f"{_said(times['decision_to_last_bad_answer'])}  from that decision to its last answer to anybody"
        lost = f"; {self.served.lost} were lost" if self.served.lost else ", none was lost"
        yield f"{self.served.sent:>8,}  outcomes reported{lost}"
        for path, users in self.served.paths.most_common():
            yield f"{users:>8,}  users were served {' → '.join(path)}"
        yield f"{self.strays:>8,}  users were moved to and fro"
        yield f"{_said(self.seconds)}  all of it"


def _between(begin: datetime | None, end: datetime | None) -> float | None:
    return None if begin is None or end is None else (end - begin).total_seconds()


def _not_before(seconds: float | None) -> float | None:
    """The last answer may have come a moment before the decision, which is as good as at once."""
    return None if seconds is None else max(0.0, seconds)


def _said(seconds: float | None) -> str:
    return f"{'–':>8}" if seconds is None else f"{seconds:>6.2f} s"


def _ended(told: Told) -> str:
    last = told.decisions[-1].text if told.decisions else "it decided nothing"
    return f"it is {str(told.state).replace('_', ' ')}: {last}"
