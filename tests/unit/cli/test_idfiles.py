"""Files of units are read where the spec is, never by a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnout.cli.documents import load, read_spec
from turnout.cli.failures import InvalidFile
from turnout.strategies import compile_plan

SPEC = """\
flag: engine
candidate: new
gates: [{metric: success_rate, min: 0.9}]
strategy:
  kind: cohort
  cohorts:
    - name: staff
      match:
        file: lists/staff.txt
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A rollout with a folder of lists beside it."""
    (tmp_path / "lists").mkdir()
    (tmp_path / "rollout.yaml").write_text(SPEC)
    return tmp_path / "rollout.yaml"


def test_a_file_of_ids_becomes_ids(spec: Path) -> None:
    """Relative to the spec; an id a line, without empty lines and comments; the spec that travels holds them."""
    (spec.parent / "lists/staff.txt").write_text("# staff\nann\n\n  bob  \n", encoding="utf-8-sig")
    document = load(str(spec))
    (stage,) = compile_plan(read_spec(document), "old").stages
    assert stage.segments[0].condition == {"in": [{"var": "targetingKey"}, ["ann", "bob"]]}
    assert "staff.txt" not in str(document.data)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"\n# nobody\n", "lists no unit"),
        (b"x" * 3_000_000, "more than 10000 units"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_with_its_line(spec: Path, content: bytes | None, message: str) -> None:
    """The line that names it, and what to do."""
    if content is not None:
        (spec.parent / "lists/staff.txt").write_bytes(content)
    with pytest.raises(InvalidFile) as caught:
        load(str(spec))
    (problem,) = caught.value.problems
    assert (problem.path, problem.line) == ("strategy.cohorts[0].match.file", 9)
    assert message in problem.message
