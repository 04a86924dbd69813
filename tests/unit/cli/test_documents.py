"""Files: problems with their lines, YAML's own faults, and what a file is."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from turnout.cli.documents import load, parse, read_flags, read_spec, unknown_kind
from turnout.cli.failures import ExitCode, Failure, InvalidFile, failure_of

SPEC = """\
flag: answer-engine
candidate: lightrag
strategy:
  kind: canary
  percentage: 500
gates:
  - {metric: success_rate, min: 0.95}
  - metric: response_time
    quantil: 0.95
    max: 5000
check_every: 0.1s
"""


def lines_of(text: str) -> list[tuple[int | None, str]]:
    """The line and path of every problem in a rollout file."""
    with pytest.raises(InvalidFile) as caught:
        read_spec(parse("rollout.yaml", text))
    return [(problem.line, problem.path) for problem in caught.value.problems]


def test_every_problem_has_its_line() -> None:
    """All faults of a rollout are found at once, in the order of the file."""
    assert lines_of(SPEC) == [(5, "strategy.percentage"), (9, "gates[1].quantil"), (11, "check_every")]


def test_problems_are_told_like_a_compiler_does() -> None:
    """A person reads file, line, path, what is wrong, the value and what to write."""
    with pytest.raises(InvalidFile) as caught:
        read_spec(parse("rollout.yaml", SPEC))
    first, second, _ = failure_of(caught.value).lines()
    assert first == (
        "rollout.yaml:5: strategy.percentage: is not a percentage (got 500); "
        "write a number from 0 to 100, such as 5 or 5%"
    )
    assert second == "rollout.yaml:9: gates[1].quantil: unknown field (got 0.95); did you mean quantile?"


def test_a_missing_field_has_the_line_of_its_owner() -> None:
    """A field that is not there is looked for where its mapping begins."""
    text = "flag: a\ncandidate: b\nstrategy: {kind: canary}\ngates:\n  - min: 0.9\n"
    assert lines_of(text) == [(5, "gates[0].metric")]


def test_a_fault_of_the_whole_gate_has_its_line() -> None:
    """What is wrong with a gate as a whole is told at the gate."""
    text = "flag: a\ncandidate: b\nstrategy: {kind: canary}\ngates:\n  - {metric: x, min: 1}\n  - {metric: y}\n"
    assert lines_of(text) == [(6, "gates[1]")]


def test_a_fault_of_the_strategy_as_a_whole_has_its_line() -> None:
    """pydantic's tag of the strategy's kind does not lead astray."""
    text = "flag: a\ncandidate: b\nstrategy:\n  kind: canary\n  percentage: 60\n  max_percentage: 50\ngates: []\n"
    assert lines_of(text) == [(3, "strategy")]


def test_flags_with_dots_in_their_keys() -> None:
    """A dotted key is one key, not a path."""
    text = "flags:\n  answer.engine:\n    variants: {a.b: 1, c: 2}\n    stable: nope\n"
    with pytest.raises(InvalidFile) as caught:
        read_flags(parse("flags.yaml", text))
    assert [(problem.line, problem.path) for problem in caught.value.problems] == [(4, "flags.answer.engine.stable")]


def test_a_problem_inside_a_merged_mapping() -> None:
    """A value that came by << has the line where it was written."""
    text = "base: &base {percentage: 500}\nflag: a\ncandidate: b\nstrategy:\n  <<: *base\n  kind: canary\ngates: []\n"
    assert (1, "strategy.percentage") in lines_of(text)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("flag: a\ncandidate: [1\nstrategy: 2\n", 3, "is not YAML"),
        ("flag: a\nflag: b\n", 2, "is written twice, first in line 1"),
        ("a:\n  b: 1\n  c: {d: 1, d: 2}\n", 3, "is written twice"),
        ("a: 1\nb: &x [1, *x]\n", 2, "an alias refers to what contains it"),
        ("a: 1\nb: !secret x\n", 2, "could not determine a constructor"),
        ("a: 1\n---\nb: 2\n", 2, "expected a single document"),
        ("a: 1\nb: \x07\n", 2, "a character that YAML forbids"),
        ("", 1, "the file is empty"),
        ("[" * 3000, 1, "nested too deeply"),
    ],
)
def test_faults_of_the_yaml(text: str, line: int, words: str) -> None:
    """What is no usable YAML is told with its line, never as a traceback."""
    with pytest.raises(InvalidFile) as caught:
        parse("f.yaml", text)
    (problem,) = caught.value.problems
    assert problem.line == line
    assert words in problem.message


def test_many_aliases_are_read_quickly() -> None:
    """A file of aliases of aliases is walked once, not once a path."""
    levels = "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 40))
    assert parse("f.yaml", f"a0: &a0 [x]\n{levels}\n").kind is None


def test_what_a_file_is() -> None:
    """flags: makes a flag file, the fields of a rollout a rollout, anything else neither."""
    assert parse("f", "flags: {}\n").kind == "flags"
    assert parse("f", "candidate: x\n").kind == "rollout"
    assert parse("f", "other: x\n").kind is None
    assert parse("f", "- 1\n").kind is None
    assert "neither a rollout nor a flag file" in str(unknown_kind(parse("f", "other: x\n")))


def test_dates_stay_text() -> None:
    """A date is what was written, since JSON has none."""
    assert parse("f", "since: 2026-06-01\n").data == {"since": "2026-06-01"}


def test_json_is_read_too() -> None:
    """A JSON file is a YAML file."""
    document = parse("f.json", '{"flag": "a",\n "candidate": "b", "strategy": {"kind": "canary"}, "gates": [{}]}')
    with pytest.raises(InvalidFile) as caught:
        read_spec(document)
    assert caught.value.problems[0].line == 2


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """A single dash reads standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("flags: {}\n".encode("utf-8-sig"))))
    document = load("-")
    assert (document.name, document.data) == ("<stdin>", {"flags": {}})


@pytest.mark.parametrize(("content", "words"), [(None, "No such file"), (b"\xff\xfe\x00", "is not UTF-8")])
def test_files_that_cannot_be_read(tmp_path: Path, content: bytes | None, words: str) -> None:
    """A file that is not there, or is no text, is a usage error with a remedy."""
    file = tmp_path / "f.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(Failure, match=words) as caught:
        load(str(file))
    assert caught.value.exit_code is ExitCode.USAGE
