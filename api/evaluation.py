"""OFREP: from a request's body to resolutions, and from resolutions to answers. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final, cast

from pydantic import JsonValue
from pydantic_core import from_json, to_json

from api.feed import Edition
from turnout.domain.targeting import UNIT
from turnout.resolver import Resolution

_STATUS: Final[Mapping[str, int]] = {"FLAG_NOT_FOUND": 404}


class Unreadable(Exception):
    """A body that is no evaluation request; ``code`` is OFREP's."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def read_context(body: bytes) -> tuple[str | None, dict[str, object]]:
    """The unit and the attributes of a request; neither has to be there. Raises Unreadable."""
    try:
        request = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise Unreadable("PARSE_ERROR", f'the body is not JSON ({error}); send {{"context": {{…}}}}') from error
    if not isinstance(request, dict):
        raise Unreadable("PARSE_ERROR", 'the body is no object; send {"context": {…}}')
    context = cast("dict[str, object]", request).get("context")
    if context is None:
        return None, {}
    if not isinstance(context, dict):
        raise Unreadable("INVALID_CONTEXT", "context is no object; send its attributes by name")
    attributes = cast("dict[str, object]", context)
    unit = attributes.pop(UNIT, None)
    if unit is not None and not isinstance(unit, str):
        raise Unreadable("INVALID_CONTEXT", f"{UNIT} has to be a text; quote it")
    return unit, attributes


def single(edition: Edition, resolution: Resolution) -> tuple[int, bytes]:
    """The status and the body that answer one evaluation."""
    if resolution.error_code is not None:
        return _STATUS.get(resolution.error_code, 400), to_json(_failure(resolution))
    return 200, _written(edition, resolution)


def bulk(edition: Edition, resolutions: Sequence[Resolution]) -> tuple[str, bytes]:
    """The ETag and the body that answer the evaluation of all flags.

    The ETag is that of the evaluated flags alone: it stays while they stay the same for this context, whatever else
    is published.
    """
    flags = b",".join(_in_bulk(edition, resolution) for resolution in resolutions)
    etag = f'"{sha256(flags).hexdigest()[:32]}"'
    return etag, b'{"flags":[' + flags + b'],"metadata":' + to_json(_plain(edition.snapshot.metadata)) + b"}"


def failure(code: str, detail: str, key: str | None = None) -> bytes:
    """The body of an evaluation that failed."""
    return to_json({**({} if key is None else {"key": key}), "errorCode": code, "errorDetails": detail})


def _in_bulk(edition: Edition, resolution: Resolution) -> bytes:
    if resolution.error_code is not None:
        return to_json(_failure(resolution))
    known = edition.answers.get(id(resolution))
    if known is not None:
        return known[1]
    written = to_json(_success(edition, resolution, shared=False))
    edition.answers[id(resolution)] = (resolution, written)
    return written


def _written(edition: Edition, resolution: Resolution) -> bytes:
    return to_json(_success(edition, resolution, shared=True))


def _success(edition: Edition, resolution: Resolution, *, shared: bool) -> dict[str, object]:
    """OFREP's success; without a value the caller's default applies, but clients still need a variant."""
    metadata = _plain(resolution.metadata)
    if not shared:
        # The set's metadata stands once for all flags; in each it would mark every flag as changed.
        metadata = {name: value for name, value in metadata.items() if name not in edition.snapshot.metadata}
    found: dict[str, object] = {
        "key": resolution.key,
        "reason": resolution.reason,
        "variant": resolution.variant or "",
        "metadata": metadata,
    }
    if resolution.variant is not None:
        found["value"] = _typed(edition, resolution)
    return found


def _typed(edition: Edition, resolution: Resolution) -> JsonValue:
    """The value; a float flag's is written with a fraction even when it is whole, because clients check."""
    value = resolution.value
    if resolution.key in edition.floats and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def _failure(resolution: Resolution) -> dict[str, object]:
    return {
        "key": resolution.key,
        "errorCode": resolution.error_code,
        "errorDetails": resolution.error_message or "the flag cannot be evaluated",
    }


def _plain(metadata: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """What OFREP allows as metadata: texts, numbers, booleans."""
    return {name: value for name, value in metadata.items() if isinstance(value, str | int | float | bool)}
