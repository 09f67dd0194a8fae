# Everything a newcomer needs is `make demo` and `make test`; `make help` lists the rest.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

# Modules are compiled once, at installation and at first use: each start of a process would do it again otherwise.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint bench faults faults-mcp lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'

setup: $(READY)  ## install the locked packages and the project into .venv

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 15) else "Ratchet needs Python 3.11 to 3.14; this is %d.%d. Set PYTHON=/path/to/python3.x" % v)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: $(READY)  ## a whole workspace on this machine; ASK="…" asks once, IMPORT=DIR loads other messages
	@$(BIN)/ratchet demo \
	  $(if $(value ASK),--ask '$(subst ','\'',$(value ASK))') $(if $(value IMPORT),--import '$(subst ','\'',$(value IMPORT))')

test: $(READY)  ## run the tests (Postgres is real and comes with the packages)
	@$(BIN)/python -m pytest $(ARGS)

lint: $(READY)  ## ruff, mypy --strict, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

check: lint test  ## what CI runs: ruff, mypy --strict, import-linter, tests

bench: $(READY)  ## measure turns, storage and acks; prints its figures
	@$(BIN)/python -m benchmarks $(ARGS)

faults: $(READY)  ## kill real processes at the worst moments and count the answers
	@$(BIN)/python -m benchmarks.faults $(ARGS)

faults-mcp: $(READY)  ## the same with MCP servers that misbehave, 25 times in each way
	@$(BIN)/python -m benchmarks.faults --runs 25 --point mcp-slow mcp-hung mcp-large mcp-dying mcp-breaker $(ARGS)

lock: $(READY)  ## resolve requirements.lock again
	@$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --universal --generate-hashes \
	  --no-annotate --no-header --quiet --output-file requirements.lock

clean:  ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
