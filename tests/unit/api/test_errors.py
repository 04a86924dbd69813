"""The one table from errors to answers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from api.errors import MOST_PROBLEMS, error_response, status_of
from turnout.domain.errors import (
    CommandRefused,
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    Problem,
    RolloutOpen,
    SourceError,
    StaleGeneration,
    TurnoutError,
    Unavailable,
)


def _all(kind: type[TurnoutError]) -> Iterator[type[TurnoutError]]:
    yield kind
    for sub in kind.__subclasses__():
        if sub.__module__.startswith("turnout.domain"):
            yield from _all(sub)


STATUSES = {
    TurnoutError: 500,
    InvalidInput: 400,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    RolloutOpen: 409,
    StaleGeneration: 409,
    CommandRefused: 409,
    Unavailable: 503,
    SourceError: 503,
}


@pytest.mark.parametrize("kind", list(_all(TurnoutError)))
def test_every_error_has_a_status_and_keeps_its_code(kind: type[TurnoutError]) -> None:
    """An error added to the domain needs a line in this table."""
    error = InvalidInput([Problem("a", "is wrong")]) if kind is InvalidInput else kind("why")
    answer = error_response("/v1/x", error)
    document = json.loads(bytes(answer.body))
    assert (status_of(error), document["status"], document["code"]) == (STATUSES[kind], STATUSES[kind], kind.code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert ("retry-after" in answer.headers) == kind.retryable


def test_a_flood_of_problems_is_cut() -> None:
    """Thousands of faults are answered with the first of them and how many there are."""
    error = InvalidInput(Problem(f"outcomes[{n}].id", "is required") for n in range(5000))
    document = json.loads(bytes(error_response("/v1/outcomes", error).body))
    assert len(document["problems"]) == MOST_PROBLEMS
    assert document["detail"].endswith(f"and {5000 - MOST_PROBLEMS} more")


def test_below_ofrep_errors_speak_ofrep() -> None:
    """OpenFeature's clients read errorCode and errorDetails from plain JSON."""
    answer = error_response("/ofrep/v1/evaluate/flags/x", Unavailable("away"))
    assert json.loads(bytes(answer.body)) == {"errorCode": "GENERAL", "errorDetails": "away"}
    assert answer.headers["content-type"] == "application/json"
