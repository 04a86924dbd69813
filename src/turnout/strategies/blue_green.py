"""Blue-green: green is proven healthy, previewed, switched to in quick steps, and watched with blue kept warm."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final, Literal, Self

from pydantic import ConfigDict, Field, JsonValue, field_validator, model_validator

from turnout.domain import targeting
from turnout.domain.durations import Duration
from turnout.domain.errors import Problem
from turnout.domain.flags import Segment
from turnout.domain.gates import needs_both_arms
from turnout.domain.health import HealthProbe
from turnout.domain.model import Frozen
from turnout.domain.plan import Gate, HttpSource, Plan, Stage
from turnout.domain.problems import Faults
from turnout.domain.routing import Router
from turnout.domain.spec import Policies
from turnout.domain.splits import Preview, Token
from turnout.strategies._ramp import LEAST_DEADLINE, TOTAL, Ramp
from turnout.strategies._steered import moves_requests

HEALTH: Final = "health"
"""The metric of the gates and guardrails on green's health."""


class PreviewSpec(Frozen):
    """Who gets green before the switch, and keeps it: requests with ``value`` in a header or a cookie (by a router), or
    the users of a ``segment`` whom ``if`` holds for (by the resolver). The switch begins after ``hold``."""

    model_config = ConfigDict(serialize_by_alias=True)

    header: Token | None = None
    cookie: Token | None = None
    value: Token | None = None
    segment: Token | None = None
    condition: JsonValue = Field(default=None, alias="if")
    hold: Duration = timedelta(minutes=10)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [name for name in ("header", "cookie", "segment") if getattr(self, name) is not None]
        if len(ways) != 1:
            found = " and ".join(ways) or "none"
            raise ValueError(f"needs one of header, cookie and segment, found {found}; write {{header: …, value: …}}")
        if (self.value is None) != (self.segment is not None):
            raise ValueError("value belongs to a header or a cookie; write the text that the request has there")
        if (self.condition is None) == (self.segment is not None):
            raise ValueError("segment and if belong together; write whom the segment holds for")
        if self.segment is not None:
            faults = list(targeting.check(self.condition, "if"))
            if faults:
                raise Faults(faults)
        return self

    def of(self, variant: str) -> Preview | None:
        """What a router has to do for it; None for a segment."""
        if self.segment is not None:
            return None
        return Preview(variant=variant, header=self.header, cookie=self.cookie, value=self.value)

    def faults(self, router: Router | None, at: str) -> Iterator[Problem]:
        """Whether ``router`` can do it; ``at`` is where it is written."""
        routed = moves_requests(router)
        if self.segment is not None and routed:
            remedy = "write a header or a cookie and its value"
            yield Problem(f"{at}.segment", "is not known to a router", remedy, self.segment)
        if self.segment is None and not routed:
            way = "header" if self.header is not None else "cookie"
            remedy = "write a segment and its if, or a router of kind caddy, haproxy or webhook"
            yield Problem(
                f"{at}.{way}", "is seen by a router, and there is none", remedy, self.header or self.cookie or ""
            )

    def segments(self, variant: str) -> tuple[Segment, ...]:
        """Whom the resolver gives ``variant``; none where a router does."""
        if self.segment is None:
            return ()
        return (Segment.model_validate({"name": self.segment, "if": self.condition, "weights": {variant: TOTAL}}),)


