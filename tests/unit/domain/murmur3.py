"""MurmurHash3 x86 32 from the standard library alone: a second opinion on the one hash."""

from __future__ import annotations

_MASK = 0xFFFFFFFF


def murmur3_x86_32(data: bytes, seed: int = 0) -> int:
    """The unsigned 32-bit hash of ``data``."""
    state = seed
    body = len(data) - len(data) % 4
    for start in range(0, body, 4):
        state ^= _scramble(int.from_bytes(data[start : start + 4], "little"))
        state = (_rotate(state, 13) * 5 + 0xE6546B64) & _MASK
    if data[body:]:
        state ^= _scramble(int.from_bytes(data[body:], "little"))
    return _finish(state ^ len(data))


def bucket(seed: str, unit: str, total: int) -> int:
    """The formula of flagd's fractional, version 2, on top of it."""
    return (murmur3_x86_32((seed + unit).encode()) * total) >> 32


def _scramble(block: int) -> int:
    return (_rotate(block * 0xCC9E2D51 & _MASK, 15) * 0x1B873593) & _MASK


def _rotate(value: int, bits: int) -> int:
    return (value << bits | value >> (32 - bits)) & _MASK


def _finish(state: int) -> int:
    state = ((state ^ state >> 16) * 0x85EBCA6B) & _MASK
    state = ((state ^ state >> 13) * 0xC2B2AE35) & _MASK
    return state ^ state >> 16
