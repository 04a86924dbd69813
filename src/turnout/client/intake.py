"""What the controller's answer to a batch of outcomes means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

import httpx

from turnout.client.http import DENIED, describe, json_object, retry_after

_ENTRY: Final = re.compile(r"(?:outcomes)?\[(\d+)\]")
_BAD_BATCH: Final = frozenset({400, 413, 422})


@dataclass(frozen=True, slots=True)
class Accepted:
    """The controller has the batch; ``unknown`` of it were of flags or variants it does not know, and count nowhere.

    ``rejected`` counts, by metric, single values outside their declared bounds: their outcomes are kept.
    """

    unknown: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class Refused:
    """Something in the batch can never be taken: the ``entries`` (0-based), if the answer names them."""

    entries: frozenset[int]
    why: str


@dataclass(frozen=True, slots=True)
class Later:
    """The same batch may be taken another time, after ``wait_s`` seconds if the answer says so."""

    why: str
    wait_s: float | None
    denied: bool = False


Verdict = Accepted | Refused | Later


def judge(answer: httpx.Response, size: int) -> Verdict:
    """What to do about a batch of ``size`` outcomes that got ``answer``."""
    if answer.is_success:
        receipt = json_object(answer)
        return Accepted(_unknown(receipt, size), _rejected(receipt))
    if answer.status_code in _BAD_BATCH:
        return Refused(_entries(answer, size), describe(answer))
    return Later(describe(answer), retry_after(answer), answer.status_code in DENIED)


def _unknown(receipt: Mapping[str, object], size: int) -> int:
    count = receipt.get("unknown")
    return count if isinstance(count, int) and 0 < count <= size else 0


def _rejected(receipt: Mapping[str, object]) -> dict[str, int]:
    counts = receipt.get("rejected")
    found = cast("dict[str, object]", counts) if isinstance(counts, dict) else {}
    return {metric: count for metric, count in found.items() if isinstance(count, int) and count > 0}


def _entries(answer: httpx.Response, size: int) -> frozenset[int]:
    found = (_ENTRY.match(path) for path in _paths(json_object(answer).get("problems")))
    named = (int(match[1]) for match in found if match)
    return frozenset(entry for entry in named if entry < size)


def _paths(problems: object) -> Iterable[str]:
    for problem in cast("list[object]", problems) if isinstance(problems, list) else []:
        path = cast("dict[str, object]", problem).get("path") if isinstance(problem, dict) else None
        if isinstance(path, str):
            yield path
