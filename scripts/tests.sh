#!/usr/bin/env bash
# Runs all tests as two processes at once that take about as long as each other. What the second one says follows when
# the first has ended.
set -uo pipefail
cd "$(dirname "$0")/.."
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
.venv/bin/pytest tests/e2e tests/unit tests/workflows tests/replay -p no:cacheprovider >"$log" 2>&1 &
other=$!
.venv/bin/pytest tests/integration -p no:cacheprovider
here=$?
wait "$other"
there=$?
cat "$log"
exit $((here || there))
