"""The OpenAPI description: FastAPI's, with what it cannot know."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from api.errors import OFREP_PREFIX, PROBLEM_JSON, ProblemDocument
from api.schemas import EvaluationFailure, EvaluationRequest, FlagBody, FlagsBody, OutcomeBatch

SUMMARY = "Progressive delivery on evidence: flags, rollouts, outcomes, and OpenFeature evaluation."
_BY_HAND = (FlagBody, FlagsBody, OutcomeBatch, EvaluationRequest, EvaluationFailure, ProblemDocument)
_METHODS = frozenset({"get", "put", "post", "delete"})


def describe(app: FastAPI) -> dict[str, Any]:
    """The description of ``app``; made once."""
    if app.openapi_schema is None:
        app.openapi_schema = _made(app)
    return app.openapi_schema


def _made(app: FastAPI) -> dict[str, Any]:
    schema = get_openapi(title=app.title, version=app.version, summary=SUMMARY, routes=app.routes)
    components: dict[str, Any] = schema.setdefault("components", {})
    _, definitions = models_json_schema(
        [(model, "validation") for model in _BY_HAND], ref_template="#/components/schemas/{model}"
    )
    components["schemas"] = {**definitions["$defs"], **components.get("schemas", {})}
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    # The last one: an API on a loopback address may run without tokens.
    schema["security"] = [{"bearer": []}, {"key": []}, {}]
    for path, item in schema["paths"].items():
        for method, operation in item.items():
            if method in _METHODS:
                _complete(path, operation)
    return schema


def _complete(path: str, operation: dict[str, Any]) -> None:
    """Every operation may answer a problem, and none answers FastAPI's own kind of it."""
    responses: dict[str, Any] = operation["responses"]
    responses.pop("422", None)
    ofrep = path.startswith(OFREP_PREFIX)
    kind, model = ("application/json", EvaluationFailure) if ofrep else (PROBLEM_JSON, ProblemDocument)
    reference = {"$ref": f"#/components/schemas/{model.__name__}"}
    responses["default"] = {"description": "What is wrong", "content": {kind: {"schema": reference}}}
