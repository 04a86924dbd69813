"""The repository's layout, as the build and the docs promise it."""

from __future__ import annotations

import importlib
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("package", ["workflows", "activities", "workers", "api", "turnout"])
def test_packages_import_from_this_repository(package: str) -> None:
    """No installed distribution of the same name shadows ours."""
    module = importlib.import_module(package)
    assert module.__file__ is not None
    assert Path(module.__file__).is_relative_to(ROOT)


def test_files_and_functions_stay_small() -> None:
    """No source file has more than 600 lines."""
    sources = [p for p in TRACKED if p.endswith(".py") and not p.startswith("tests/")]
    long = {p: n for p in sources if (n := len((ROOT / p).read_text().splitlines())) > 600}
    assert long == {}


def test_no_file_names_a_registry_host() -> None:
    """Lock files and hosts of package registries stay out."""
    hosts = re.compile(
        "|".join([r"py" + r"pi\.org", r"python" + r"hosted", r"registry\." + r"npmjs", r"deb\.deb" + r"ian"])
    )
    named = [p for p in TRACKED if (ROOT / p).is_file() and hosts.search((ROOT / p).read_text(errors="ignore"))]
    assert named == []
