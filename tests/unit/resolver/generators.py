"""Random flags, and random callers of every type that JSON and OpenFeature know."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from turnout.domain.breaking import BreakerKind
from turnout.domain.bucketing import TOTAL
from turnout.domain.flags import Flag, Segment, Traffic
from turnout.domain.snapshot import PublishedFlag

VARIANTS = ["a", "b", "c"]
ATTRIBUTES = ["plan", "beta", "app", "home.city", "home.length", "home", "targetingKey"]
TEXTS = ["", "a", "pro", "Pro", "eu-1", "1.2.0", "v2", "1.2.0-rc.1", "größe", "0", "true"]

texts = st.sampled_from(TEXTS)
variables = st.sampled_from(ATTRIBUTES).map(lambda name: {"var": name})
comparisons = st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "^", "~"])
versions = st.sampled_from(["1.2.0", "2.0.0", "1.2.0-rc.2", "0.9.1+build"])

simple_conditions: st.SearchStrategy[Any] = st.one_of(
    st.booleans(),
    variables,
    st.just({"===": [{"var": "$flagd.flagKey"}, "engine"]}),
    st.builds(
        lambda op, v, t: {op: [v, t]}, st.sampled_from(["===", "!==", "starts_with", "ends_with"]), variables, texts
    ),
    st.builds(lambda v, ts: {"in": [v, ts]}, variables, st.lists(texts, min_size=1, max_size=3)),
    st.builds(lambda t, v: {"in": [t, v]}, texts, variables),
    st.builds(lambda v, op, w: {"sem_ver": [v, op, w]}, variables, comparisons, versions),
)

conditions: st.SearchStrategy[Any] = st.recursive(
    simple_conditions,
    lambda inner: st.one_of(
        st.builds(lambda op, cs: {op: cs}, st.sampled_from(["and", "or"]), st.lists(inner, min_size=1, max_size=3)),
        inner.map(lambda c: {"!": c}),
        inner.map(lambda c: {"!": [c]}),
        st.builds(lambda a, b, c: {"if": [a, b, c]}, inner, inner, inner),
    ),
    max_leaves=6,
)

values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), texts, st.sampled_from([0, 1, -1, 2, 1.5, 0.0, float("nan")])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["city", "0", "length"]), inner, max_size=2),
    ),
    max_leaves=4,
)

contexts: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from(["plan", "beta", "app", "home", "targetingKey", "$flagd"]), values, max_size=5
)

units: st.SearchStrategy[str | None] = st.one_of(
    st.none(), texts, st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
)


percentages = st.sampled_from([0, 0.001, 5, 50, 99.999, 100])
probe_shares = st.sampled_from([0, 1, 5_000, 50_000, TOTAL])
"""What a blocked variant keeps: nothing while its breaker is open, its probes while it is half open."""

kinds: st.SearchStrategy[BreakerKind] = st.sampled_from(("errors", "quality"))

_two_sides = (st.sampled_from([0, 25, 33.333]), st.sampled_from([50, 80.5, 100]))


@st.composite
def weights(draw: st.DrawFn) -> dict[str, int]:
    """Weights of one to three variants, in any order, that sum to the total."""
    names = draw(st.permutations(VARIANTS))[: draw(st.integers(1, 3))]
    cuts = sorted(draw(st.integers(0, TOTAL)) for _ in names[1:])
    ends = [*cuts, TOTAL]
    return {name: end - start for name, start, end in zip(names, [0, *cuts], ends, strict=True)}


@st.composite
def rules(draw: st.DrawFn, number: int) -> dict[str, Any]:
    """A rule with a random condition that serves a variant or a split."""
    rule = {"name": f"rule-{number}", "if": draw(conditions)}
    if draw(st.booleans()):
        return {**rule, "serve": draw(st.sampled_from(VARIANTS))}
    return {**rule, "split": {name: weight / 1000 for name, weight in draw(weights()).items()}}


@st.composite
def published_flags(draw: st.DrawFn) -> PublishedFlag:
    """A flag with up to three rules, up to two segments, random traffic, and perhaps breakers, open or half open."""
    flag = Flag.model_validate(
        {
            "key": "engine",
            "variants": {"a": "A", "b": "B", "c": "C"},
            "stable": draw(st.sampled_from(VARIANTS)),
            "rules": [draw(rules(number)) for number in range(draw(st.integers(0, 3)))],
            "seed": draw(st.sampled_from([None, "engine", "exp-1", "exp 2:"])),
            "holdout": draw(st.none() | st.builds(lambda p: {"name": "all", "percentage": p}, percentages)),
            "layer": draw(st.none() | st.builds(lambda a, b: {"name": "l", "from": a, "to": b}, *_two_sides)),
            "enabled": draw(st.integers(0, 9)) > 0,
        }
    )
    segments = tuple(
        Segment.model_validate(
            {"name": f"segment-{n}", "if": draw(conditions), "weights": draw(weights()), "apart": draw(st.booleans())}
        )
        for n in range(draw(st.integers(0, 2)))
    )
    exposed = draw(st.just(TOTAL) | st.integers(1, TOTAL))
    traffic = Traffic(stable=flag.stable, weights=draw(weights()), segments=segments, exposed=exposed)
    kept = draw(st.dictionaries(st.sampled_from(VARIANTS), probe_shares, max_size=2))
    by: BreakerKind | None = draw(kinds) if kept else None
    stopped = draw(st.integers(0, 9)) == 0
    return PublishedFlag(definition=flag, traffic=traffic, stopped=stopped, blocked=kept, blocked_by=by)
