#!/usr/bin/env bash
# Make .venv and install the project into it. Debian keeps the venv module in a package of its own, so that is
# installed first where it is missing and may be.
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "Turnout needs Python 3.11 or newer; $python is $("$python" --version 2>&1). Set PYTHON to a newer one." >&2
    exit 1
fi

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
    echo "installing the venv module of $python" >&2
    if ! { "${as_root[@]}" apt-get update -q && "${as_root[@]}" apt-get install -y -q python3-venv; } >/dev/null; then
        echo "$python has no venv module: install the package python3-venv" >&2
        exit 1
    fi
fi

[ -x .venv/bin/python ] || "$python" -m venv .venv
echo "installing Turnout into .venv" >&2
.venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
