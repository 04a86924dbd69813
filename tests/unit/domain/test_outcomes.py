"""Which outcomes count for comparisons."""

from __future__ import annotations

import pytest

from turnout.domain.outcomes import Outcome


@pytest.mark.parametrize(
    ("decided_by", "drawn"),
    [
        (None, True),
        ("traffic", True),
        ("static", True),
        ("default", True),
        ("rule:staff", False),
        ("segment:berlin", False),
        ("holdout:everyone", False),
        ("layer:search", False),
        ("stopped", False),
    ],
)
def test_only_what_traffic_decided_was_drawn(decided_by: str | None, drawn: bool) -> None:
    """Rules, holdouts, layers, segments and stops serve whom they choose; all else is traffic, also at 100 %."""
    fields = {"id": "1", "flag": "f", "variant": "v", "unit": "u", "decided_by": decided_by}
    assert Outcome.model_validate(fields).drawn is drawn
