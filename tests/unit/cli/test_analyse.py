"""turnout analyse: from files and pipes to tables and JSON."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from turnout.analysis.study.result import Study
from turnout.cli.app import build
from turnout.cli.render.analysis import study_view

ROOT = Path(__file__).resolve().parents[3]
GUIDE = (ROOT / "docs" / "analyse.md").read_text(encoding="utf-8")
COLUMNS = ["--unit", "user", "--arm", "arm", "--control", "s"]
CSV = "user,arm,x,e\n" + "".join(f"u{i},{'c' if i % 2 else 's'},{i % 7},{int(i % 9 == 0)}\n" for i in range(80))


def run(*arguments: str, given: str | bytes | None = None) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of ``turnout analyse``."""
    result = CliRunner().invoke(build(rich=False), ["analyse", *arguments], input=given)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def found(*arguments: str, given: str | bytes) -> dict[str, Any]:
    """The JSON for data from a pipe."""
    _, out, err = run("-", *COLUMNS, "--output", "json", *arguments, given=given)
    assert not err, err
    return json.loads(out)


def alike(one: object, other: object) -> None:
    """Equal, numbers up to rounding."""
    if isinstance(one, dict) and isinstance(other, dict):
        assert list(one) == list(other)
        for key in one:
            alike(one[key], other[key])
    elif isinstance(one, list) and isinstance(other, list):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            alike(mine, theirs)
    elif isinstance(one, float) or isinstance(other, float):
        assert one == pytest.approx(other, rel=1e-9)
    else:
        assert one == other


def test_the_guide_shows_what_the_command_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command in docs/analyse.md prints the text and the JSON that stand there."""
    command, text, answer = (re.search(rf"```{kind}\n(.*?)```", GUIDE, re.DOTALL) for kind in ("sh", "text", "json"))
    assert command is not None
    assert text is not None
    assert answer is not None
    monkeypatch.chdir(ROOT / "docs" / "examples")
    arguments = shlex.split(command[1])[2:]
    assert run(*arguments) == (0, text[1], "")
    code, out, _ = run(*arguments, "--output", "json")
    assert code == 0
    alike(json.loads(out), json.loads(answer[1]))


def test_every_key_of_the_json_is_documented() -> None:
    """The guide's example is a whole study: what it has is what the model has."""
    answer = re.search(r"```json\n(.*?)```", GUIDE, re.DOTALL)
    assert answer is not None
    assert list(json.loads(answer[1])) == list(Study.model_fields)


def test_formats_say_the_same(tmp_path: Path) -> None:
    """CSV with any separator, quotes and a byte-order mark, and JSON lines with numbers or texts, give one result."""
    lines = [dict(zip(("user", "arm", "x", "e"), line.split(","), strict=True)) for line in CSV.splitlines()[1:]]
    typed = [{**line, "x": float(line["x"]), "e": line["e"] == "1"} for line in lines]
    asked = ["--metric", "x", "--metric", "e:rate"]
    expected = found(*asked, given=CSV)
    file = tmp_path / "data.csv"
    file.write_text("\ufeff" + CSV.replace(",", ";").replace("u1;", '"u1";'), encoding="utf-8")
    assert json.loads(run(str(file), *COLUMNS, *asked, "--output", "json")[1]) == expected
    for rows in (lines, typed):
        assert found(*asked, given="".join(json.dumps(row) + "\n" for row in rows)) == expected


def test_parquet(tmp_path: Path) -> None:
    """Parquet gives the same as CSV where pyarrow is there."""
    arrow = pytest.importorskip("pyarrow.csv")
    parquet = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "data.parquet"
    parquet.write_table(arrow.read_csv(io.BytesIO(CSV.encode())), file)
    asked = ["--metric", "x", "--metric", "e:rate"]
    assert found(*asked, given=file.read_bytes()) == found(*asked, given=CSV)


