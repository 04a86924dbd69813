"""Where a spec names its router, and what does not fit together with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from turnout.domain.errors import Problem
from turnout.domain.routing import Router
from turnout.domain.spec import Policies
from turnout.strategies._pipeline import Part
from turnout.strategies._steered import place_problems
from turnout.strategies.blue_green import BlueGreen


def router_of(spec: Policies, parts: Mapping[str, Part]) -> tuple[Router | None, str]:
    """The router of the whole rollout, and its path in the spec: blue-green may have it among its own fields.

    ``parts`` are by their own paths: ``pipeline[0]``, or empty for the only one.
    """
    return next(_routers(spec, parts), (None, "router"))


def router_faults(spec: Policies, parts: Mapping[str, Part]) -> Iterator[Problem]:
    """A router that is named twice or lacks the candidate, and what blue-green does not fit together with."""
    routers = list(_routers(spec, parts))
    for router, path in routers[1:]:
        yield Problem(path, "is named twice", f"keep one of {routers[0][1]} and {path}", router.kind)
    for router, path in routers[:1]:
        yield from place_problems(router, path, {spec.candidate: "candidate"})
    chosen = routers[0][0] if routers else None
    for path, part in parts.items():
        if isinstance(part.strategy, BlueGreen):
            gates = "gates" if part.gates is None else _at(path, "gates")
            yield from part.strategy.faults(part.policies(spec), chosen, _at(path, "strategy"), gates)


def _routers(spec: Policies, parts: Mapping[str, Part]) -> Iterator[tuple[Router, str]]:
    if spec.router is not None:
        yield spec.router, "router"
    for path, part in parts.items():
        if isinstance(part.strategy, BlueGreen) and part.strategy.router is not None:
            yield part.strategy.router, _at(path, "strategy.router")


def _at(path: str, field: str) -> str:
    return f"{path}.{field}" if path else field
