"""Bodies that are read as plain data and checked by the domain, which names every fault with its remedy."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends
from pydantic_core import from_json
from starlette.exceptions import HTTPException
from starlette.requests import Request

from turnout.domain.errors import InvalidInput, Problem


async def raw_json(request: Request) -> bytes:
    """The body's bytes, if it claims to be JSON. Raises HTTPException (413, 415)."""
    # A page of another site can send other types without asking first.
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise HTTPException(415, f"the body is {kind or 'of no stated type'}; send Content-Type: application/json")
    return await request.body()


async def json_body(request: Request) -> Any:
    """The body as plain data. Raises InvalidInput, HTTPException (413, 415)."""
    body = await raw_json(request)
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidInput([Problem("", f"is not JSON: {error}", "send a JSON document")]) from error


JsonBody = Annotated[Any, Depends(json_body)]
"""A parameter that is the body as plain data."""


def documented(schema: str) -> dict[str, Any]:
    """The OpenAPI description of a body that is read by hand; ``schema`` names a component."""
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": reference}}}}
