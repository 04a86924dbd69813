"""The one place where Turnout's errors become Temporal's."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from temporalio.exceptions import ApplicationError

from turnout.domain.errors import TurnoutError

LONGEST = 2000


@contextmanager
def as_application_error() -> Generator[None]:
    """Raise every `TurnoutError` as an ApplicationError of its code; only a retryable one is tried again."""
    try:
        yield
    except TurnoutError as error:
        raise ApplicationError(str(error)[:LONGEST], type=error.code, non_retryable=not error.retryable) from error
