"""Where the user of a request is: attributes for evaluation that come from an IP address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.requests import Request

from turnout.adapters.geo import IP, Places, located, open_places
from turnout.adapters.settings import Geo
from turnout.domain.addresses import origin


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """The database, none by default, and whose address is looked up in it (see `Geo`)."""

    places: Places | None = None
    settings: Geo = field(default_factory=Geo)

    def of(self, request: Request, attributes: Mapping[str, object]) -> Mapping[str, object]:
        """``attributes`` with those of the user's place; the user's address is their ``ip``, or that of ``request``."""
        if self.places is not None and self.settings.address == "request" and not attributes.get(IP):
            address = self._origin(request)
            attributes = attributes if address is None else {**attributes, IP: address}
        return located(attributes, self.places)

    def _origin(self, request: Request) -> str | None:
        peer = request.client.host if request.client else None
        header, proxies = self.settings.header, self.settings.proxies
        address = origin(peer, header, request.headers.getlist(header), proxies)
        return None if address is None else str(address)


def whereabouts(settings: Geo) -> Whereabouts:
    """What ``settings`` ask for. Raises InvalidInput when the database cannot be opened."""
    return Whereabouts(open_places(settings.database), settings)
