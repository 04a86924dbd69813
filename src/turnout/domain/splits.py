"""What a router is asked to do, what it does, and the difference between the two.

A split carries the flag's generation. A router remembers the newest one it was given and refuses older ones, so that
a delayed request of an earlier stage, or of an earlier rollout, cannot undo a later one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from turnout.domain.bucketing import TOTAL
from turnout.domain.errors import InvalidInput, Problem, StaleGeneration
from turnout.domain.flags import Name, Weights
from turnout.domain.model import Frozen
from turnout.domain.problems import suggestion

Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
"""Text that every router can match and keep without quoting."""

_Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,200}$")]

Condition = Literal["up", "down", "starting", "draining", "maintenance"]
"""What a router says of a variant's server, whatever its weight."""


def _whole(weights: dict[str, int]) -> dict[str, int]:
    if sum(weights.values()) != TOTAL:
        raise ValueError(f"the weights sum to {sum(weights.values())}; make them sum to {TOTAL}")
    return weights


class Preview(Frozen):
    """Requests that always go to ``variant``: those with ``value`` in a header or a cookie, or users of a segment.

    Exactly one of ``header``, ``cookie`` and ``segment``. A segment is decided by the resolver: routers cannot see it.
    """

    variant: Name
    header: Token | None = None
    cookie: Token | None = None
    segment: Token | None = None
    value: Token | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [name for name in ("header", "cookie", "segment") if getattr(self, name) is not None]
        if len(ways) != 1:
            raise ValueError(f"a preview needs one of header, cookie and segment; found {' and '.join(ways) or 'none'}")
        if (self.value is None) != (self.segment is not None):
            raise ValueError("value belongs to a header or a cookie; write the text that the request has there")
        return self

    def __str__(self) -> str:
        if self.segment is not None:
            return f"segment {self.segment} to {self.variant}"
        kind, name = ("header", self.header) if self.header is not None else ("cookie", self.cookie)
        return f"{kind} {name}={self.value} to {self.variant}"


class RouterSplit(Frozen):
    """What a router shall do: ``weights`` by variant in 1/100000, which sum to 100000; 0 gets nothing.

    ``rollout_id`` and ``generation`` identify the change: the same again changes nothing, an older one is refused.
    """

    rollout_id: _Id
    generation: int = Field(ge=0, le=2**53)
    weights: Annotated[Weights, AfterValidator(_whole)]
    preview: Preview | None = None


class Drift(Frozen):
    """One difference between what was asked of a router and what it does.

    ``subject`` is a variant, or empty for the router as a whole. Applying the split again repairs every kind but
    ``condition``: a server that is down, or that somebody took out of service, is left to them.
    """

    kind: Literal["share", "preview", "generation", "condition"]
    subject: str
    expected: str
    found: str

    def __str__(self) -> str:
        subject = f" of {self.subject}" if self.subject else ""
        return f"{self.kind}{subject}: expected {self.expected}, found {self.found}"


class RouterState(Frozen):
    """What a router does: ``shares`` of new requests by variant in 1/100000 while all servers are up.

    A server that belongs to no variant goes by its own name. ``rollout_id`` and ``generation`` are what the router
    remembers, None if nothing: never steered, or restarted since. ``conditions`` holds what it knows of each variant.
    ``tolerance`` (1/100000) is by how much a share may differ without being a drift. ``drift`` is what reading back
    after a change found to be other than asked.
    """

    shares: dict[str, int]
    preview: Preview | None = None
    rollout_id: str | None = None
    generation: int | None = None
    conditions: dict[str, Condition] = Field(default_factory=dict)
    tolerance: int = 0
    drift: tuple[Drift, ...] = ()


def refuse_stale(split: RouterSplit, found: RouterState, router: str) -> None:
    """Raises StaleGeneration if ``found`` is newer than ``split``, or as new and of another rollout.

    ``router`` names the router in the message.
    """
    if found.generation is None or found.generation < split.generation:
        return
    if found.generation == split.generation and found.rollout_id == split.rollout_id:
        return
    raise StaleGeneration(
        f"{router} follows generation {found.generation} of rollout {found.rollout_id}; "
        f"generation {split.generation} of rollout {split.rollout_id} is not newer"
    )


def named(split: RouterSplit, places: Mapping[str, str], field: str) -> dict[str, int]:
    """The weight of every variant in ``places``; ``field`` is where they are written, such as ``router.servers``.

    Raises:
        InvalidInput: a variant with a weight or a preview has no place, or the preview is by segment.
    """
    needed = _used(split.weights, split.preview)
    problems = [
        Problem(field, f"has no entry for the variant {name}", suggestion(name, list(places)))
        for name in sorted(needed - set(places))
    ]
    if split.preview and split.preview.segment is not None:
        remedy = "use a header or a cookie, or the router of kind resolver"
        problems.append(Problem("preview.segment", "is not known to a router", remedy, split.preview.segment))
    if problems:
        raise InvalidInput(problems)
    return {name: split.weights.get(name, 0) for name in places}


def _used(weights: Mapping[str, int], preview: Preview | None) -> set[str]:
    """The variants that get requests."""
    used = {name for name, weight in weights.items() if weight}
    return used if preview is None else used | {preview.variant}


def drifts(expected: RouterState, found: RouterState) -> tuple[Drift, ...]:
    """Every difference of ``found`` from ``expected``; none if the router does as asked.

    A condition counts only for variants that are expected to get requests.
    """
    found_drifts = list[Drift]()
    if (expected.rollout_id, expected.generation) != (found.rollout_id, found.generation):
        found_drifts.append(_drift("generation", "", _owner(expected), _owner(found)))
    for name in sorted(expected.shares.keys() | found.shares.keys()):
        asked, real = expected.shares.get(name, 0), found.shares.get(name, 0)
        if abs(asked - real) > expected.tolerance:
            found_drifts.append(_drift("share", name, _percent(asked), _percent(real)))
    if expected.preview != found.preview:
        found_drifts.append(_drift("preview", "", _way(expected.preview), _way(found.preview)))
    used = _used(expected.shares, expected.preview)
    for name, condition in found.conditions.items():
        if name in used and condition not in ("up", "starting"):
            found_drifts.append(_drift("condition", name, "up", condition))
    return tuple(found_drifts)


def checked(expected: RouterState, found: RouterState) -> RouterState:
    """``found`` with its drift from ``expected``."""
    return found.model_copy(update={"drift": drifts(expected, found)})


def _drift(
    kind: Literal["share", "preview", "generation", "condition"], subject: str, expected: str, found: str
) -> Drift:
    return Drift(kind=kind, subject=subject, expected=expected, found=found)


def _owner(state: RouterState) -> str:
    if state.generation is None:
        return "none"
    return f"{state.generation} of rollout {state.rollout_id}"


def _percent(share: int) -> str:
    return f"{share * 100 / TOTAL:g} %"


def _way(preview: Preview | None) -> str:
    return "none" if preview is None else str(preview)
