"""The answer systems that the service can ask; which variant is which one of them is said in `pick`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import httpx
from pydantic import BaseModel, ValidationError

Shape = TypeVar("Shape", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer of a system: its ``text``, and the ids or addresses of its ``sources``, best first.

    ``cost`` is in USD; None where the system does not tell it.
    """

    text: str
    sources: tuple[str, ...] = ()
    cost: float | None = None


Ask = Callable[..., Awaitable[Reply]]
"""A system: a coroutine function that takes the ``question``."""


class SystemFailed(Exception):
    """A system answered, but with no answer; the message says what it gave instead."""


def answered(response: httpx.Response, shape: type[Shape], system: str) -> Shape:
    """What ``system`` answered, of the ``shape`` that is expected.

    Raises:
        httpx.HTTPStatusError: it refused.
        SystemFailed: it answered something else.
    """
    try:
        return shape.model_validate_json(response.raise_for_status().content)
    except ValidationError as error:
        raise SystemFailed(f"{system}'s answer is not as expected: {error.errors()[0]['msg']}") from error
