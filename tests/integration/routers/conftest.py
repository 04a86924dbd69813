"""Fixtures: both services, and each router in front of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.integration.routers.services import service
from tests.integration.routers.sites import CaddySite, HaproxySite, Site


@dataclass(frozen=True)
class Services:
    """The ports of both services."""

    blue: int
    green: int


@pytest.fixture
async def services() -> AsyncIterator[Services]:
    async with service("blue") as blue, service("green") as green:
        yield Services(blue, green)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


@pytest.fixture
def caddy(services: Services, tmp_path: Path) -> Iterator[CaddySite]:
    site = CaddySite(tmp_path, services.blue, services.green)
    site.start()
    yield site
    site.kill()


@pytest.fixture
def haproxy(services: Services, tmp_path: Path) -> Iterator[HaproxySite]:
    site = HaproxySite(tmp_path, services.blue, services.green)
    site.start()
    yield site
    site.kill()


@pytest.fixture(params=["caddy", "haproxy"])
def site(request: pytest.FixtureRequest) -> Site:
    """Each kind of router in turn."""
    found: Site = request.getfixturevalue(request.param)
    return found
