# The developer's manual: `make` prints it. Every target does what it needs of the set-up by itself.

.DEFAULT_GOAL := help
VENV := .venv
# The baselines' libraries have an environment of their own: River imports scikit-learn where it is installed, which would
# make each of our processes here larger and slower to start than a user's.
QUALITY := .venv-quality
BIN := $(VENV)/bin
# The first interpreter that is new enough and can make a virtual environment; or name one: make PYTHON=/usr/bin/python3.12 test
CANDIDATES := python3 python3.13 python3.12 python3.11
FIT := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(foreach python,$(CANDIDATES),$(shell $(python) -c '$(FIT)' >/dev/null 2>&1 && echo $(python))))
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links
TESTS ?= tests
PROCESSES ?= 2
RECORDS ?= 1000000

.PHONY: help setup demo test check bench quality sim sim-mutants campaign clients hostile docs lock clean

help: ## print this
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name what; do \
		printf '  make %-11s %s\n' "$$name" "$$what"; done

setup: $(VENV)/installed-dev ## make .venv from the lock, with Headrace in it (every other target does this too)

demo: $(VENV)/installed ## play a simulated fraud feed through the whole service, without any server, and show what happened
	$(BIN)/headrace demo

test: $(VENV)/installed-dev ## run every test, against a real Kafka and a real Redis (brought by the suite); TESTS=tests/unit: some
	tools/fetch >/dev/null
	$(BIN)/python -m pytest --numprocesses $(PROCESSES) $(TESTS)

check: $(VENV)/installed-dev ## lint, format, types, rooms, and documentation that is generated
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --quiet tests/test_architecture.py
	$(BIN)/python tools/configuration_reference.py --check

bench: $(VENV)/installed-dev ## measure speed, latency, stalls and memory (half an hour)
	tools/fetch >/dev/null
	$(BIN)/python -m benchmarks

quality: ## measure how good the answers are, beside baselines: make quality STREAM=fraud (or elec2, sea; ../shared/data)
	@$(MAKE) --no-print-directory VENV=$(QUALITY) $(QUALITY)/baselines
	$(QUALITY)/bin/python -m benchmarks.quality $(or $(STREAM),elec2 sea fraud)

sim: $(VENV)/installed-dev ## simulate histories full of faults, a seed each: make sim SEEDS=0:10000
	$(BIN)/python -m tests.simulation $(or $(SEEDS),0:1000) --shrink

sim-mutants: $(VENV)/installed-dev ## plant bugs in copies of the tree, one at a time: the simulations must find each (a quarter of an hour)
	$(BIN)/python -m tests.simulation.mutants $(MUTANTS)

campaign: $(VENV)/installed-dev ## kill real workers, brokers and networks until so many are on record (KILLS=300, also BROKER= REDIS= DOUBLE= NETWORK= FREEZE= MINUTES=)
	tools/fetch >/dev/null
	$(BIN)/python -m tests.campaign $(if $(KILLS),--kills $(KILLS)) $(if $(BROKER),--broker $(BROKER)) $(if $(REDIS),--redis $(REDIS)) \
		$(if $(DOUBLE),--double $(DOUBLE)) $(if $(NETWORK),--network $(NETWORK)) $(if $(FREEZE),--freeze $(FREEZE)) \
		$(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED))

clients: $(VENV)/installed-dev ## do the client libraries still answer faults as they did? A real broker, a minute (MARKDOWN=1 for docs/guarantees.md)
	tools/fetch >/dev/null
	$(BIN)/python -m tests.clients $(if $(MARKDOWN),--markdown)

hostile: $(VENV)/installed-dev ## hostile records through the step (RECORDS=1000000; MARKDOWN=1: a table)
	$(BIN)/python -m tests.hostile --records $(RECORDS) $(if $(MARKDOWN),--markdown)

docs: $(VENV)/installed-dev ## write the pages that are generated
	$(BIN)/python tools/configuration_reference.py

lock: $(VENV)/installed-dev ## write the locks again from pyproject.toml (UPGRADE=--upgrade for newer versions)
	$(PIP) --upgrade uv
	$(COMPILE) $(UPGRADE) --output-file requirements.lock pyproject.toml
	$(COMPILE) $(UPGRADE) --constraint requirements.lock --group dev --output-file requirements-dev.lock pyproject.toml
	$(COMPILE) $(UPGRADE) --constraint requirements.lock --group quality --output-file requirements-quality.lock pyproject.toml

clean: ## remove what setup, tests and the demo made
	rm -rf $(VENV) $(QUALITY) .tools .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist demo-out

# The stamps: an environment, Headrace in it, and the developer's tools or what baselines need. A newer lock or pyproject.toml
# renews them.
$(VENV)/made:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or newer with venv found (tried $(CANDIDATES))." >&2; \
		echo "  Install one (Debian: apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python3 $(MAKECMDGOALS)" >&2; \
		exit 2; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/installed: $(VENV)/made requirements.lock pyproject.toml
	@echo "installing requirements.lock into $(VENV) (about a minute)"
	@$(PIP) --require-hashes --requirement requirements.lock
	@$(PIP) --no-deps --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.lock
	@$(PIP) --require-hashes --requirement requirements-dev.lock
	@touch $@

$(VENV)/baselines: $(VENV)/installed requirements-quality.lock
	@$(PIP) --require-hashes --requirement requirements-quality.lock
	@touch $@
