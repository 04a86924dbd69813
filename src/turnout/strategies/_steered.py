"""What a router adds to a plan of any strategy: its configuration, and in every stage a signal that it obeys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

from turnout.domain.errors import InvalidInput, Problem
from turnout.domain.plan import Gate, Plan, RouterSource, Stage
from turnout.domain.problems import suggestion
from turnout.domain.routing import Caddy, Haproxy, Resolver, Router
from turnout.domain.spec import Policies

UNKNOWN_STABLE: Final = "(stable)"
"""Stands for the stable variant where it is not known; no variant can have this name."""

Spec = TypeVar("Spec", bound=Policies)


def moves_requests(router: Router | None) -> bool:
    """Whether there is a router outside of the services."""
    return router is not None and not isinstance(router, Resolver)


def without_the_split(spec: Spec, router: Router | None) -> Spec:
    """``spec`` without the watch on the split of the users, which it has unless it says otherwise, if ``router`` splits
    requests: one user meets both variants then."""
    return spec.model_copy(update={"sample_ratio": False}) if moves_requests(router) else spec


def steered(plan: Plan, router: Router | None, path: str) -> Plan:
    """``plan`` with ``router``, which is written at ``path`` of the spec, and a signal in every stage that it obeys.

    Raises:
        InvalidInput: the router has no place for a variant of the plan, or the plan moves segments of users.
    """
    if router is None or not moves_requests(router):
        return plan.model_copy(update={"router": router})
    problems = list(place_problems(router, path, _variants(plan)))
    if any(stage.segments for stage in plan.stages):
        why = "sees no segments of users, which this rollout moves one by one"
        problems.append(Problem(path, why, "leave it out, or move everybody by shares", router.kind))
    if any(gate.experiment is not None for stage in plan.stages for gate in (*stage.gates, *stage.guardrails)):
        why = "splits requests, and a test is about users, each of whom stays with one variant"
        problems.append(Problem(path, why, "leave it out; the flag's assignments divide the users", router.kind))
    if problems:
        raise InvalidInput(problems)
    source = RouterSource(kind="router", router=router)
    obeys = Gate(metric="router", source=source, min=1, consecutive=1, on_fail="hold")
    stages = tuple(_with_signal(stage, obeys) for stage in plan.stages)
    return plan.model_copy(update={"router": router, "stages": stages})


def place_problems(router: Router, path: str, variants: Mapping[str, str]) -> Iterator[Problem]:
    """A problem for each of ``variants`` (name -> its part in the rollout) that ``router`` has no place for."""
    places = _places(router)
    if places is None:
        return
    field, known = places
    for name, part in variants.items():
        if name not in known:
            remedy = f"{suggestion(name, list(known))}; the keys are the flag's variants"
            yield Problem(f"{path}.{field}", f"has no entry for {name}, the {part}", remedy, ", ".join(known))


def _places(router: Router) -> tuple[str, Mapping[str, str]] | None:
    """The field that names the variants' places, and what it says; None for a router that knows no places."""
    match router:
        case Caddy():
            return "upstreams", router.upstreams
        case Haproxy():
            return "servers", router.servers
        case _:
            return None


def _variants(plan: Plan) -> dict[str, str]:
    parts = {name: "variant" for stage in plan.stages for name in stage.weights}
    parts |= {plan.candidate: "candidate", plan.stable: "stable variant"}
    parts.pop(UNKNOWN_STABLE, None)
    return parts


def _with_signal(stage: Stage, obeys: Gate) -> Stage:
    return stage.model_copy(update={"guardrails": (*stage.guardrails, obeys)})
