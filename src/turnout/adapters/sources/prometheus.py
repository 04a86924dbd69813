"""A Prometheus server as a source: instant queries at the moment of the question."""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from turnout.adapters.sources._http import Answer, Exchange, exchange, replaced
from turnout.domain import plan
from turnout.domain.errors import SourceError
from turnout.ports import FractionReading, PointReading, Question

_LONGEST = 120


class PrometheusSource:
    """Reads one number, or a numerator and a denominator, through ``POST /api/v1/query``.

    A query has to give one sample or a scalar. An empty result, NaN and infinities are "no data".
    """

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def read(self, question: Question) -> PointReading | FractionReading:
        """The reading at ``question.now``.

        A numerator without samples beside a denominator with some counts 0 events: Prometheus has no series for
        what has never happened.

        Raises:
            SourceError: no answer, an error, or a result of another shape.
        """
        source = question.gate.source
        if not isinstance(source, plan.PrometheusSource):
            raise TypeError(f"a Prometheus source cannot answer a gate on a {source.kind} source")
        if source.query is not None:
            value = await self._ask(source, source.query, question)
            return PointReading(value if value is not None and math.isfinite(value) else None)
        if source.numerator is None or source.denominator is None:
            raise SourceError("the source has no query, nor numerator and denominator; write either")
        events = await self._ask(source, source.numerator, question)
        return _fraction(events, await self._ask(source, source.denominator, question))

    async def _ask(self, source: plan.PrometheusSource, query: str, question: Question) -> float | None:
        form = {
            "query": fill(query, question),
            "time": f"{question.now.timestamp():.3f}",
            "timeout": f"{math.ceil(source.timeout.total_seconds())}s",
        }
        url = f"{source.url.rstrip('/')}/api/v1/query"
        answer = await exchange(self._http, Exchange(url, source.timeout, {}, form))
        return _sample(answer, query)


def fill(query: str, question: Question) -> str:
    """``query`` with its placeholders replaced, each value escaped for a quoted PromQL string.

    All other braces are PromQL's own and stay.
    """
    return replaced(query, question, _escape)


def _escape(value: str) -> str:
    # PromQL takes \" only within "…" and \' only within '…'; the hexadecimal form holds in both.
    plain = value.replace("\\", "\\\\").replace("\n", "\\n")
    return re.sub(r"[\"'`]", lambda found: f"\\x{ord(found[0]):02x}", plain)


class _Part(BaseModel):
    """A part of an answer; Prometheus may add fields to it at any time."""

    model_config = ConfigDict(extra="ignore")


class _Series(_Part):
    value: tuple[float, str] | None = None


class _Vector(_Part):
    resultType: Literal["vector"]  # noqa: N815 - Prometheus's name
    result: list[_Series]


class _Scalar(_Part):
    resultType: Literal["scalar"]  # noqa: N815 - Prometheus's name
    result: tuple[float, str]


class _Other(_Part):
    resultType: Literal["matrix", "string"]  # noqa: N815 - Prometheus's name


class _Success(_Part):
    status: Literal["success"]
    data: Annotated[_Vector | _Scalar | _Other, Field(discriminator="resultType")]


class _Failure(_Part):
    status: Literal["error"]
    errorType: str = "error"  # noqa: N815 - Prometheus's name
    error: str = ""


_REPLY = TypeAdapter[_Success | _Failure](Annotated[_Success | _Failure, Field(discriminator="status")])


def _sample(answer: Answer, query: str) -> float | None:
    """The one number of a query's answer; None for an empty vector."""
    match _reply(answer, query):
        case _Failure() as failure:
            reason = f"{failure.errorType}: {failure.error[:_LONGEST]}"
            raise SourceError(f"{answer.host} refuses {_named(query)} ({reason})")
        case _Success(data=_Scalar(result=(_, value))):
            return _number(value, query)
        case _Success(data=_Vector(result=series)):
            return _single(series, query)
        case _Success(data=data):
            raise SourceError(f"{_named(query)} gives a {data.resultType}; write an instant query for one number")


def _reply(answer: Answer, query: str) -> _Success | _Failure:
    try:
        reply = _REPLY.validate_json(answer.body)
    except ValidationError as error:
        if not httpx.codes.is_success(answer.status):
            raise SourceError(f"{answer.host} answers {_named(query)} with status {answer.status}") from error
        raise SourceError(f"{answer.host} answers {_named(query)} with something that is not Prometheus's") from error
    if not httpx.codes.is_success(answer.status) and isinstance(reply, _Success):
        raise SourceError(f"{answer.host} answers {_named(query)} with status {answer.status}")
    return reply


def _single(series: list[_Series], query: str) -> float | None:
    if not series:
        return None
    if len(series) > 1:
        remedy = "aggregate them to one, with sum(…) for example"
        raise SourceError(f"{_named(query)} gives {len(series)} series; {remedy}")
    if series[0].value is None:
        remedy = "take one number from it, with histogram_quantile(…) for example"
        raise SourceError(f"{_named(query)} gives a histogram; {remedy}")
    return _number(series[0].value[1], query)


def _number(text: str, query: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise SourceError(f"{_named(query)} gives {text[:40]!r}, which is no number") from error


def _fraction(events: float | None, total: float | None) -> FractionReading:
    if total is None or not math.isfinite(total) or (events is not None and not math.isfinite(events)):
        return FractionReading(0.0, 0.0)
    return FractionReading(events or 0.0, total)


def _named(query: str) -> str:
    return f"the query {query if len(query) <= _LONGEST else query[:_LONGEST] + '…'}"
