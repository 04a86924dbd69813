"""What can be wrong with a flag beyond the shape of its fields.

These checks read the flag as the person wrote it and pass over what has the wrong shape, so that one look at
a file finds its wrong fields and its wrong references together.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Final

from pydantic import JsonValue

from turnout.domain import targeting
from turnout.domain.bucketing import TOTAL
from turnout.domain.errors import Problem
from turnout.domain.problems import suggestion

MAX_VALUE_DEPTH: Final = 50
"""How deep a variant's value may be nested."""

_MAX_INTEGER: Final = 2**53 - 1

Written = Mapping[str, JsonValue]


def flag_problems(flag: Written) -> Iterator[Problem]:
    """Every fault in one flag's variants, references, shares and rules; paths are relative to the flag."""
    variants = flag.get("variants")
    if isinstance(variants, dict):
        yield from _variant_problems(variants)
    yield from target_problems(flag, "")
    for path, name in _references(flag):
        if isinstance(variants, dict) and name not in variants:
            yield Problem(path, f"there is no variant {name!r}", suggestion(name, [str(v) for v in variants]), name)
    requires, key = flag.get("requires"), flag.get("key")
    if isinstance(requires, dict) and isinstance(key, str) and key in requires:
        yield Problem(f"requires.{key}", "the flag requires itself", "name another flag", key)
    yield from _prefix_problems(flag)
    rules = flag.get("rules")
    if isinstance(rules, list):
        yield from _repeated_names(rules)
        for index, rule in enumerate(rules):
            if isinstance(rule, dict):
                yield from rule_problems(rule, f"rules[{index}].")


def rule_problems(rule: Written, prefix: str = "") -> Iterator[Problem]:
    """Every fault in one rule's condition, target and shares; ``prefix`` leads to the rule."""
    if "if" in rule:
        yield from targeting.check(rule["if"], f"{prefix}if")
    if rule.get("serve") is None and rule.get("split") is None:
        remedy = "add serve: variant, or split: {variant: percentage}"
        yield Problem(prefix.rstrip("."), "the rule serves nothing", remedy)
    yield from target_problems(rule, prefix)


def target_problems(owner: Written, prefix: str) -> Iterator[Problem]:
    """What is wrong with ``serve`` and ``split`` together."""
    split = owner.get("split")
    if split is not None and owner.get("serve") is not None:
        yield Problem(f"{prefix}split", "serve and split exclude each other", "keep one of them")
    if not isinstance(split, dict):
        return
    weights = [exact_weight(share) for share in split.values()]
    known = [weight for weight in weights if weight is not None]
    if len(known) == len(weights) and sum(known) != TOTAL:
        total = f"{Decimal(sum(known)) / 1000:f}"
        yield Problem(f"{prefix}split", "the percentages do not sum to 100", "make them sum to 100", total)


def exact_weight(percent: object) -> int | None:
    """A percentage in 1/100000; None unless it is a number of 0 to 100 with at most three decimals."""
    if isinstance(percent, bool) or not isinstance(percent, int | float | Decimal):
        return None
    # str gives the shortest decimal that a float stands for: what the person wrote.
    exact = Decimal(str(percent))
    if not exact.is_finite() or not 0 <= exact <= 100:
        return None
    weight = exact * (TOTAL // 100)
    return int(weight) if weight == weight.to_integral_value() else None


def env_variant(prefix: str, variants: Iterable[str], stable: str) -> str | None:
    """The variant that settings under ``prefix`` are about: the one of its name, else the only one but ``stable``."""
    names = list(variants)
    named = [name for name in names if environment_form(name) + "_" == prefix]
    others = [name for name in names if name != stable]
    found = named if named else others
    return found[0] if len(found) == 1 and len(names) > 1 else None


def environment_form(name: str) -> str:
    """``name`` as a part of a variable's name: ``answer-engine`` is ``ANSWER_ENGINE``."""
    return "".join(c if c.isalnum() else "_" for c in name).upper()


def _prefix_problems(flag: Written) -> Iterator[Problem]:
    prefix, variants, stable = flag.get("env_prefix"), flag.get("variants"), flag.get("stable")
    if not isinstance(prefix, str) or not isinstance(variants, dict) or not isinstance(stable, str):
        return
    if env_variant(prefix, [str(name) for name in variants], stable) is None:
        remedy = "use the name of a variant: " + " or ".join(
            f"{environment_form(str(name))}_" for name in variants if name != stable
        )
        yield Problem("env_prefix", "does not tell which variant it is about", remedy, prefix)


def _references(flag: Written) -> Iterator[tuple[str, str]]:
    stable = flag.get("stable")
    if isinstance(stable, str):
        yield "stable", stable
    yield from _targets(flag, "")
    for field in ("budgets", "breakers"):
        guarded = flag.get(field)
        for name in guarded if isinstance(guarded, dict) else ():
            yield f"{field}.{name}", str(name)
    rules = flag.get("rules")
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        if isinstance(rule, dict):
            yield from _targets(rule, f"rules[{index}].")


def _targets(owner: Written, prefix: str) -> Iterator[tuple[str, str]]:
    serve, split = owner.get("serve"), owner.get("split")
    if isinstance(serve, str):
        yield f"{prefix}serve", serve
    for name in split if isinstance(split, dict) else ():
        yield f"{prefix}split.{name}", str(name)


def _repeated_names(rules: list[JsonValue]) -> Iterator[Problem]:
    names = Counter(str(rule["name"]) for rule in rules if isinstance(rule, dict) and "name" in rule)
    for name, count in names.items():
        if count > 1:
            yield Problem("rules", f"{count} rules have the same name", "give each rule its own", name)


def _variant_problems(variants: Written) -> Iterator[Problem]:
    if not variants:
        yield Problem("variants", "there are none", "add at least one: variants: {name: value}")
    kinds = {name: _kind(value) for name, value in variants.items()}
    for name, value in variants.items():
        if kinds[name] is None:
            remedy = "use a boolean, number, text or object (an object may hold lists)"
            yield Problem(f"variants.{name}", "is not a value a flag can have", remedy, _shown(value))
        yield from _unportable(value, f"variants.{name}", 0)
    found = sorted({kind for kind in kinds.values() if kind})
    if len(found) > 1:
        remedy = "give all variants the same type"
        yield Problem("variants", "the values differ in type", remedy, " and ".join(found))


def _kind(value: JsonValue) -> str | None:
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case dict():
            return "object"
        case _:
            return None


def _unportable(value: JsonValue, path: str, depth: int) -> Iterator[Problem]:
    """Numbers that JSON or JavaScript cannot carry, and nesting that a parser may refuse."""
    if depth > MAX_VALUE_DEPTH:
        yield Problem(path, f"is nested deeper than {MAX_VALUE_DEPTH} levels", "flatten the value")
    elif isinstance(value, float) and not math.isfinite(value):
        yield Problem(path, "is not a number JSON can hold", "use a finite number or a text", str(value))
    elif isinstance(value, int) and abs(value) > _MAX_INTEGER:
        yield Problem(path, "is an integer that JavaScript cannot hold", "write it as a text", _shown(value))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _unportable(item, f"{path}.{name}", depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unportable(item, f"{path}[{index}]", depth + 1)


def _shown(value: JsonValue) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
