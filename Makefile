# make run        train and push a model of the bundled digits, then make its first prediction
# make test       everything that continuous integration runs: lint, tests, whole pipelines, browser tests
# make test-fast  the quick tests: no training, no server, no TFX
# make lint       ruff and mypy
# make install    install or update the packages of uv.lock; PYTHON=/path/to/python selects the interpreter
# make clean      remove the environment and the caches of tests; models and logs stay

EXTRAS ?= pipeline serving
BIN := .venv/bin
# Two processes: each further one would import TFX again, 10 s and 1 GB. A file's tests share what its fixtures made, so
# they stay on one process.
WORKERS ?= --numprocesses=2 --dist=loadfile --no-loadscope-reorder
INSTALLED := .venv/.installed

# Without its bytecode, TFX takes 25 s to import instead of 9.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test test-fast lint install clean

run: $(INSTALLED)
	@$(BIN)/vision-tfx run digits-dbn --predict docs/images/seven.png

test: lint
	$(BIN)/python -m pytest $(WORKERS) -m "not slow and not gpu"

test-fast: $(INSTALLED)
	$(BIN)/python -m pytest $(WORKERS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

install:
	@.ci/install $(EXTRAS)
	@touch $(INSTALLED)

# While this file is newer than the lock, no package registry is contacted, so everything works without a network.
$(INSTALLED): pyproject.toml uv.lock
	@$(MAKE) --no-print-directory install

clean:
	rm -rf .venv .uv dist .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
