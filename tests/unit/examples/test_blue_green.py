"""The blue-green example and its guide: what they show can be started as it stands."""

from __future__ import annotations

from pathlib import Path

from tests.integration.cli.runner import Turnout
from tests.unit.project.test_documented_specs import specs_in
from turnout.cli.documents import load, read_flags, read_spec
from turnout.domain.routing import Haproxy
from turnout.domain.splits import Preview
from turnout.strategies import compile_plan, parse_spec

EXAMPLE = Path(__file__).parents[3] / "examples" / "blue_green"
NOBODY = Turnout("http://127.0.0.1:9")


def test_the_example_is_valid_and_planned() -> None:
    """Its files pass validation, and its plan goes from the health of green to the bake."""
    flags, rollout = f"{EXAMPLE}/flags.yaml", f"{EXAMPLE}/rollout.yaml"
    checked = NOBODY("validate", "--offline", flags, rollout)
    assert checked.code == 0, checked.out
    planned = NOBODY("plan", rollout, "--stable", "blue")
    assert planned.code == 0, planned.err
    for shown in ("health of green", "preview", "20 %", "bake at 100 %", "haproxy: every change"):
        assert shown in planned.out
    assert "from http at http://127.0.0.1:9002/healthz" in planned.out


def test_the_example_fits_its_router() -> None:
    """Flag, rollout and HAProxy's configuration name the same things."""
    (flag,) = read_flags(load(f"{EXAMPLE}/flags.yaml"))
    plan = compile_plan(read_spec(load(f"{EXAMPLE}/rollout.yaml")), "blue")
    haproxy = (EXAMPLE / "haproxy.cfg").read_text()
    router = plan.router
    assert isinstance(router, Haproxy)
    assert (flag.key, flag.stable) == (plan.flag, plan.stable)
    assert {plan.stable, plan.candidate} == set(flag.variants)
    assert f"stats socket {router.socket} " in haproxy
    assert f"backend {router.backend}\n" in haproxy
    for server in router.servers.values():
        assert f"server {server} " in haproxy
    assert plan.stages[1].preview == Preview(variant="green", header="x-preview", value="green")
    assert "req.hdr(x-preview) -m str green" in haproxy


def test_the_guide() -> None:
    """Both specs of the page compile, the one with a router to ten moves, the other with a segment."""
    routed, resolved = (compile_plan(parse_spec(spec), "blue") for spec in specs_in("docs/strategies/blue-green.md"))
    assert len(routed.stages) == 12
    assert [stage.name for stage in routed.stages if stage.approval] == ["10 %"]
    assert (resolved.router, resolved.stages[1].focus, len(resolved.stages)) == (None, "staff", 6)
