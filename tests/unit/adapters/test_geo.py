"""Where a user is, from a database of the MaxMind DB format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from turnout.adapters.geo import GeoDatabase, located
from turnout.adapters.settings import read_settings
from turnout.domain.errors import InvalidInput
from turnout.testing.places import country, write_places

NETWORKS = {
    "81.2.69.0/24": country("GB", "EU", "ENG"),
    "2a02:100::/32": country("DE", "EU"),
    "8.8.0.0/16": {"registered_country": {"iso_code": "US"}},
    "9.9.9.0/24": {"traits": {"kind": "anycast"}},
}


@pytest.fixture
def places(tmp_path: Path) -> GeoDatabase:
    """A database of a few networks."""
    return GeoDatabase(write_places(tmp_path / "places.mmdb", NETWORKS))


@pytest.mark.parametrize(
    ("ip", "found"),
    [
        ("81.2.69.142", {"country": "GB", "region": "GB-ENG", "continent": "EU"}),
        ("::ffff:81.2.69.142", {"country": "GB", "region": "GB-ENG", "continent": "EU"}),
        ("2a02:100::1", {"country": "DE", "continent": "EU"}),
        ("8.8.8.8", {"country": "US"}),
    ],
)
def test_an_address_gives_its_place(places: GeoDatabase, ip: str, found: dict[str, str]) -> None:
    """IPv4 and IPv6; where the network is, else where it is registered."""
    assert located({"ip": ip, "plan": "beta"}, places) == {"ip": ip, "plan": "beta", **found}


@pytest.mark.parametrize(
    "ip", ["10.0.0.1", "127.0.0.1", "::1", "77.1.1.1", "9.9.9.9", "2a03::1", "nonsense", "", None, 7]
)
def test_what_has_no_place_adds_nothing(places: GeoDatabase, ip: object) -> None:
    """Private, unknown, placeless and malformed addresses."""
    assert located({"ip": ip}, places) == {"ip": ip}


@pytest.mark.parametrize("said", [{"country": "FR"}, {"region": "emea"}])
def test_what_the_caller_says_counts_more(places: GeoDatabase, said: dict[str, str]) -> None:
    """With a country or region of its own, the address is not looked up."""
    assert located({"ip": "81.2.69.142", **said}, places) == {"ip": "81.2.69.142", **said}


def test_an_empty_country_is_none(places: GeoDatabase) -> None:
    """A context may name what it does not know."""
    assert located({"ip": "8.8.8.8", "country": None}, places)["country"] == "US"


def test_without_a_database_nothing_changes() -> None:
    """The same mapping comes back."""
    attributes = {"ip": "81.2.69.142"}
    assert located(attributes, None) is attributes


def test_a_database_of_ipv4_alone(tmp_path: Path) -> None:
    """It knows no IPv6 address, and raises for none."""
    places = GeoDatabase(write_places(tmp_path / "4.mmdb", {"81.2.69.0/24": country("GB")}, ipv6=False))
    assert located({"ip": "2a02:100::1"}, places) == {"ip": "2a02:100::1"}
    assert located({"ip": "81.2.69.1"}, places)["country"] == "GB"


def test_a_damaged_record_adds_nothing(tmp_path: Path) -> None:
    """An evaluation never fails because of the database."""
    path = write_places(tmp_path / "places.mmdb", {"81.2.69.0/24": country("GB")})
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"\x42GB", b"\x5fGB"))
    assert located({"ip": "81.2.69.1"}, GeoDatabase(path)) == {"ip": "81.2.69.1"}


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """With its name and what to do."""
    (tmp_path / "x.mmdb").write_text("no database")
    with pytest.raises(InvalidInput, match=r"is no MaxMind DB.*x\.mmdb.*GeoLite2"):
        GeoDatabase(tmp_path / "x.mmdb")
    with pytest.raises(InvalidInput, match=r"cannot be read: No such file"):
        GeoDatabase(tmp_path / "absent.mmdb")


def test_settings_say_whom_to_believe() -> None:
    """All four of them."""
    environ = {
        "TURNOUT_GEO_DATABASE": "/geo/places.mmdb",
        "TURNOUT_GEO_ADDRESS": "request",
        "TURNOUT_GEO_HEADER": "Forwarded",
        "TURNOUT_TRUSTED_PROXIES": "10.0.0.0/8, fd00::/8",
    }
    geo = read_settings(environ).geo
    assert (str(geo.database), geo.address, geo.header) == ("/geo/places.mmdb", "request", "Forwarded")
    assert [str(network) for network in geo.proxies] == ["10.0.0.0/8", "fd00::/8"]
    assert read_settings({}).geo.database is None


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"TURNOUT_TRUSTED_PROXIES": "10.0.0.1/8"}, r"TURNOUT_TRUSTED_PROXIES.*host bits.*10\.0\.0\.0/8"),
        ({"TURNOUT_GEO_HEADER": "Forwarded"}, "is believed of no proxy.*TURNOUT_TRUSTED_PROXIES"),
        ({"TURNOUT_GEO_ADDRESS": "request"}, "has no database.*TURNOUT_GEO_DATABASE"),
        ({"TURNOUT_GEO_ADDRESS": "peer", "TURNOUT_GEO_DATABASE": "x"}, "TURNOUT_GEO_ADDRESS"),
    ],
)
def test_settings_that_cannot_work_are_refused(environ: dict[str, Any], message: str) -> None:
    """With the setting's name and the remedy."""
    with pytest.raises(InvalidInput, match=message):
        read_settings(environ)