class BlueGreen(Frozen):
    """Health of green → preview → switch → bake → done; bad evidence takes everybody back to blue.

    Traffic moves in ``steps`` equal moves, the last of them ``switch_duration`` after the first; then all of it stays
    on green for ``bake``. Every stage needs ``health.consecutive`` good answers of green in a row, asked every
    ``health.interval`` or ``check_every``, whichever is shorter; as many bad ones take everybody back at once. The
    spec's gates are asked at the end of the bake, those that compare with stable before the last move. Without
    ``auto_promote`` the switch waits for ``promote``.
    """

    kind: Literal["blue_green"]
    health: HealthProbe
    router: Router | None = None
    preview: PreviewSpec | None = None
    switch_duration: Duration = timedelta(minutes=10)
    steps: int = Field(default=10, ge=1, le=100)
    bake: Duration = timedelta(hours=1)
    auto_promote: bool = True

    @field_validator("switch_duration", "bake")
    @classmethod
    def _takes_time(cls, value: timedelta) -> timedelta:
        if value <= timedelta(0):
            raise ValueError("must be more than 0s; for a switch at once write steps: 1")
        return value

    @property
    def needs_gates(self) -> bool:
        """Green's health is a gate of every stage."""
        return False

    def faults(self, spec: Policies, router: Router | None, at: str, gates: str) -> Iterator[Problem]:
        """What does not fit together with ``spec`` and its ``router``; ``at`` is where this strategy is written,
        ``gates`` where the spec's gates are."""
        for index, gate in enumerate(spec.gates):
            if self.steps == 1 and needs_both_arms(gate):
                why = "compares with stable, and with one step there is no time in which both have traffic"
                yield Problem(f"{gates}[{index}]", why, f"write {at}.steps: 2 or more, or a min or max", gate.metric)
        if self.preview is not None:
            yield from self.preview.faults(router, f"{at}.preview")

    def plan(self, spec: Policies, stable: str) -> Plan:
        """Health, a preview if there is one, the steps, and the bake."""
        shares = [round(100 * step / self.steps, 3) for step in range(1, self.steps + 1)]
        before = [0.0] if self.preview is None else [0.0, 0.0]
        ramp = Ramp(kind=self.kind, shares=[*before, *shares], hold=self.bake, on_fail="rollback")
        plan = ramp.plan(spec, stable)
        stages = [self._first(spec, plan.stages[0])]
        if self.preview is not None:
            stages.append(self._previewing(spec, self.preview, plan.stages[1]))
        switch = [self._of_switch(spec, stage) for stage in plan.stages[len(before) :]]
        switch[0] = switch[0].model_copy(update={"manual": not self.auto_promote})
        return plan.model_copy(update={"stages": (*stages, *switch)})

    def _first(self, spec: Policies, stage: Stage) -> Stage:
        return self._held(spec, stage, timedelta(0), name="health of green", guardrails=(self._alarm,))

    def _previewing(self, spec: Policies, preview: PreviewSpec, stage: Stage) -> Stage:
        shown = self._previewed(spec, stage).model_copy(update={"focus": preview.segment})
        return self._held(spec, shown, preview.hold, name="preview")

    def _of_switch(self, spec: Policies, stage: Stage) -> Stage:
        """A step that asks for health, or the bake; what compares with stable is asked in the last step before it."""
        share = stage.weights[spec.candidate] / 1000
        stage = self._previewed(spec, stage)
        if share == 100:
            return self._held(spec, stage, self.bake, name="bake at 100 %", gates=stage.gates)
        last = share >= round(100 * (self.steps - 1) / self.steps, 3)
        compared = tuple(gate for gate in stage.gates if last and needs_both_arms(gate))
        return self._held(spec, stage, self.switch_duration / (self.steps - 1), gates=compared)

    def _held(
        self,
        spec: Policies,
        stage: Stage,
        hold: timedelta,
        *,
        name: str | None = None,
        gates: tuple[Gate, ...] = (),
        guardrails: tuple[Gate, ...] | None = None,
    ) -> Stage:
        every = min(spec.check_every, self.health.interval)
        # The first look is at once, so that many intervals have one look more.
        hold = max(hold, every * max(self.health.consecutive - 1, 1))
        return stage.model_copy(
            update={
                "name": name or stage.name,
                "hold": hold,
                "deadline": spec.deadline if spec.deadline is not None else max(hold, LEAST_DEADLINE),
                "check_every": every,
                "gates": (self._healthy, *gates),
                "guardrails": (*stage.guardrails, self._alarm) if guardrails is None else guardrails,
            }
        )

    def _previewed(self, spec: Policies, stage: Stage) -> Stage:
        """Who has green in the preview keeps it in the switch."""
        if self.preview is None:
            return stage
        shown = {"preview": self.preview.of(spec.candidate), "segments": self.preview.segments(spec.candidate)}
        return stage.model_copy(update=shown)

    @property
    def _healthy(self) -> Gate:
        probe = self.health
        source = HttpSource(
            kind="http", url=probe.url, expect=probe.expect, consecutive=probe.consecutive, timeout=probe.timeout
        )
        return Gate(metric=HEALTH, source=source, min=1, consecutive=probe.consecutive)

    @property
    def _alarm(self) -> Gate:
        return self._healthy.model_copy(update={"on_fail": "rollback"})
