"""A small MaxMind DB file of one's own, for tests of what depends on where a user is.

The format: https://maxmind.github.io/MaxMind-DB/ (binary search tree, 24-bit records; data; metadata).
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, ip_network
from pathlib import Path
from typing import Final

Record = Mapping[str, "str | int | Record | list[str | Record]"]
"""What the database says of a network, as GeoIP2 does: ``{"country": {"iso_code": "GB"}}``."""

_MARKER: Final = b"\xab\xcd\xefMaxMind.com"
_STRING, _UINT32, _MAP, _ARRAY = 2, 6, 7, 11
_IPV4_ABOVE: Final = 96

_Node = list["int | None"]


def write_places(path: Path, networks: Mapping[str, Record], *, ipv6: bool = True) -> Path:
    """Write a database in which each of ``networks`` (``81.2.69.0/24``, ``2001:218::/32``) has its record.

    Networks must not overlap; IPv6 ones need ``ipv6``. Gives back ``path``.
    """
    data, tree = bytearray(), _Tree()
    for network, record in networks.items():
        tree.add(_bits(network, ipv6), len(data))
        data += _encoded(record)
    metadata: Record = {
        "node_count": len(tree.nodes),
        "record_size": 24,
        "ip_version": 6 if ipv6 else 4,
        "database_type": "Turnout-Test",
        "languages": ["en"],
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": 0,
        "description": {"en": "made for a test"},
    }
    path.write_bytes(tree.written() + bytes(16) + bytes(data) + _MARKER + _encoded(metadata))
    return path


def country(code: str, continent: str = "", subdivision: str = "") -> Record:
    """The record of a network in country ``code``."""
    parts: Record = {"subdivisions": [{"iso_code": subdivision}]} if subdivision else {}
    above: Record = {"continent": {"code": continent}} if continent else {}
    return {"country": {"iso_code": code}, **above, **parts}


class _Tree:
    """A binary tree over the bits of addresses; a leaf is the offset of its record, as a negative number minus one."""

    def __init__(self) -> None:
        self.nodes: list[_Node] = [[None, None]]

    def add(self, bits: str, offset: int) -> None:
        at = 0
        for bit in bits[:-1]:
            below = self.nodes[at][int(bit)]
            if below is None:
                below = len(self.nodes)
                self.nodes.append([None, None])
                self.nodes[at][int(bit)] = below
            at = below
        self.nodes[at][int(bits[-1])] = -1 - offset

    def written(self) -> bytes:
        count = len(self.nodes)
        return b"".join(_number(side, count).to_bytes(3, "big") for node in self.nodes for side in node)


def _number(side: int | None, count: int) -> int:
    if side is None:
        return count
    return side if side >= 0 else count + 16 + (-1 - side)


def _bits(network: str, ipv6: bool) -> str:
    parsed = ip_network(network)
    bits = f"{int(parsed.network_address):0{parsed.max_prefixlen}b}"[: parsed.prefixlen]
    return "0" * _IPV4_ABOVE + bits if ipv6 and isinstance(parsed, IPv4Network) else bits


def _encoded(value: str | int | Record | list[str | Record]) -> bytes:
    if isinstance(value, str):
        raw = value.encode()
        return _control(_STRING, len(raw)) + raw
    if isinstance(value, int):
        raw = value.to_bytes(4, "big")
        return _control(_UINT32, len(raw)) + raw
    if isinstance(value, list):
        return _control(_ARRAY, len(value)) + b"".join(map(_encoded, value))
    pairs = (_encoded(name) + _encoded(item) for name, item in value.items())
    return _control(_MAP, len(value)) + b"".join(pairs)


def _control(kind: int, size: int) -> bytes:
    """The byte of type and size; types above 7 have a byte of their own."""
    if size >= 29:
        head, more = 29, bytes([size - 29])
    else:
        head, more = size, b""
    return bytes([kind << 5 | head]) + more if kind <= 7 else bytes([head, kind - 7]) + more
