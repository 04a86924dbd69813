"""What the environment adds to a rollout file: settings under the flag's ``env_prefix`` that it leaves open. Pure.

A test gets its ``name`` and its ``minimum_sample_size``, a rollout of the variant that the prefix is about its gates on
the success rate and the quality. What the file says stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Final, cast

from turnout.domain.bound import Bound, read_bound
from turnout.domain.errors import InvalidInput, Problem
from turnout.domain.flag_checks import env_variant
from turnout.domain.flags import Flag

_TESTS: Final = frozenset({"ab_test", "multivariate"})
_SETTINGS: Final = ("AB_TEST_ENABLED", "AB_TEST_NAME", "AB_TEST_SAMPLE_SIZE", "MIN_SUCCESS_RATE", "QUALITY_THRESHOLD")

Written = dict[str, object]


@dataclass(frozen=True, slots=True)
class Filled:
    """A rollout's plain ``data``, and what of it came from which variable, a sentence each."""

    data: object
    said: tuple[str, ...] = ()


def concerns(environ: Mapping[str, str]) -> bool:
    """Whether ``environ`` may have something to add, whatever the prefix is."""
    return any(name.endswith(_SETTINGS) and value.strip() for name, value in environ.items())


def filled(data: object, flag: Flag, environ: Mapping[str, str]) -> Filled:
    """``data`` of a rollout of ``flag`` with what ``environ`` adds; what is no rollout is left as it is.

    Raises:
        InvalidInput: one of the settings cannot be used, or forbids the test that it is.
    """
    prefix = flag.env_prefix
    if prefix is None or not isinstance(data, dict):
        return Filled(data)
    bound, faults = read_bound(prefix, environ)
    document = deepcopy(cast("Written", data))
    ways = list(_ways(document))
    tests = [_strategy(way) for way in ways if _is_test(way)]
    problems = [fault for fault in faults if fault.path.removeprefix(prefix) in _SETTINGS]
    if tests and bound.ab_test_enabled is False:
        why = "is false in the environment, and this rollout is a test"
        problems.append(Problem(f"{prefix}AB_TEST_ENABLED", why, "remove it, or write true"))
    if problems:
        raise InvalidInput(problems)
    said = [*_named(document, tests, bound), *_sized(tests, bound)]
    if document.get("candidate") == env_variant(prefix, flag.variants, flag.stable):
        said += _gated(document, ways, bound)
    return Filled(document, tuple(f"{what} from {prefix}{setting}" for what, setting in dict.fromkeys(said)))


def _ways(document: Written) -> Iterator[Written]:
    """What has a strategy: the document, or the parts of its pipeline."""
    parts = document.get("pipeline")
    if "strategy" in document:
        yield document
    elif isinstance(parts, list):
        yield from (cast("Written", part) for part in cast("list[object]", parts) if isinstance(part, dict))
        # A part that is a name alone asks the gates of the document.
        for part in cast("list[object]", parts):
            if isinstance(part, str):
                yield {"strategy": {"kind": part}}


def _strategy(way: Written) -> Written:
    strategy = way.get("strategy")
    return cast("Written", strategy) if isinstance(strategy, dict) else {}


def _is_test(way: Written) -> bool:
    return _strategy(way).get("kind") in _TESTS


def _named(document: Written, tests: list[Written], bound: Bound) -> Iterator[tuple[str, str]]:
    if tests and bound.ab_test_name is not None and "name" not in document:
        document["name"] = bound.ab_test_name
        yield f"name {bound.ab_test_name}", "AB_TEST_NAME"


def _sized(tests: list[Written], bound: Bound) -> Iterator[tuple[str, str]]:
    for test in tests:
        if bound.ab_test_sample_size is not None and "minimum_sample_size" not in test:
            test["minimum_sample_size"] = bound.ab_test_sample_size
            yield f"minimum_sample_size {bound.ab_test_sample_size}", "AB_TEST_SAMPLE_SIZE"


def _gated(document: Written, ways: list[Written], bound: Bound) -> Iterator[tuple[str, str]]:
    wanted = (
        ("success_rate", bound.min_success_rate, "MIN_SUCCESS_RATE"),
        ("quality_score", bound.quality_threshold, "QUALITY_THRESHOLD"),
    )
    asking = [way if isinstance(way.get("gates"), list) else document for way in ways if not _is_test(way)]
    for metric, least, setting in wanted:
        if least is None:
            continue
        for holder in {id(one): one for one in asking}.values():
            gates = holder.setdefault("gates", [])
            if isinstance(gates, list) and not _asks(cast("list[object]", gates), metric):
                gates.append({"metric": metric, "min": least})
                yield f"gate {metric} min {least:g}", setting


def _asks(gates: list[object], metric: str) -> bool:
    written = [cast("Written", gate) for gate in gates if isinstance(gate, dict)]
    return any(gate.get("metric") == metric and gate.get("min") is not None for gate in written)
