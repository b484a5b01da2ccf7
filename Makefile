# Needs python3 (3.11 or later) with venv, and make. Everything else goes into .venv.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-slow check format bench requirements clean

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
OURS := core/pyproject.toml plugins/kinesis/pyproject.toml plugins/eventhubs/pyproject.toml
WORKERS ?= 4
DEMO ?= kinesis

help:
	@echo "make setup       create .venv with everything for development"
	@echo "make demo        set up, then run the demo: an export into an embedded Kinesis (DEMO=eventhubs, DEMO=both)"
	@echo "make test        all tests but the slow ones"
	@echo "make test-slow   the slow tests"
	@echo "make check       linters, types, import rules, each plugin as a wheel"
	@echo "make format      let ruff format and fix what it can"
	@echo "make bench       measure the export and draw the picture of the docs"
	@echo "make requirements  renew the pinned requirements (needs uv)"
	@echo "make clean       remove .venv and every cache"

setup: .venv/.dev

# Step one installs what others made, pinned and hashed; step two what is ours. The stamp holds until
# a requirement or a pyproject changes.
.venv/.dev: requirements/dev.txt $(OURS) | $(BIN)/python
	$(PIP) install --quiet --require-hashes -r requirements/dev.txt
	$(PIP) install --quiet --no-deps --no-build-isolation -e core -e plugins/kinesis -e plugins/eventhubs
	touch .venv/.demo $@

.venv/.demo: requirements/demo.txt $(OURS) | $(BIN)/python
	$(PIP) install --quiet --require-hashes -r requirements/demo.txt
	$(PIP) install --quiet --no-deps --no-build-isolation -e core -e plugins/kinesis -e plugins/eventhubs
	touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Tailrace needs Python 3.11 or later" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv

demo: .venv/.demo
	$(BIN)/tailrace demo $(DEMO)

# The core's tests run where no destination is installed, all others where each is.
test: .venv/.dev
	$(BIN)/python -m tests.packaging.check_core_alone -m "not slow" -n $(WORKERS) --dist worksteal
	$(BIN)/python -m pytest -m "not slow" -n $(WORKERS) --dist worksteal plugins tests

test-slow: .venv/.dev
	$(BIN)/python -m pytest -m slow

check: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python tests/packaging/check_wheels.py

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.dev
	$(BIN)/python -m tests.bench.run

# One resolution for every supported platform and Python; no address of an index is recorded.
COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-package tailrace --no-emit-package tailrace-kinesis --no-emit-package tailrace-eventhubs
requirements:
	$(COMPILE) $(UPGRADE) requirements/dev.in -o requirements/dev.txt
	$(COMPILE) $(UPGRADE) requirements/demo.in -o requirements/demo.txt

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
