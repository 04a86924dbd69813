"""From a pydantic error to the problems a person can act on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from turnout.domain.errors import Problem


class Faults(ValueError):
    """Several problems of one model at once, for its validator to raise; their paths begin at the model."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))


def problems_of(error: ValidationError, model: type[BaseModel]) -> tuple[Problem, ...]:
    """Every fault in ``error`` as a Problem; ``model`` is what was validated and gives the names to suggest."""
    return tuple(problem for item in error.errors(include_url=False) for problem in _problems(item, model))


def suggestion(name: str, known: list[str]) -> str:
    """A remedy for an unknown name: the nearest known one, or all of them."""
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return "known here: " + ", ".join(sorted(known))


def path_of(location: tuple[int | str, ...]) -> str:
    """``("gates", 0, "min")`` as ``gates[0].min``."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _problems(item: ErrorDetails, model: type[BaseModel]) -> Iterator[Problem]:
    fault = item.get("ctx", {}).get("error")
    if not isinstance(fault, Faults):
        yield _problem(item, model)
        return
    at = path_of(tuple(_without_tags(item["loc"], model)))
    for problem in fault.problems:
        yield replace(problem, path=".".join(filter(None, (at, problem.path))))


def _problem(item: ErrorDetails, model: type[BaseModel]) -> Problem:
    location = tuple(_without_tags(item["loc"], model))
    value = _shown(item["input"])
    match item["type"]:
        case "extra_forbidden":
            owner = _model_at(model, item["loc"][:-1])
            known = [f.alias or name for name, f in owner.model_fields.items()] if owner else []
            return Problem(path_of(location), "unknown field", suggestion(str(location[-1]), known), value)
        case "model_type" | "model_attributes_type" | "dict_type":
            return Problem(path_of(location), "is not a mapping", "write its fields by name: {field: value}", value)
        case "missing":
            return Problem(path_of(location), "is required", "add it")
        case "union_tag_not_found":
            known = _tags_at(model, item["loc"])
            return Problem(path_of(location), "needs a kind", f"one of {', '.join(known)}")
        case "union_tag_invalid":
            tag = str(item.get("ctx", {}).get("tag", ""))
            return Problem(
                f"{path_of(location)}.kind", "unknown kind", suggestion(tag, _tags_at(model, item["loc"])), tag
            )
        case "value_error":
            message, _, remedy = str(item.get("ctx", {}).get("error", "")).partition("; ")
            return Problem(path_of(location), message, remedy, value)
        case _:
            return Problem(path_of(location), _sentence(item["msg"]), "", value)


def _sentence(message: str) -> str:
    return message[:1].lower() + message[1:]


def _shown(value: object) -> str:
    text = repr(value)
    return "" if isinstance(value, dict) else text if len(text) <= 60 else text[:57] + "..."


def _without_tags(location: tuple[int | str, ...], model: type[BaseModel]) -> Iterator[int | str]:
    """``location`` without the union tags pydantic puts in: they are no part of what the person wrote."""
    kind: Any = model
    for part in location:
        if _is_tag(kind, part):
            kind = _member(kind, part)
            continue
        yield part
        kind = _child(kind, part)


def _model_at(model: type[BaseModel], location: tuple[int | str, ...]) -> type[BaseModel] | None:
    kind = _plain(_kind_at(model, location))
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _tags_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The kinds that the union at ``location`` knows."""
    return [str(tag) for member in _members(_kind_at(model, location)) for tag in _tags(member)]


def _kind_at(model: type[BaseModel], location: tuple[int | str, ...]) -> Any:
    kind: Any = model
    for part in location:
        kind = _member(kind, part) if _is_tag(kind, part) else _child(kind, part)
    return kind


def _members(kind: Any) -> list[type[BaseModel]]:
    return [a for a in get_args(_plain(kind)) if isinstance(a, type) and issubclass(a, BaseModel)]


def _tags(member: type[BaseModel]) -> tuple[Any, ...]:
    field = member.model_fields.get("kind")
    return get_args(field.annotation) if field else ()


def _is_tag(kind: Any, part: int | str) -> bool:
    return len(_members(kind)) > 1 and any(part in _tags(m) for m in _members(kind))


def _member(kind: Any, part: int | str) -> Any:
    return next((m for m in _members(kind) if part in _tags(m)), None)


def _child(kind: Any, part: int | str) -> Any:
    kind = _plain(kind)
    if isinstance(part, int):
        return next((a for a in get_args(kind) if a is not Ellipsis), None)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        named = {f.alias or name: f for name, f in kind.model_fields.items()}
        return named[part].annotation if part in named else None
    args = get_args(kind)
    return args[1] if get_origin(kind) is dict else args[0] if len(args) == 1 else None


def _plain(annotation: Any) -> Any:
    """``annotation`` without what pydantic is told about it, and without the None that may stand for it."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    args = [a for a in get_args(annotation) if a is not type(None)]
    return _plain(args[0]) if len(args) == 1 and type(None) in get_args(annotation) else annotation