def test_parquet_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyarrow it says what to install."""
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    code, _, err = run("-", *COLUMNS, "--metric", "x", given=b"PAR1\0\0PAR1")
    assert (code, "pip install pyarrow" in err) == (5, True)


def test_blanks_and_wild_numbers_are_counted() -> None:
    """Blank, null and absent values are missing, NaN and inf are not finite; booleans are numbers."""
    rows = "user,arm,x\n" + "a,s,\nb,s,NA\nc,s,nan\nd,s,-inf\ne,s,TRUE\nf,c,false\ng,c, 2 \n,c,1\nh,,1\n\n"
    answer = found("--metric", "x", given=rows)
    assert answer["columns"] == [{"column": "x", "values": 3, "missing": 2, "not_finite": 2}]
    assert (answer["rows"]["read"], answer["rows"]["without_unit_or_arm"]) == (9, 2)
    assert answer["findings"][0]["value"] == 1
    lines = '{"user": 1, "arm": "s", "x": 1}\n\n{"user": 2, "arm": "c"}\n{"user": 3, "arm": "c", "x": null}\n'
    assert found("--metric", "x", given=lines)["columns"][0]["missing"] == 2


def test_repeated_outcomes_count_once() -> None:
    """With --id a row whose id was seen before is dropped and counted."""
    rows = "user,arm,x,id\na,s,1,1\na,s,1,1\nb,s,2,2\nc,c,3,3\nd,c,5,\ne,c,5,\n"
    answer = found("--metric", "x", "--id", "id", given=rows)
    assert answer["rows"]["repeated"] == 1
    assert (answer["findings"][0]["outcomes"], answer["findings"][0]["control_outcomes"]) == (3, 2)


@pytest.mark.parametrize(
    ("given", "more", "words"),
    [
        ("user,arm,x\na,s,1\nb,c,fast\n", [], "<stdin>:3: x: is no number (got fast); write a number"),
        ('user,arm,x\n"a\nb",s,1\n\nb,c,?\n', [], "<stdin>:5: x: is no number (got ?)"),
        ("user,arm,x\na,s,1\nb,c,2\n", ["--metric", "x:rate"], "<stdin>:3: x: is neither 0 nor 1 (got 2)"),
        ("user,arm,y\na,s,1\n", [], "<stdin>:1: x: is no column; the columns are user, arm, y"),
        ("user,arm,x\na,s\n", [], "<stdin>:2: document: has 2 cells, the header 3"),
        ("user,arm,x\n", [], "has no rows"),
        ("", [], "is empty"),
        ('[{"user": "a"}]', [], "is a JSON array, not JSON lines"),
        ('{"user": "a", "arm": "s", "x": 1}\n{"user"\n', [], "<stdin>:2: document: is not JSON"),
        ('{"user": "a", "arm": "s"}\n', [], "x: is no column; the columns are user, arm"),
        ("user,arm,x,t\na,s,1,soon\n", ["--time", "t"], "<stdin>:2: t: is no time (got soon)"),
        ("user,arm,x\na,b,1\n", [], "--control: is no arm of the data (got s); the arms are b"),
    ],
)
def test_faults_have_their_place(given: str, more: list[str], words: str) -> None:
    """What is wrong with the data is told with line, column, value and remedy; the exit code is 1."""
    code, out, err = run("-", *COLUMNS, *(more if "--metric" in more else ["--metric", "x", *more]), given=given)
    assert (code, out) == (1, "")
    assert words in err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--shares", "s:0.5"], "--shares s:0.5 is no NAME=NUMBER; write --shares stable=0.95,candidate=0.05"),
        (["--shares", "s=half"], "holds 'half', which is no number"),
        (["--margin", "x=1", "--margin", "x=2"], "--margin names x twice"),
        (["--looks", "0.5,x"], "--looks holds 'x', which is no number"),
    ],
)
def test_options_that_are_none(more: list[str], words: str) -> None:
    """A wrong option is told with what to write; the exit code is 2."""
    code, _, err = run("-", *COLUMNS, "--metric", "x", *more, given=CSV)
    assert code == 2
    assert words in err


def test_a_file_that_is_not_there() -> None:
    """A file that cannot be read is a fault of the command line."""
    code, _, err = run("nowhere.csv", *COLUMNS, "--metric", "x")
    assert code == 2
    assert "cannot read nowhere.csv" in err


def test_exit_codes() -> None:
    """A wrong split and a broken requirement are 1, undecided is 0."""
    assert run("-", *COLUMNS, "--metric", "x", given=CSV)[0] == 0
    assert run("-", *COLUMNS, "--metric", "x", "--shares", "s=0.99,c=0.01", given=CSV)[0] == 1
    assert run("-", *COLUMNS, "--metric", "x<=1", given=CSV)[0] == 1
    assert run("-", *COLUMNS, "--metric", "x<=3", given=CSV)[0] == 0


def test_everything_at_once_fits_a_terminal() -> None:
    """With all questions asked, nothing is cut off in 100 columns."""
    lines = CSV.splitlines()
    rows = f"{lines[0]},country,at,before\n" + "".join(
        f"{line},{'de' if i % 3 else 'fr'},2026-06-01T08:{i % 60:02}:00Z,{i % 5}\n" for i, line in enumerate(lines[1:])
    )
    asked = ["--metric", "x:mean:higher", "--metric", "e:rate:lower", "--metric", "x:p90", "--metric", "x<=4"]
    more = ["--margin", "x:mean=1", "--ratio", "e=2", "--segment", "country", "--time", "at", "--covariate", "before"]
    answer = found(*asked, *more, "--looks", "0.5,1", "--planned-units", "100", given=rows)
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(study_view(Study.model_validate(answer)))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 100
    assert "…\n" not in text
    for words in ("picks no winner", "planned looks", "the covariate leaves", "margin met", "finds ±"):
        assert words in text


def test_the_command_starts_without_scipy() -> None:
    """The command line imports neither numpy nor scipy; analyse says what to install where they are missing."""
    code = (
        "import sys, importlib.util as util, turnout.cli.app as app\n"
        "assert not {'numpy', 'scipy', 'pyarrow'} & set(sys.modules), sorted(sys.modules)\n"
        "real = util.find_spec\n"
        "import turnout.cli.failures as failures\n"
        "failures.find_spec = lambda name: None if name == 'scipy' else real(name)\n"
        "app.build(rich=False)(['analyse', '-', '--unit', 'u', '--arm', 'a', '--control', 's', '--metric', 'x'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 5, done.stderr
    assert "pip install 'turnout[server]'" in done.stderr
