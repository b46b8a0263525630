# Everything that one does with a checkout. `make` alone lists it.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALL_ATTEMPTS ?= 5
# Two processes, each with one thread. Workers of Ray have the same share of the cores as the tests.
# tests/conftest.py keeps the tests of one Ray cluster together.
PYTEST := OMP_NUM_THREADS=1 RAY_worker_niceness=0 $(BIN)/python -m pytest -n 2 --dist loadgroup

.DEFAULT_GOAL := help
.PHONY: help install demo docs notebooks test test-docs test-fast test-heavy faults check bench bench-gpu format clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## Create or update the environment in .venv

# Done once, and again when the dependencies change.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Poise needs Python 3.11 or newer; '$(PYTHON)' is not: make PYTHON=/path/to/python3.12 …" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "installing into $(VENV) (several GB with PyTorch; a few minutes the first time)"
	@for attempt in $$(seq $(INSTALL_ATTEMPTS)); do \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input \
			--retries 10 --timeout 120 -c constraints.txt -e '.[dev]' && break; \
		[ $$attempt -lt $(INSTALL_ATTEMPTS) ] || { echo "error: the install failed $(INSTALL_ATTEMPTS) times" >&2; exit 1; }; \
		echo "install attempt $$attempt failed, trying again in $$((attempt * 5)) s" >&2; sleep $$((attempt * 5)); \
	done
	@touch $@

demo: $(INSTALLED)  ## The main job on the embedded dataset: a sweep, the collapse explained, a registered backbone
	$(BIN)/python pipelines/demo.py

docs: $(INSTALLED)  ## Build the documentation into site/; it works offline
	$(BIN)/python pipelines/settings_reference.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "open site/index.html"

notebooks: $(INSTALLED)  ## Run the notebooks' scripts, and write the notebooks and the pictures of their page
	OMP_NUM_THREADS=1 $(BIN)/python pipelines/notebooks.py

test: $(INSTALLED) static  ## Format check, lint, strict types and the tests, without the heavy ones
	$(PYTEST) -m "not heavy"

test-heavy: $(INSTALLED)  ## The tests that take minutes each, one after another
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m heavy

faults: $(INSTALLED)  ## Kill runs, servers and nodes, let storage fail, and print what each fault cost
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m tests.faults.run_faults

test-docs: $(INSTALLED)  ## Run the commands of README.md and docs/ from top to bottom, in small sizes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m heavy tests/documents

test-fast: $(INSTALLED)  ## The tests that need neither Ray nor patience
	$(PYTEST) -m "not slow and not ray and not heavy"

check: $(INSTALLED) static test-fast  ## What to run before a commit

.PHONY: static
static: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# One after another: each prints a ratio measured against its own baseline in the same run.
bench: $(INSTALLED)  ## Run every benchmark in tests/benchmarks
	@set -e; for file in tests/benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file; done

# Without the environment, so that it runs on an image that has PyTorch and timm and no network.
bench-gpu:  ## Measure training steps on one GPU against the published ones, in eight minutes
	$(or $(wildcard $(BIN)/python),$(PYTHON)) tests/benchmarks/gpu/bench_gpu.py

format: $(INSTALLED)  ## Format the code and apply the safe fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove caches and build output; the environment, data and runs stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
	find platform pipelines tests -name __pycache__ -type d -prune -exec rm -rf {} +
