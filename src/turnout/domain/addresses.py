"""IP addresses: which one a request comes from, and whether it can have a place on the map. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

FORWARDED: Final = "forwarded"
"""The header of RFC 7239, whose elements are ``for=…;by=…``; every other header lists bare addresses."""

_LONGEST: Final = 100
_FOR: Final = re.compile(r'(?:^|;)\s*for\s*=\s*(?:"([^"]*)"|([^;"\s]*))', re.IGNORECASE)


def parse_address(text: object) -> Address | None:
    """The address in ``text``, with or without a port: ``81.2.69.142:443``, ``[2001:db8::1]:443``; None if it is none.

    An IPv4 address mapped into IPv6 (``::ffff:81.2.69.142``) is the IPv4 address.
    """
    if not isinstance(text, str) or len(text) > _LONGEST:
        return None
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        found = ip_address(bare)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def parse_network(text: str) -> Network:
    """``10.0.0.0/8``, ``fd00::/8`` or one address. Raises ValueError when it is none, or has bits beyond its mask."""
    return ip_network(text.strip())


def has_a_place(address: Address) -> bool:
    """Whether ``address`` is one of the public internet: private, local, reserved and multicast ones have no place."""
    return address.is_global and not address.is_multicast


def origin(peer: object, header: str, lines: Sequence[str], trusted: Iterable[Network]) -> Address | None:
    """The address a request comes from: that of ``peer``, or what its proxies say of it.

    ``lines`` are the values of ``header`` in the order they came. They are believed from the right, for as long as the
    one who wrote them is in ``trusted``: a caller may write into the header whatever it likes, and cannot write behind
    a proxy. None when a trusted proxy names no address.
    """
    known = tuple(trusted)
    found = parse_address(peer)
    named = list(_named(header, lines))
    while found is not None and named and _is_in(found, known):
        found = parse_address(named.pop())
    return found


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks if network.version == address.version)


def _named(header: str, lines: Sequence[str]) -> Iterator[str]:
    """What the header names, the latest proxy's word last; an element without an address as an empty text."""
    for element in ",".join(lines).split(",") if lines else ():
        if header.lower() != FORWARDED:
            yield element
        else:
            found = _FOR.search(element)
            yield (found.group(1) or found.group(2) or "") if found else ""
