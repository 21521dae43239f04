# make run        the bundled digits, from images to a pushed model and its first prediction
# make test       all that continuous integration runs: lint, tests, whole pipelines, browser
# make test-fast  the tests of a few minutes
# make lint       ruff and mypy
# make install    install or update what uv.lock names; PYTHON=/path/to/python chooses the interpreter
# make clean      remove what installation and tests left; models and logs stay

EXTRAS ?= pipeline serving
BIN := .venv/bin
# Two processes: more would each import TFX, 10 s and 1 GB, and the whole pipelines run one after the other anyway.
WORKERS ?= --numprocesses=2 --dist=loadgroup --no-loadscope-reorder
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

# As long as this file is newer than the lock, no registry is asked: everything works without network.
$(INSTALLED): pyproject.toml uv.lock
	@$(MAKE) --no-print-directory install

clean:
	rm -rf .venv .uv dist .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
