"""Where a user is, from the IP address: a MaxMind DB file adds ``country``, ``region`` and ``continent`` to a context.

Any database of the MaxMind DB format with GeoIP2's fields does: GeoLite2 and GeoIP2 Country, City and Enterprise, and
others' of the same shape. Needs the ``geo`` extra. Evaluation itself knows nothing of addresses: what is added here is
an attribute like any other, so rules and segments on it give the same answer in every engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast

from turnout.domain.addresses import Address, has_a_place, parse_address
from turnout.domain.errors import InvalidInput, Problem

if TYPE_CHECKING:
    import os

IP: Final = "ip"
"""The attribute that holds a user's address."""

COUNTRY, REGION, CONTINENT = "country", "region", "continent"


class Places(Protocol):
    """What finds the place of an address."""

    def attributes(self, address: Address) -> Mapping[str, str]:
        """What is known of ``country`` (ISO 3166-1: ``DE``), ``region`` (ISO 3166-2: ``DE-BY``) and ``continent``."""
        ...


class GeoDatabase:
    """A MaxMind DB file, read into memory; threads and forked processes may share it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open ``path``. Raises InvalidInput when it cannot be read, or the ``geo`` extra is missing."""
        try:
            import maxminddb
        except ModuleNotFoundError as error:
            remedy = "run: pip install 'turnout[geo]'"
            raise InvalidInput([Problem("geo", "needs the package maxminddb", remedy)]) from error
        try:
            self._reader: Final = maxminddb.open_database(path, maxminddb.MODE_MEMORY)
        except OSError as error:
            remedy = "name a readable MaxMind DB file, such as GeoLite2-Country.mmdb"
            raise InvalidInput([Problem("geo", f"cannot be read: {error.strerror}", remedy, str(path))]) from error
        except maxminddb.InvalidDatabaseError as error:
            remedy = "name a file of the MaxMind DB format, such as GeoLite2-Country.mmdb"
            raise InvalidInput([Problem("geo", f"is no MaxMind DB: {error}", remedy, str(path))]) from error
        self._takes_ipv6: Final = self._reader.metadata().ip_version == 6
        self._broken: Final = (maxminddb.InvalidDatabaseError, ValueError)

    def attributes(self, address: Address) -> Mapping[str, str]:
        """See `Places.attributes`; empty for an address that is private, reserved or not in the database."""
        if not has_a_place(address) or (address.version == 6 and not self._takes_ipv6):
            return {}
        try:
            found = cast("object", self._reader.get(address))
        except self._broken:
            # A record that is damaged says nothing; the rest of the file is as good as it was.
            return {}
        return _place(cast("Mapping[str, object]", found)) if isinstance(found, dict) else {}

    def close(self) -> None:
        """Forget the database."""
        self._reader.close()


def open_places(path: str | os.PathLike[str] | None) -> GeoDatabase | None:
    """The database at ``path``; None without one. Raises InvalidInput."""
    return GeoDatabase(Path(path)) if path else None


def located(attributes: Mapping[str, object], places: Places | None) -> Mapping[str, object]:
    """``attributes`` with those of the place of their ``ip``.

    What a caller says itself counts more: where ``country`` or ``region`` is there already, nothing is looked up. An
    address that is malformed, private or unknown adds nothing, so that a geographic rollout takes it for ``other``.
    """
    if places is None or IP not in attributes or attributes.get(COUNTRY) or attributes.get(REGION):
        return attributes
    address = parse_address(attributes[IP])
    if address is None:
        return attributes
    found = places.attributes(address)
    return {**attributes, **{name: code for name, code in found.items() if not attributes.get(name)}}


def _place(record: Mapping[str, object]) -> dict[str, str]:
    """The attributes in a record; the country where the network is, else where it is registered."""
    country = _code(record.get("country"), "iso_code") or _code(record.get("registered_country"), "iso_code")
    parts = record.get("subdivisions")
    part = _code(cast("list[object]", parts)[0], "iso_code") if isinstance(parts, list) and parts else None
    found = {
        COUNTRY: country,
        REGION: f"{country}-{part}" if country and part else None,
        CONTINENT: _code(record.get("continent"), "code"),
    }
    return {name: code for name, code in found.items() if code}


def _code(part: object, name: str) -> str | None:
    code = cast("Mapping[str, object]", part).get(name) if isinstance(part, dict) else None
    return code if isinstance(code, str) and code else None
