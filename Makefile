# Two commands for newcomers: `make demo` and `make test`. `make docs` builds the site. Each sets up what it needs.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: setup demo test test-oldest test-newest coverage docs build-tools dist audit-dependencies lint types imports check clean

$(BIN)/python:
	@echo "==> setting up a virtual environment in $(VENV) (a few minutes the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "obliq needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

$(VENV)/.installed-docs: pyproject.toml | $(BIN)/python
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[docs]'
	@touch $@

# Files in the order of their names: sorted by their number of tests, as is usual, the longest ones would come last, alone.
IN_PROCESSES := --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

setup: $(VENV)/.installed

demo: setup
	@$(BIN)/obliq demo --out demo --overwrite

test: setup
	@$(BIN)/python -m pytest $(IN_PROCESSES)
	@echo "==> all tests passed"

# The suite on the oldest releases that pyproject.toml allows, and on the newest. Each takes an environment of its own, several
# GB where pip finds torch as a build for GPUs, and half an hour. PIP_ARGS may name an index of builds for processors. The oldest
# releases have no wheels for Python 3.13 and newer ones: PYTHON=python3.11.
test-oldest:
	@$(PYTHON) -m venv .venv-oldest
	@.venv-oldest/bin/pip install --quiet --disable-pip-version-check $(PIP_ARGS) packaging
	@.venv-oldest/bin/python .ci/oldest_releases.py > .venv-oldest/constraints.txt
	@.venv-oldest/bin/pip install --quiet --disable-pip-version-check -c .venv-oldest/constraints.txt $(PIP_ARGS) -e '.[dev]'
	@.venv-oldest/bin/python -m pytest $(IN_PROCESSES)

test-newest:
	@$(PYTHON) -m venv .venv-newest
	@.venv-newest/bin/pip install --quiet --disable-pip-version-check --upgrade --upgrade-strategy eager $(PIP_ARGS) -e '.[dev]'
	@.venv-newest/bin/python -m pytest $(IN_PROCESSES)

# Lines that the tests of these rooms run: what reads files, patches devices and keeps promises about both. The floor is in pyproject.toml.
COVERED := io patch checkpoints
coverage: setup
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[coverage]'
	@$(BIN)/python -m pytest $(IN_PROCESSES) $(COVERED:%=--cov=obliq.%) $(COVERED:%=tests/%)

docs: $(VENV)/.installed-docs  # a warning is an error: broken links, public names without a docstring
	@$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet --fresh-env -c docs/site -d build/doctrees . site
	@echo "==> the site is in site/index.html"

$(VENV)/.installed-dist: pyproject.toml | $(BIN)/python
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dist]'
	@touch $@

# What builds the wheel is locked by version and hash, and lies in an environment of its own. `make build-tools` locks the newest.
$(VENV)-build/.installed: .ci/build-tools.txt
	@$(PYTHON) -m venv --clear $(VENV)-build
	@$(VENV)-build/bin/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r .ci/build-tools.txt
	@touch $@

build-tools: setup
	@$(BIN)/python .ci/lock_build_tools.py > build-tools.txt
	@mv build-tools.txt .ci/build-tools.txt

dist: $(VENV)/.installed-dist $(VENV)-build/.installed  # wheel, sdist and bill of materials, checked; the demo runs from the wheel without extras
	@rm -rf dist
	@$(VENV)-build/bin/python -m build --no-isolation --outdir dist
	@$(BIN)/twine check --strict dist/*
	@$(BIN)/python .ci/check_distribution.py dist/*.whl
	@$(BIN)/python .ci/bill_of_materials.py dist/*.whl

# Known flaws of the installed packages, and releases that were withdrawn, as pip's index lists them. It is no part of continuous
# integration: what it finds changes from day to day without a commit, and not every mirror can decide every package.
# ARGS=--accept-unchecked lists those that could not be decided and goes on.
audit-dependencies: setup
	@$(BIN)/python .ci/known_flaws.py $(ARGS)

lint: setup
	@$(BIN)/ruff check src tests benchmarks docs .ci
	@$(BIN)/ruff format --check src tests benchmarks docs .ci

types: setup
	@$(BIN)/mypy

imports: setup
	@$(BIN)/lint-imports

check: lint types imports test

clean:
	rm -rf $(VENV) $(VENV)-build .venv-oldest .venv-newest demo runs site build dist
