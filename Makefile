# Everything here works from a fresh clone with Python >= 3.11, pip and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# `pip --python` installs from outside, so the environment itself needs no pip (Debian ships venv without ensurepip).
PIP := $(PYTHON) -m pip --python $(BIN)/python --disable-pip-version-check -q

# The real clients that tests/clients drives, each in an environment of its own; they are made side by side.
CLIENTS := $(addprefix $(VENV)/clients/,openai3 openai2 minimax)
CLIENT_STAMPS := $(CLIENTS:=/.stamp) $(VENV)/clients/node/.stamp

.PHONY: demo test lint types tests servers clients .clients bench soak lock clean

demo: $(VENV)/.run
	$(BIN)/reelgate demo $(ARGS)

test: lint types tests

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

tests: $(VENV)/.dev servers clients
	$(BIN)/python -m pytest $(ARGS)

servers:
	@sh tests/servers.sh

clients:
	@$(MAKE) --no-print-directory -j$(words $(CLIENT_STAMPS)) .clients
.clients: $(CLIENT_STAMPS)
	@:

bench: $(VENV)/.dev
	$(BIN)/python -m bench $(ARGS)

# What takes too long for every run of the tests.
soak: $(VENV)/.dev
	$(BIN)/python -m tests.images.soak --files 1000000 $(ARGS)
	REELGATE_SOAK=1 $(BIN)/python -m pytest tests/watch/test_crowd.py
	REELGATE_SOAK=1 $(BIN)/python -m pytest tests/openapi/test_calls.py
	$(BIN)/python -m tests.serving.siege
	$(BIN)/python -m tests.callbacks.soak --letters 10000
	REELGATE_KILLS=200 $(BIN)/python -m pytest tests/life/test_kill_under_load.py
	$(BIN)/python -m tests.soak --minutes 60

# Pins for every supported Python and platform in one file each, with hashes and without the address of any index.
LOCK := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --quiet
lock: $(VENV)/.dev
	$(PIP) install uv
	$(LOCK) pyproject.toml -o requirements.txt
	$(LOCK) pyproject.toml --extra postgres -o requirements-postgres.txt
	$(LOCK) pyproject.toml --extra otel -c requirements-postgres.txt -o requirements-otel.txt
	$(LOCK) pyproject.toml --group dev -o requirements-dev.txt
	$(LOCK) --group pyproject.toml:build -o requirements-build.txt
	for client in $(notdir $(CLIENTS)); do $(LOCK) tests/clients/$$client.in -o tests/clients/$$client.txt || exit; done
	cd tests/clients/node && npm install --package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund

$(VENV)/bin/python:
	$(PYTHON) -m venv --without-pip $(VENV)

$(VENV)/.run: requirements.txt requirements-build.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) install --require-hashes -r requirements-build.txt
	$(PIP) install --require-hashes -r requirements.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	$(PIP) install --require-hashes -r requirements-dev.txt
	touch $@

$(CLIENTS:=/.stamp): $(VENV)/clients/%/.stamp: tests/clients/%.txt
	rm -rf $(@D)
	$(PYTHON) -m venv --without-pip $(@D)
	$(PYTHON) -m pip --python $(@D)/bin/python --disable-pip-version-check -q install --no-compile --require-hashes -r $<
	touch $@

$(VENV)/clients/node/.stamp: $(addprefix tests/clients/node/,install.sh package.json package-lock.json)
	sh $< $(@D)

clean:
	rm -rf $(VENV) build dist *.egg-info
