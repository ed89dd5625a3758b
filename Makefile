# Every recipe sets up what it needs, says what it does, and can be run again at any time.

# The first Python that is new enough; PYTHON=... to choose another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
QUESTION ?=
LONG ?=

export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/.tools/bin:$(PATH)
export PYTHONDONTWRITEBYTECODE := 1

SETUP = $(PYTHON) -m tools.setup

.DEFAULT_GOAL := help
.PHONY: help up try test conformance lint format bench wheel docs pins python

help: ## List every recipe.
	@echo "bodega: a content delivery network that you run yourself"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

up: python ## Set up, then run three edges before a real site and a real bucket, and show where to click.
	@$(SETUP) up
	@exec .venv/bin/bodega up

try: python ## Set up, then let `bodega up --try` make a visit by itself and say what came from where.
	@$(SETUP) up
	@exec .venv/bin/bodega up --try

test: python ## Set up, then run every test, Rust and Python; the last line counts them.
	@$(SETUP) test
	@$(PYTHON) -m tools.run_tests

conformance: python ## Set up, then run every scenario, and print by section of an RFC what passes.
	@$(SETUP) conformance
	@$(PYTHON) -m tools.conformance

lint: python ## Set up, then check format, lints, types and layers.
	@$(SETUP) lint
	@$(PYTHON) -m tools.lint

format: python ## Lay out Rust and Python, and repair what the linter can.
	@$(SETUP) lint
	@cargo fmt --all
	@ruff check --quiet --fix
	@ruff format --quiet

bench: python ## Measure against other servers: QUESTION=hits for one question, LONG=1 for more than 8 minutes.
	@$(SETUP) bench
	@.venv/bin/python -m benchmarks $(if $(QUESTION),--question $(QUESTION)) $(if $(LONG),--long)

wheel: python ## Build the wheel into dist/.
	@$(SETUP) wheel

docs: python ## Write the generated reference pages.
	@$(SETUP) docs
	@.venv/bin/python -m tools.reference

pins: python ## Choose new versions of what requirements/ pins.
	@$(PYTHON) -m tools.pins

python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed: install it (Debian 12 or later: apt-get install python3), or name it: make PYTHON=/path/to/python3.12"; exit 1; }
