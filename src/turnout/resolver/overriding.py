"""What the environment of a process says of flags, laid over a document: pure functions.

``TURNOUT_FLAG_<KEY>=variant`` names a flag's variant. The settings under a flag's ``env_prefix``, which its metadata
tells, stop it, switch it off or give its variant to a percentage (see `turnout.domain.bound`). All of them decide for
everybody, above what is published, but below the published emergency stop. ``AB_TEST_ENABLED=false`` decides for those
alone whom the traffic of a test would draw.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from turnout.domain.bound import NOTHING, OVERRIDE, Bound, environment_name, read_bound
from turnout.domain.bucketing import TOTAL
from turnout.domain.errors import Problem
from turnout.domain.flag_checks import exact_weight
from turnout.domain.problems import suggestion
from turnout.resolver.reader import DocumentPlan, Fixed, FlagPlan, Override, Served, Split


def overridden(plan: DocumentPlan, environ: Mapping[str, str]) -> tuple[DocumentPlan, tuple[Problem, ...]]:
    """``plan`` with what ``environ`` says of its flags, and what is wrong with that; a wrong variable is ignored."""
    problems = list(_ambiguous(plan, environ))
    unclear = {problem.path for problem in problems}
    flags: list[FlagPlan] = []
    for flag in plan.flags:
        bound, faults = read_bound(prefix, environ) if (prefix := _text(flag, "envPrefix")) else (NOTHING, ())
        problems += faults
        named = _named(flag, environ, unclear, problems)
        override = _override(flag, bound, named)
        flags.append(replace(flag, bound=bound, override=override, instead=None if override else _no_test(flag, bound)))
    return replace(plan, flags=tuple(flags)), tuple(problems)


def _override(flag: FlagPlan, bound: Bound, named: Override | None) -> Override | None:
    """The strongest of what the environment says of ``flag``: a stop, the variant named, the other settings."""
    decides = bound.decides
    if decides is None or (named is not None and decides != "emergency_stop_enabled"):
        return named
    value = "true" if decides == "emergency_stop_enabled" else "false"
    served: Served = Fixed(_text(flag, "envFallback"))
    if decides == "rollout_percentage":
        value, served = f"{bound.rollout_percentage}", _exposure(flag, bound)
    return Override(f"{_text(flag, 'envPrefix')}{decides.upper()}", value, served)


def _no_test(flag: FlagPlan, bound: Bound) -> Override | None:
    """Stable for the units of a test that takes place without this process."""
    if bound.ab_test_enabled is not False or flag.metadata.get("test") is not True:
        return None
    return Override(f"{_text(flag, 'envPrefix')}AB_TEST_ENABLED", "false", Fixed(_text(flag, "stable")))


def _exposure(flag: FlagPlan, bound: Bound) -> Served:
    """The variant for a share of the units: those who have it first in a rollout of the flag, too."""
    variant, other = _text(flag, "envVariant"), _text(flag, "envFallback")
    weight = exact_weight(bound.rollout_percentage) or 0
    if weight in (0, TOTAL):
        return Fixed(variant if weight else other)
    return Split(_text(flag, "envSeed") or flag.key, ((variant, weight), (other, TOTAL - weight)))


def _named(flag: FlagPlan, environ: Mapping[str, str], unclear: set[str], problems: list[Problem]) -> Override | None:
    variable = environment_name(flag.key)
    variant = environ.get(variable, "").strip()
    if not variant or variable in unclear:
        return None
    if variant not in flag.variants:
        message = f"flag {flag.key} has no such variant, so the variable is ignored"
        problems.append(Problem(variable, message, suggestion(variant, list(flag.variants)), variant))
        return None
    return Override(variable, variant, Fixed(variant))


def _ambiguous(plan: DocumentPlan, environ: Mapping[str, str]) -> Iterator[Problem]:
    """Variables that name no flag, or several."""
    known = Counter(environment_name(flag.key) for flag in plan.flags)
    for variable in sorted(name for name in environ if name.startswith(OVERRIDE)):
        if variable not in known:
            named, names = variable.removeprefix(OVERRIDE), [name.removeprefix(OVERRIDE) for name in known]
            yield Problem(variable, "names no flag", f"after {OVERRIDE}: {suggestion(named, names)}")
        elif known[variable] > 1:
            keys = [flag.key for flag in plan.flags if environment_name(flag.key) == variable]
            remedy = "override none of them this way, or rename all but one"
            yield Problem(variable, f"could mean {' or '.join(keys)}, so the variable is ignored", remedy)


def _text(flag: FlagPlan, field: str) -> str | None:
    value = flag.metadata.get(field)
    return value if isinstance(value, str) and value else None
