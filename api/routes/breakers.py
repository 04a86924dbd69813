"""Shared breakers: a service reports that a variant is bad, and everybody is kept from it."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request

from api.auth import caller_of
from api.schemas import Breakers, BreakerView, CloseIn, Reported
from api.services import Services, services_of
from turnout.domain.breaking import BreakerPolicy, BreakerReport, SharedBreaker
from turnout.domain.errors import NotFound
from turnout.ports import FlagRecord
from workflows.messages import BreakerSignal, CloseBreaker

router = APIRouter(prefix="/v1/breakers", tags=["breakers"])


@router.get("")
async def list_breakers(request: Request) -> Breakers:
    """The shared breakers that have ever opened."""
    records = await services_of(request).flags.list()
    return Breakers(breakers=tuple(_view(r, name, one) for r in records for name, one in sorted(r.breakers.items())))


@router.post("/{flag}/{variant}/report", status_code=202)
async def report(request: Request, flag: str, variant: str, body: BreakerReport) -> Reported:
    """A breaker of a process opened or closed. What is known already is answered and goes no further."""
    services = services_of(request)
    record = await _flag(services, flag, variant)
    if variant == record.traffic.stable:
        return Reported(text=f"kept by nobody: {variant} is the stable variant, and nothing can take its place")
    known = record.breakers.get(variant)
    if body.circuit == "open" and known is not None and known.circuit == "open" and not _over(known, services):
        return Reported(text=f"known: {variant} is blocked until {known.until}")
    if body.circuit == "closed" and (known is None or known.circuit != "half_open"):
        return Reported(text="known: no probes are under way")
    named = body if body.reporter else body.model_copy(update={"reporter": caller_of(request).name})
    policy = record.flag.breakers.get(variant, BreakerPolicy())
    await services.engine.report(flag, variant, BreakerSignal(report=named, policy=policy))
    return Reported(text="passed on to the breaker")


@router.post("/{flag}/{variant}/close", status_code=202)
async def close(request: Request, flag: str, variant: str, body: CloseIn) -> Reported:
    """Close a breaker by hand: users get the variant again, whatever its probes say."""
    services, caller = services_of(request), caller_of(request)
    record = await _flag(services, flag, variant)
    known = record.breakers.get(variant)
    if known is None or known.circuit == "closed":
        return Reported(text="it is closed already")
    await services.engine.report(flag, variant, CloseBreaker(actor=caller.name, reason=body.reason))
    return Reported(text="passed on to the breaker")


async def _flag(services: Services, flag: str, variant: str) -> FlagRecord:
    record = await services.flags.get(flag)
    if variant not in record.flag.variants:
        raise NotFound(f"flag {flag} has no variant {variant}; it has {', '.join(record.flag.variants)}")
    return record


def _over(breaker: SharedBreaker, services: Services) -> bool:
    """Whether an open breaker should be probing by now: then its workflow may be gone, and is begun again."""
    return breaker.until is not None and services.clock() >= breaker.until


def _view(record: FlagRecord, variant: str, breaker: SharedBreaker) -> BreakerView:
    blocking = variant in record.published.blocked
    return BreakerView(flag=record.flag.key, variant=variant, blocking=blocking, **dict(breaker))
