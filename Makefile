.DEFAULT_GOAL := help
.PHONY: help install run test soak bench test-unit lint lock schemas up down down-data clean dev

PYTHON ?= python3
BIN := .venv/bin
PIP := PYTHONWARNINGS=ignore $(BIN)/python -m pip install --disable-pip-version-check --require-virtualenv
# The lock is whole, so pip resolves nothing: it would look at releases newer than the locked ones and refuse them
# (pypa/pip#9644). `pip check` says whether something is missing.
LOCKED := $(PIP) --no-deps --require-hashes
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command 'make lock' $(UPGRADE)
# The longest first: half of what they take is waiting, so two runs share the processors, each with servers of its own.
TESTS = e2e faults integration browser unit

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | while IFS='	' read -r name text; do \
		printf '  %-10s %s\n' "$$name" "$$text"; done

install: .venv/run.stamp ## what `relais` needs, into .venv
	@:

run: ## all four services on this machine, with sample visits, until Ctrl-C
	@echo "Relais: preparing (the first time takes a minute; nothing is installed outside this folder)"
	@$(MAKE) --no-print-directory install
	@exec $(BIN)/relais run --samples

test: lint ## lint, types and every test; installs a broker and a browser first when root
	@tests/support/install.sh
	-@$(BIN)/python -c 'from tests.support.node import program; program("")' # may take longer than a test is given
	@echo "Two runs at a time, each told when it has ended; meanwhile: tail -f .venv/e2e.log"
	@printf '%s\n' $(TESTS) | xargs -P 2 -I{} sh -c '$(BIN)/python -m pytest -p no:cacheprovider tests/{} >.venv/{}.log 2>&1; \
		status=$$?; cat .venv/{}.log; exit $$status' || { echo "Not all passed: look above for each of $(TESTS)"; exit 1; }

soak: dev ## the long fault tests, about an hour: ten minutes without a server, a cluster, 100,000 events unread
	@tests/support/install.sh
	$(BIN)/python -m pytest -m soak tests

bench: dev ## how fast, beside peers that do the same by hand: some 20 minutes; BENCH='way --rounds 3' for a part
	@tests/support/install.sh
	$(BIN)/python -m tests.bench $(or $(BENCH),all)

test-unit: dev ## the tests that need no server
	$(BIN)/python -m pytest tests/unit

lint: dev ## style, types, import rules, and whether the published schemas are current
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/relais schemas --check

schemas: dev ## write the published JSON Schemas and the AsyncAPI document anew
	$(BIN)/relais schemas

lock: dev ## write requirements/ anew from pyproject.toml; UPGRADE=--upgrade takes the newest versions
	$(COMPILE) pyproject.toml -o requirements/image.txt
	$(COMPILE) pyproject.toml -c requirements/image.txt --extra embedded -o requirements/run.txt
	$(COMPILE) pyproject.toml -c requirements/run.txt --extra embedded --extra dev -o requirements/dev.txt

up: install ## the production shape with docker compose: https://localhost, and ports of 127.0.0.1 for operators
	@test -d deploy/secrets || test -z "$$(docker volume ls -q -f name=^relais_)" || { \
		echo "There is data of an earlier set-up, and deploy/secrets, which opens it, is not here: put it back," \
		"or delete that data with 'make down-data'." >&2; exit 2; }
	$(BIN)/relais secrets deploy/secrets
	docker compose up -d --build --wait

down: ## stop it and remove its containers and networks; keeps its data and secrets
	docker compose down --remove-orphans

down-data: ## the same, and delete its data and secrets for good
	docker compose down --remove-orphans --volumes
	rm -rf deploy/secrets

clean: ## remove .venv and caches; touches no data
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build *.egg-info
	find services tests -name __pycache__ -prune -exec rm -rf {} +

dev: .venv/dev.stamp

.venv/bin/pip: deploy/make_venv.py
	@$(PYTHON) deploy/make_venv.py .venv
	@touch $@

.venv/run.stamp: requirements/run.txt pyproject.toml | .venv/bin/pip
	@echo "Installing what Relais runs on into .venv"
	@$(LOCKED) -r requirements/run.txt
	@$(PIP) --quiet --no-deps --no-build-isolation -e .
	@$(BIN)/python -m pip check
	@touch $@

.venv/dev.stamp: requirements/dev.txt pyproject.toml | .venv/bin/pip
	@echo "Installing the tools of development into .venv"
	@$(LOCKED) -r requirements/dev.txt
	@$(PIP) --quiet --no-deps --no-build-isolation -e .
	@$(BIN)/python -m pip check
	@touch $@
