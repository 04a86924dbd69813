"""Any HTTP endpoint that answers JSON, as a source."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from urllib.parse import quote

import httpx

from turnout.adapters.sources._http import Exchange, exchange, parse, replaced
from turnout.domain import plan
from turnout.domain.errors import SourceError
from turnout.domain.pointers import kind_of, walk
from turnout.ports import FractionReading, PointReading, Question

_VARIABLE = re.compile(r"\$(?:(\$)|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})")


class JsonSource:
    """Reads one number, or a numerator and a denominator, from the answer to a GET.

    An absent or null value, NaN and infinities are "no data"; anything else that is no number is an error.
    ``environ`` holds what ``$NAME`` and ``${NAME}`` in a header stand for; ``$$`` is a dollar sign.
    """

    def __init__(self, http: httpx.AsyncClient, environ: Mapping[str, str]) -> None:
        self._http = http
        self._environ = environ

    async def read(self, question: Question) -> PointReading | FractionReading:
        """The reading now. A fraction needs both its numbers; without one of them there is no data.

        Raises:
            SourceError: no answer, a status other than 2xx, no JSON, or no number where the pointer leads.
        """
        source = question.gate.source
        if not isinstance(source, plan.JsonSource):
            raise TypeError(f"a JSON source cannot answer a gate on a {source.kind} source")
        document = await self._get(source, question)
        if source.pointer is not None:
            return PointReading(_number(document, source.pointer, "pointer"))
        if source.numerator is None or source.denominator is None:
            raise SourceError("the source has no pointer, nor numerator and denominator; write either")
        events = _number(document, source.numerator, "numerator")
        total = _number(document, source.denominator, "denominator")
        return FractionReading(0.0, 0.0) if events is None or total is None else FractionReading(events, total)

    async def _get(self, source: plan.JsonSource, question: Question) -> object:
        headers = {name: expand(value, name, self._environ) for name, value in source.headers.items()}
        url = replaced(source.url, question, lambda value: quote(value, safe=""))
        answer = await exchange(self._http, Exchange(url, source.timeout, headers))
        if not httpx.codes.is_success(answer.status):
            raise SourceError(f"{answer.host} answers with status {answer.status}")
        return parse(answer)


def expand(value: str, header: str, environ: Mapping[str, str]) -> str:
    """``value`` with its variables replaced.

    Raises:
        SourceError: a variable is not set, or what results cannot be sent; the value itself is never shown.
    """
    names = {found[2] or found[3] for found in _VARIABLE.finditer(value) if not found[1]}
    unset = sorted(names - set(environ))
    if unset:
        raise SourceError(f"the header {header} needs the environment variable {unset[0]}, which is not set")
    full = _VARIABLE.sub(lambda found: found[1] or environ[found[2] or found[3]], value)
    if not (full.isascii() and full.isprintable()):
        raise SourceError(f"the header {header} has characters that cannot be sent; use printable ASCII")
    return full


def _number(document: object, pointer: str, field: str) -> float | None:
    """The finite number ``pointer`` leads to; None for no data."""
    try:
        value = walk(document, pointer)
    except ValueError as error:
        raise SourceError(f"the {field} {pointer} {error}") from error
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SourceError(f"the {field} {pointer} leads to {kind_of(value)}, not to a number")
    return _finite(value)


def _finite(value: float) -> float | None:
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
