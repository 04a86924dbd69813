#!/usr/bin/env bash
# Runs all tests as two processes at once: those that wait for servers, and those that compute. What the second one says
# follows when the first has ended.
set -uo pipefail
cd "$(dirname "$0")/.."
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
.venv/bin/pytest tests/unit tests/workflows tests/replay -p no:cacheprovider >"$log" 2>&1 &
computing=$!
.venv/bin/pytest tests/e2e tests/integration -p no:cacheprovider
waited=$?
wait "$computing"
computed=$?
cat "$log"
exit $((waited || computed))
