# `make` alone lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
MEMBERS := schemas libs/conveyor libs/vault services/intake services/review-api services/dispatcher services/audit-sink cli sandbox
PACKAGES := placet placet-contract placet-conveyor placet-vault placet-intake placet-review-api placet-dispatcher placet-audit-sink placet-sandbox
MODULES := contract conveyor vault intake review_api dispatcher audit_sink placet sandbox
# Three runs side by side, because tests mostly wait: those that start no server, those of one
# service or part with servers of their own, and those of the whole of Placet.
PURE := tests/unit tests/property tests/contract
PARTS := tests/integration
QUICK := $(BIN)/python -m pytest -m "not long"

help: ## what you can do here
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: setup ## start everything with sample items; prints the address and the accounts (Ctrl-C stops it)
	@$(BIN)/placet up --demo

test: setup browser ## run all tests on real Kafka, PostgreSQL and Chromium
	@logs=$$(mktemp -d); \
	nice $(QUICK) $(PURE) >$$logs/pure 2>&1 & pure=$$!; \
	$(QUICK) $(PARTS) >$$logs/parts 2>&1 & parts=$$!; \
	trap "kill $$pure $$parts" INT TERM; \
	$(QUICK) $(PURE:%=--ignore=%) $(PARTS:%=--ignore=%); failed=$$?; \
	echo "Beside them, $(PARTS):"; wait $$parts || failed=1; cat $$logs/parts; \
	echo "Beside them, $(PURE):"; wait $$pure || failed=1; cat $$logs/pure; \
	rm -rf $$logs; exit $$failed

test-long: setup browser ## run the full fault campaigns too (an hour or more)
	$(BIN)/python -m pytest

mutants: setup ## plant each bug of tests/mutants in a copy; the suite must go red for every one
	$(BIN)/python -m tests.mutants

check: setup ## formatting, lint, types, dependency rule
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(MODULES:%=-p %)
	$(BIN)/lint-imports

alone: setup ## install and import each service by itself, in a fresh environment
	@for service in intake review-api dispatcher audit-sink; do \
	  rm -rf .venv/alone && $(BIN)/uv venv --quiet .venv/alone && \
	  $(BIN)/uv pip install --quiet --python .venv/alone/bin/python -c requirements.lock ./services/$$service && \
	  (cd / && "$(CURDIR)/.venv/alone/bin/python" -c "import importlib; importlib.import_module('$$service'.replace('-', '_') + '.main')") && \
	  echo "$$service imports alone" || exit 1; \
	done; rm -rf .venv/alone

bench: setup ## measure us and the plain-SQL floor side by side; prints a table, writes JSON to bench/results
	$(BIN)/python -m bench

setup: .venv/ready ## install everything into .venv (the others do it by themselves)

.venv/ready: requirements.lock $(MEMBERS:%=%/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Placet needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	@echo "Installing into .venv (about a minute the first time) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip sync --quiet --require-hashes --python $(BIN)/python requirements.lock
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python $(MEMBERS:%=-e %)
	@touch $@

browser: setup
	@sh tests/support/install_browser.sh $(BIN)

lock: ## resolve requirements.lock anew, every version with its hashes
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --no-emit-find-links --quiet $(PACKAGES:%=--no-emit-package %) \
	  requirements.in $(MEMBERS:%=%/pyproject.toml) -o requirements.lock

.PHONY: help demo test test-long mutants check alone bench setup browser lock
