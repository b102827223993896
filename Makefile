# Needs make and Python 3.11 or newer; everything else is installed into .venv from hash-locked files.

# The first of these that is new enough makes .venv; PYTHON=... names one.
PYTHON ?= python3 python3.13 python3.12 python3.11
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
STAMP  := $(VENV)/.setup-done
BENCH  := .venv-bench
BENCH_STAMP := $(BENCH)/.setup-done
PYTEST := $(BIN)/python -m pytest --doctest-modules schemas streams services tests
# The share of what `make test` leaves out that continuous integration runs with each commit.
SAMPLE := 0.03

# Who forbids Python to keep what it has compiled has each process of the tests compile River and all of this anew.
unexport PYTHONDONTWRITEBYTECODE

NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
LOCK   := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
          --custom-compile-command "make lock" pyproject.toml

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-sample test-full test-kafka sim chaos quality check format bench lock clean

help: ## Show this help
	@echo "riverrun: online machine learning on Kafka"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  ARGS=\"...\" is passed to demo, the tests, chaos, quality, bench and lock; PYTHON=python3.12 chooses the interpreter of setup."

setup: $(STAMP) ## Make .venv and install riverrun into it
	@echo "setup: $(VENV) is ready; try make demo, or $(BIN)/riverrun --help"

$(STAMP): requirements.txt pyproject.toml
	@$(BIN)/python -c '$(NEW_ENOUGH)' 2>/dev/null || { \
	  for python in $(PYTHON) none; do $$python -c '$(NEW_ENOUGH)' 2>/dev/null && break; done; \
	  test $$python != none || { echo "setup: needs Python 3.11 or newer, found none as: $(PYTHON) (name one: make setup PYTHON=...)" >&2; exit 1; }; \
	  rm -rf $(VENV) && $$python -m venv $(VENV); }
	@echo "setup: installing the locked packages into $(VENV) with $$($(BIN)/python --version); a minute or two the first time"
	@$(PIP) install --quiet --no-compile --require-hashes -r requirements.txt
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP) ## Run the demo: a broker, a stream, its drifts, and what is done about them
	@$(BIN)/riverrun demo $(ARGS)

test: $(STAMP) ## Run the quick tests and the doctests
	@$(PYTEST) -m "not slow and not kafka" --numprocesses 3 --dist loadfile $(ARGS)

test-sample: $(STAMP) ## Run a share of the slow tests and of those against Apache Kafka
	@$(BIN)/python -m pytest tests -m "slow or kafka" --sample $(SAMPLE) $(ARGS)

test-full: $(STAMP) ## Run all tests, the slow ones and those against Apache Kafka too
	@$(PYTEST) $(ARGS)

test-kafka: $(STAMP) ## Run all tests against Apache Kafka (Java 17, Maven)
	@$(BIN)/python -m pytest tests -m kafka $(ARGS)

sim: $(STAMP) ## Run 10,000 simulated worlds and the planted bugs (SEED=123 tells one)
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),10000) --bugs) $(ARGS)

chaos: $(STAMP) ## Kill, stop and cut off workers and brokers of Apache Kafka; one table
	@$(BIN)/python -m tests.chaos $(ARGS)

quality: $(STAMP) ## Try the life cycle's policies in many worlds; one table
	@$(BIN)/python -m benchmarks.quality $(ARGS)

check: $(STAMP) ## Check format, lint and types; changes nothing
	@$(BIN)/ruff format --quiet --check . || { echo "check: files above are not formatted: run make format" >&2; exit 1; }
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(STAMP) ## Format the code and mend what ruff can mend
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

# A venv of its own: the engines pin older clients than riverrun needs, and all are compared on the same ones.
$(BENCH_STAMP): $(STAMP) requirements-bench.txt pyproject.toml
	@echo "bench: installing riverrun and the engines to compare with into $(BENCH)"
	@test -x $(BENCH)/bin/python || $(BIN)/python -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip --disable-pip-version-check install --quiet --no-compile --require-hashes -r requirements-bench.txt
	@$(BENCH)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation -e .
	@touch $@

bench: $(BENCH_STAMP) ## Measure riverrun beside a bare loop and other engines
	@$(BENCH)/bin/python -m benchmarks.run $(ARGS)
	@test -n "$(ARGS)" || { $(BENCH)/bin/python -m benchmarks.run --commit-intervals 50,100,250,1000 --records 50000 --repeat 2 \
	  && $(BENCH)/bin/python -m benchmarks.latency; }

lock: $(STAMP) ## Write the hash-locked files again (ARGS=--upgrade for newer versions)
	@test -x $(BIN)/uv || $(PIP) install --quiet uv
	@$(LOCK) --all-extras --output-file requirements-bench.txt $(ARGS)
	@$(LOCK) --extra demo --extra dev --extra laboratory --extra object-store --output-file requirements.txt $(ARGS)
	@echo "lock: wrote requirements.txt and requirements-bench.txt; make setup installs them"

clean: ## Remove .venv, caches and builds
	@rm -rf $(VENV) $(BENCH) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
