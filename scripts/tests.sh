#!/usr/bin/env bash
# Runs all tests as two processes at once that take about as long as each other. What the second one says follows when
# the first has ended.
set -uo pipefail
# A job of its own, as otherwise the second process and all that it starts would not hear of Ctrl-C.
set -m
cd "$(dirname "$0")/.."
log="$(mktemp)"
moved=(tests/unit/analysis tests/unit/cli)
.venv/bin/pytest tests/integration tests/workflows tests/replay "${moved[@]}" -p no:cacheprovider >"$log" 2>&1 &
other=$!
trap 'kill "$other" 2>/dev/null; rm -f "$log"' EXIT
.venv/bin/pytest tests/e2e tests/unit "${moved[@]/#/--ignore=}" -p no:cacheprovider
here=$?
wait "$other"
there=$?
cat "$log"
exit $((here || there))
