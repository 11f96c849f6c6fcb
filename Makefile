# One command per wish. Each sets up what it needs first, in .venv, and is instant the second time.
# `-c constraints.txt` stands on every install: it fixes the versions, torch first of all.

PYTHON ?= python3
WORKERS ?= 2
BIN := .venv/bin
INSTALL = $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS)

.DEFAULT_GOAL := help
.PHONY: help demo test test-all check format bench clean
.NOTPARALLEL:  # two installs into one .venv would meet

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

demo: .venv/demo.ready  ## train on real data, compare with PyTorch, export to ONNX (under five minutes)
	$(BIN)/python -m examples.demo

test: check  ## lint, types and the default tests, all on the CPU (45 minutes on two cores)
	$(PYTEST)

test-all: check .venv/peers.ready  ## the same with the slow tests and those against JAX
	$(PYTEST) -m "not gpu"

check: .venv/dev.ready  ## lint and types only
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: .venv/dev.ready  ## rewrite the sources in the one style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: .venv/peers.ready  ## peers side by side in one run; the table goes to benchmarks/results/
	$(BIN)/python -m benchmarks

clean:  ## remove .venv and the caches
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache

# A stamp per extra (demo, dev, peers): made again when the requirements change.
.venv/%.ready: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing tessera[$*] into .venv (a minute or two, once)"
	@$(INSTALL) -e '.[$*]'
	@touch $@

$(BIN)/python:
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
