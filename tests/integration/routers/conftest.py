"""Fixtures: both services, and each router in front of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.integration.routers.services import Service
from tests.integration.routers.sites import CaddySite, HaproxySite, Site


@dataclass(frozen=True)
class Services:
    """Both services, running."""

    blue: Service
    green: Service


@pytest.fixture
async def services() -> AsyncIterator[Services]:
    both = Services(Service("blue"), Service("green"))
    for one in (both.blue, both.green):
        await one.start()
    yield both
    for one in (both.blue, both.green):
        await one.stop()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


@pytest.fixture
def caddy(services: Services, tmp_path: Path) -> Iterator[CaddySite]:
    site = CaddySite(tmp_path, services.blue.port, services.green.port)
    site.start()
    yield site
    site.kill()


@pytest.fixture
def haproxy(services: Services, tmp_path: Path) -> Iterator[HaproxySite]:
    site = HaproxySite(tmp_path, services.blue.port, services.green.port)
    site.start()
    yield site
    site.kill()


@pytest.fixture(params=["caddy", "haproxy"])
def site(request: pytest.FixtureRequest) -> Site:
    """Each kind of router in turn."""
    found: Site = request.getfixturevalue(request.param)
    return found
