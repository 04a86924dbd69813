"""Every error as an RFC 9457 problem document, and under /ofrep in the words of OFREP."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from turnout.domain.errors import Conflict, Forbidden, InvalidInput, NotFound, Problem, TurnoutError, Unavailable
from turnout.domain.problems import path_of

logger = logging.getLogger("turnout.api")

PROBLEM_JSON: Final = "application/problem+json"
OFREP_PREFIX: Final = "/ofrep/"
MOST_PROBLEMS: Final = 100
RETRY_AFTER: Final = {"Retry-After": "1"}

STATUS: Final[Mapping[type[TurnoutError], int]] = {
    InvalidInput: 400,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    Unavailable: 503,
    TurnoutError: 500,
}
"""The status of every error, by its nearest class."""

_TITLES: Final[Mapping[str, str]] = {
    "invalid_input": "The input cannot be used",
    "unauthorized": "Who is asking?",
    "forbidden": "The caller may not do this",
    "not_found": "There is no such thing",
    "method_not_allowed": "The method does not exist here",
    "conflict": "The present state forbids it",
    "rollout_open": "The flag has an open rollout",
    "stale_generation": "A newer change has been published",
    "command_refused": "The rollout cannot take this command now",
    "too_large": "The request is too large",
    "unsupported_media_type": "The body is not JSON",
    "unavailable": "Something this needs does not answer",
    "source_error": "A metric source failed",
    "internal": "Something went wrong here",
}

_CODES: Final[Mapping[int, str]] = {
    400: "invalid_input",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    503: "unavailable",
}


class FieldProblem(BaseModel):
    """One thing wrong with an input: where, what, and what to write instead."""

    path: str = Field(description="Dotted, such as gates[0].min; empty for the document itself.")
    message: str
    remedy: str = ""
    value: str = Field(default="", description="What was sent, shortened.")
    line: int | None = None


class ProblemDocument(BaseModel):
    """An error (RFC 9457). `code` is stable and machine-readable."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    problems: list[FieldProblem] = []


def status_of(error: TurnoutError) -> int:
    """The status ``error`` is answered with."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def problem_response(
    path: str,
    status: int,
    code: str,
    detail: str,
    problems: Sequence[Problem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The error answer to a request for ``path``: in OFREP's form below /ofrep, a problem document elsewhere."""
    if path.startswith(OFREP_PREFIX):
        body = to_json({"errorCode": "GENERAL", "errorDetails": detail})
        return Response(body, status, headers, "application/json")
    document = ProblemDocument(
        type=f"urn:turnout:problem:{code}",
        title=_TITLES.get(code, "Something is wrong"),
        status=status,
        detail=detail,
        code=code,
        problems=[
            FieldProblem(path=p.path, message=p.message, remedy=p.remedy, value=p.value, line=p.line)
            for p in problems[:MOST_PROBLEMS]
        ],
    )
    return Response(to_json(document), status, headers, PROBLEM_JSON)


def error_response(path: str, error: TurnoutError) -> Response:
    """``error`` as the answer to a request for ``path``."""
    problems = error.problems if isinstance(error, InvalidInput) else ()
    headers = RETRY_AFTER if error.retryable else None
    return problem_response(path, status_of(error), error.code, _detail(error), problems, headers)


def install(app: FastAPI) -> None:
    """Answer every error of ``app`` in the same shape."""
    app.add_exception_handler(TurnoutError, _on_turnout_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(Exception, _on_unexpected)


def _detail(error: TurnoutError) -> str:
    if not isinstance(error, InvalidInput):
        return str(error)
    shown = [str(problem) for problem in error.problems[:MOST_PROBLEMS]]
    more = len(error.problems) - len(shown)
    return "\n".join([*shown, *([f"and {more} more"] if more else [])])


async def _on_turnout_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, TurnoutError):
        raise error
    return error_response(request.url.path, error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    path, status, headers = request.url.path, error.status_code, dict(error.headers or {})
    detail = str(error.detail)
    if status == 404:
        detail = f"there is nothing at {path}; /docs lists what there is"
    elif status == 405:
        headers["Allow"] = _allowed(request)
        detail = f"{path} does not take {request.method}; use {headers['Allow']}"
    return problem_response(path, status, _CODES.get(status, f"http_{status}"), detail, headers=headers)


def _allowed(request: Request) -> str:
    """The methods of all routes at this path; the router itself names only those of one."""
    template = getattr(request.scope.get("route"), "path_format", "")
    item: Mapping[str, object] = request.app.openapi()["paths"].get(template, {})
    return ", ".join(sorted(method.upper() for method in item)) or "GET"


async def _on_validation_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    return error_response(request.url.path, InvalidInput(_problem(item) for item in error.errors()))


def _problem(item: Mapping[str, Any]) -> Problem:
    """FastAPI's finding; the first part of its location says where the field is: body, query or path."""
    where, *path = item["loc"]
    value = item.get("input")
    shown = "" if value is None or isinstance(value, dict | list) else repr(value)[:60]
    message = str(item["msg"])
    if item["type"] == "json_invalid":
        return Problem("", f"is not JSON: {item.get('ctx', {}).get('error', message)}", "send a JSON document")
    if item["type"] == "missing":
        return Problem(path_of(tuple(path)), "is required", f"add it to the {where}")
    if item["type"] == "extra_forbidden":
        return Problem(path_of(tuple(path)), "unknown field", "remove it")
    return Problem(path_of(tuple(path)), message[:1].lower() + message[1:], "", shown)


async def _on_unexpected(request: Request, error: Exception) -> Response:
    # The server logs the traceback itself.
    logger.error("%s %s failed: %s", request.method, request.url.path, type(error).__name__)
    detail = "an unexpected error, which the log of the API tells more about"
    return problem_response(request.url.path, 500, "internal", detail)
