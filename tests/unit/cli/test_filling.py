"""What the environment adds to a rollout file."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.cli.filling import concerns, filled
from turnout.domain.errors import InvalidInput
from turnout.domain.flags import Flag
from turnout.strategies import compile_plan, parse_spec

EVERY = {
    "LIGHTRAG_AB_TEST_NAME": "spring answers",
    "LIGHTRAG_AB_TEST_SAMPLE_SIZE": "1000",
    "LIGHTRAG_MIN_SUCCESS_RATE": "0.95",
    "LIGHTRAG_QUALITY_THRESHOLD": "0.8",
}
TEST: dict[str, Any] = {"kind": "ab_test", "metrics": ["success_rate"]}
SUCCESS, QUALITY = {"metric": "success_rate", "min": 0.95}, {"metric": "quality_score", "min": 0.8}


def flag(prefix: str | None = "LIGHTRAG_", **more: Any) -> Flag:
    """A flag whose settings are about lightrag."""
    body = {"key": "f", "variants": {"perplexity": 1, "lightrag": 2}, "stable": "perplexity", "env_prefix": prefix}
    return Flag.model_validate(body | more)


def document(strategy: object = None, **more: Any) -> dict[str, Any]:
    """A rollout of it to lightrag, by a canary unless said."""
    return {"flag": "f", "candidate": "lightrag", "strategy": strategy or {"kind": "canary"}} | more


def test_a_test_gets_its_name_and_its_sample() -> None:
    """A test needs no gate, and gets none; without the sample the file would say too little to start."""
    found = filled(document(TEST), flag(), EVERY)
    assert found.data == document(TEST | {"minimum_sample_size": 1000}, name="spring answers")
    assert found.said == (
        "name spring answers from LIGHTRAG_AB_TEST_NAME",
        "minimum_sample_size 1000 from LIGHTRAG_AB_TEST_SAMPLE_SIZE",
    )
    plan = compile_plan(parse_spec(found.data), "perplexity")
    trial = plan.stages[0].gates[0].experiment
    assert trial is not None
    assert (plan.name, trial.sample) == ("spring answers", 1000)


def test_a_rollout_gets_its_gates() -> None:
    """And nothing that belongs to a test."""
    found = filled(document(), flag(), EVERY)
    assert found.data == document(gates=[SUCCESS, QUALITY])
    assert found.said == (
        "gate success_rate min 0.95 from LIGHTRAG_MIN_SUCCESS_RATE",
        "gate quality_score min 0.8 from LIGHTRAG_QUALITY_THRESHOLD",
    )
    assert [gate.metric for gate in compile_plan(parse_spec(found.data), "perplexity").stages[0].gates] == [
        "success_rate",
        "quality_score",
    ]


def test_what_the_file_says_stands() -> None:
    """A gate with another kind of limit leaves the least value open."""
    own = document(TEST | {"minimum_sample_size": 50}, name="mine")
    assert filled(own, flag(), EVERY).data == own
    gates = [{"metric": "success_rate", "min": 0.5}, {"metric": "quality_score", "versus": "stable"}]
    assert filled(document(gates=gates), flag(), EVERY).data == document(gates=[*gates, QUALITY])


def test_every_part_of_a_pipeline_is_asked() -> None:
    """By the gates of the document, or by those of its own; those of a test stay as they are."""
    parts = ["canary", {"strategy": TEST, "gates": []}, {"strategy": {"kind": "gradual"}, "gates": [SUCCESS]}]
    written = {"flag": "f", "candidate": "lightrag", "pipeline": parts}
    found = filled(written, flag(), EVERY)
    assert found.data == written | {
        "name": "spring answers",
        "gates": [SUCCESS, QUALITY],
        "pipeline": [
            "canary",
            {"strategy": TEST | {"minimum_sample_size": 1000}, "gates": []},
            {"strategy": {"kind": "gradual"}, "gates": [SUCCESS, QUALITY]},
        ],
    }
    assert len(found.said) == 4


@pytest.mark.parametrize("strategy", [TEST, {"kind": "multivariate", "allocation": {"a": 50, "b": 50}}])
def test_a_test_that_is_switched_off_is_refused(strategy: dict[str, Any]) -> None:
    """With the variable that says so; other rollouts are not."""
    off = {"LIGHTRAG_AB_TEST_ENABLED": "false"}
    for written in (document(strategy), {"flag": "f", "pipeline": ["canary", {"strategy": strategy}]}):
        with pytest.raises(InvalidInput, match="LIGHTRAG_AB_TEST_ENABLED: is false in the environment"):
            filled(written, flag(), off)
    assert filled(document(), flag(), off).data == document()
    assert filled(document(strategy), flag(), {"LIGHTRAG_AB_TEST_ENABLED": "true"}).said == ()


def test_a_setting_that_cannot_be_used_is_refused() -> None:
    """Only of those that a rollout reads."""
    with pytest.raises(InvalidInput, match=r"LIGHTRAG_MIN_SUCCESS_RATE: cannot be used \(got 95\); write a share"):
        filled(document(), flag(), {"LIGHTRAG_MIN_SUCCESS_RATE": "95"})
    assert filled(document(), flag(), {"LIGHTRAG_DAILY_BUDGET_USD": "much"}).data == document()


def test_gates_are_for_the_variant_that_the_prefix_is_about() -> None:
    """Another candidate's rollout is its own; a flag without a prefix has no settings."""
    three = flag(variants={"perplexity": 1, "lightrag": 2, "other": 3})
    other = document(candidate="other")
    assert filled(other, three, EVERY).data == other
    assert filled(document(), three, EVERY).data == document(gates=[SUCCESS, QUALITY])
    assert filled(document(), flag(None), EVERY).data == document()


def test_an_environment_without_settings_concerns_nobody() -> None:
    """Then the flag need not be asked for; an empty variable counts as not set."""
    assert not concerns({"PATH": "/bin", "LIGHTRAG_ENABLED": "true", "LIGHTRAG_AB_TEST_NAME": " "})
    assert concerns({"ANY_AB_TEST_ENABLED": "false"})


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["canary", "ab_test", "lightrag", "success_rate"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["candidate", "strategy", "pipeline", "gates", "kind", "metric", "min"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(plain)
def test_whatever_is_written_is_left_to_the_check_of_the_spec(written: object) -> None:
    """Nothing that a file may hold makes it fail, and the file's own data is not changed."""
    before = deepcopy(written)
    filled(written, flag(), EVERY)
    assert written == before
