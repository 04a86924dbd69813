# Everything a developer or CI runs. `make help` lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: help install demo up test check lint types imports docs docs-check pytest wheel bench bench-decisions fmt clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(STAMP) ## Install everything into .venv

$(STAMP): pyproject.toml scripts/venv.sh
	@PYTHON="$(PYTHON)" bash scripts/venv.sh
	@touch $@

demo: install ## Run a good and a bad rollout on real answer systems, then end
	@$(BIN)/turnout demo

up: install ## Run Temporal, a worker and the API until Ctrl-C
	@$(BIN)/turnout up

test: install check ## All that CI checks: lint, types, contracts, docs, tests, replay, wheel
	@source scripts/test-services.sh && bash scripts/tests.sh
	@$(BIN)/python scripts/check_wheel.py

check: lint types imports docs-check

lint: install
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: install
	@$(BIN)/mypy
	@$(BIN)/basedpyright

imports: install
	@$(BIN)/lint-imports

docs: install ## Regenerate the reference pages
	@$(BIN)/python -m turnout.cli.reference
	@$(BIN)/python -m api.openapi
	@$(BIN)/python -m turnout.adapters.settings_page

docs-check: install
	@$(BIN)/python -m turnout.cli.reference --check
	@$(BIN)/python -m api.openapi --check
	@$(BIN)/python -m turnout.adapters.settings_page --check

pytest: install ## Only the tests
	@source scripts/test-services.sh && bash scripts/tests.sh

wheel: install ## Only the wheel check
	@$(BIN)/python scripts/check_wheel.py

bench: install ## Measure; writes docs/benchmarks.md
	@$(BIN)/python -m benchmarks

bench-decisions: install ## Simulate the decisions; writes docs/decisions.md (SCALE=0.05 DOCS=/tmp for a try)
	@OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.decisions --scale $(or $(SCALE),1) $(if $(DOCS),--docs $(DOCS))

fmt: install ## Format, and fix what can be fixed
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean: ## Remove what the other targets made
	@rm -rf .venv dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
