"""IP addresses: reading them, and whose a request is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.domain.addresses import has_a_place, origin, parse_address, parse_network

INSIDE = [parse_network("10.0.0.0/8"), parse_network("fd00::/8")]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("81.2.69.142", "81.2.69.142"),
        (" 81.2.69.142:443 ", "81.2.69.142"),
        ("2a02:100::1", "2a02:100::1"),
        ("[2a02:100::1]:443", "2a02:100::1"),
        ("::ffff:81.2.69.142", "81.2.69.142"),
    ],
)
def test_addresses_are_read_with_and_without_port(text: str, address: str) -> None:
    """IPv4 and IPv6; an IPv4 address mapped into IPv6 is the IPv4 address."""
    assert str(parse_address(text)) == address


@pytest.mark.parametrize("text", ["", "unknown", "81.2.69", "081.2.69.142", "81.2.69.142/8", "1" * 200, None, 42, "é"])
def test_what_is_no_address_is_none(text: object) -> None:
    """Never an error: it comes from outside."""
    assert parse_address(text) is None


@given(st.text(max_size=60))
def test_reading_never_raises(text: str) -> None:
    """Whatever a caller sends."""
    parse_address(text)
    origin("10.0.0.1", "Forwarded", [text], INSIDE)


@pytest.mark.parametrize("text", ["10.1.2.3", "192.168.0.1", "127.0.0.1", "::1", "fe80::1", "224.0.0.1", "100.64.0.1"])
def test_private_and_reserved_addresses_have_no_place(text: str) -> None:
    """They say nothing about where somebody is."""
    address = parse_address(text)
    assert address is not None
    assert not has_a_place(address)


def from_proxy(header: str, *lines: str, peer: str = "10.0.0.1") -> str:
    """The origin of a request that came from ``peer``."""
    return str(origin(peer, header, lines, INSIDE))


def test_headers_are_believed_of_trusted_proxies_alone() -> None:
    """Whoever connects directly is the origin, whatever it writes."""
    assert from_proxy("X-Forwarded-For", "8.8.8.8", peer="81.2.69.142") == "81.2.69.142"
    assert from_proxy("X-Forwarded-For", "8.8.8.8") == "8.8.8.8"


def test_what_the_caller_wrote_itself_is_not_believed() -> None:
    """The last address that no trusted proxy stands for counts, over several lines of the header too."""
    assert from_proxy("X-Forwarded-For", "1.1.1.1, 81.2.69.142, fd00::5") == "81.2.69.142"
    assert from_proxy("X-Forwarded-For", "1.1.1.1", "81.2.69.142", "10.9.9.9") == "81.2.69.142"


def test_the_standard_header_is_read() -> None:
    """RFC 7239: quoted, with a port, among other parameters."""
    assert from_proxy("Forwarded", 'proto=https;For="[2a02:100::5]:4711";by=x, for=10.0.0.7') == "2a02:100::5"


@pytest.mark.parametrize("line", ["for=unknown", "for=_hidden", "by=10.0.0.1", "", "8.8.8.8, for=unknown"])
def test_a_proxy_that_names_nobody_leaves_it_unknown(line: str) -> None:
    """Nothing further left is believed in its place."""
    assert origin("10.0.0.1", "Forwarded", [line], INSIDE) is None


def test_a_proxy_that_writes_nothing_is_the_origin() -> None:
    """Its own health checks come without the header."""
    assert from_proxy("X-Forwarded-For") == "10.0.0.1"
