"""Build the wheel, install it into a bare environment, and see that it is the library and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SERVER_ONLY = ("temporalio", "sqlalchemy", "scipy", "fastapi", "alembic", "uvicorn", "typer")

PROBE = f"""
import importlib.util, turnout
for name in turnout.__all__:
    getattr(turnout, name)
strays = [name for name in {SERVER_ONLY!r} if importlib.util.find_spec(name)]
assert not strays, f"the bare install brings {{strays}}"
strays = [name for name in ("workflows", "activities", "workers", "api") if importlib.util.find_spec(name)]
assert not strays, f"the wheel ships {{strays}}"
client = turnout.Turnout("http://127.0.0.1:9", cache_dir=None)
assert client.resolve("nothing", "user-1", default="fallback").value == "fallback"
client.close()
"""


def main() -> int:
    """0 when the wheel is as it should be."""
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder)
        subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
        wheel = next(built.glob("*.whl"))
        tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
        strays = {top for top in tops if top != "turnout" and not top.endswith(".dist-info")}
        if strays:
            print(f"the wheel holds more than the library: {sorted(strays)}", file=sys.stderr)
            return 1
        venv.create(built / "bare", with_pip=True)
        python = built / "bare" / "bin" / "python"
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)]
        subprocess.run(install, check=True)
        subprocess.run([python, "-I", "-c", PROBE], cwd=folder, check=True)
        subprocess.run([built / "bare" / "bin" / "turnout", "--help"], cwd=folder, check=False, capture_output=True)
    print("wheel: the library alone, importable from a bare environment")
    return 0


if __name__ == "__main__":
    sys.exit(main())
