# Two commands on a fresh machine: `make run` and `make test`. Everything else is a part of them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find core proto -name '*.pyx' -o -name '*.pxd' -o -name '*.h' -o -name '*.proto') setup.py

# Most tests wait for something, so more of them run at once than there are cores. SPREAD= runs one after the other.
SPREAD ?= -n 4 --dist loadfile

.PHONY: help setup system run test lint build debug test-debug fuzz ledger bench wheel sdist clean

help: ## what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

setup: build ## .venv with everything in it, the core compiled

run: setup ## the gateway with the demo upstream (ARGS="--http 127.0.0.1:9000" for options)
	$(BIN)/batchwire demo $(ARGS)

test: setup lint ## lint, types and the whole suite (public clients run in environments of their own)
	@command -v npm >/dev/null || bash .ci/packages nodejs npm
	@command -v go >/dev/null || bash .ci/packages golang-go
	@command -v h2load >/dev/null || bash .ci/packages nghttp2-client
	@command -v javac >/dev/null || bash .ci/packages default-jdk-headless
	@command -v mvn >/dev/null || bash .ci/packages maven
	@command -v chromium >/dev/null || bash .ci/packages chromium
	$(BIN)/python -m pytest tests $(SPREAD)
	$(MAKE) --no-print-directory debug fuzz ON=.ci/on_debug/run SECONDS=20

lint: build/installed.stamp ## ruff, mypy, cython-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check service demo clients tests bench setup.py
	$(BIN)/mypy service demo clients/python
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cython-lint core bench

build: build/built.stamp ## compile the core where it changed

debug: build/debug/built.stamp ## the core with checks, asserts and sanitizers, beside the release build (see .ci/on_debug/run)

# Tests that bound resident memory tightly hold for the release build alone.
test-debug: setup debug ## core, front and contract tests on the debug build, then MINUTES=10 of fuzzing there
	@command -v h2load >/dev/null || bash .ci/packages nghttp2-client
	HYPOTHESIS_PROFILE=search .ci/on_debug/run $(BIN)/python -m pytest tests/core tests/front tests/contract -m "not measured" -o timeout=240 $(SPREAD)
	$(MAKE) --no-print-directory fuzz ON=.ci/on_debug/run

fuzz: setup ## random sessions over an upstream that answers anything (MINUTES=10; SEED=n CASES=1: one case again)
	@$(ON) env FUZZ_SECONDS=$(or $(SECONDS),$$(($(or $(MINUTES),10) * 60))) FUZZ_SEED=$(or $(SEED),0) \
		FUZZ_CASES=$(or $(CASES),0) FUZZ_NOTES=build/fuzz.seed $(BIN)/python -m pytest tests/fuzz -s -n 0 || \
		{ echo "again: make $(if $(ON),debug )fuzz SEED=$$(cat build/fuzz.seed) CASES=1 $(if $(ON),ON=$(ON))"; exit 1; }

ledger: setup ## random batches with faults and cancels, and an audit of each call (MINUTES=60, SEED=0: any)
	LEDGER_SECONDS=$$(($(or $(MINUTES),2) * 60)) LEDGER_SEED=$(or $(SEED),0) $(BIN)/python -m pytest tests/ledger -s -n 0

bench: setup ## measure, with peers and the limit in the same run (ARGS="--quick")
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || bash .ci/packages nginx-light; \
		command -v wrk >/dev/null || bash .ci/packages wrk; \
		command -v h2load >/dev/null || bash .ci/packages nghttp2-client; \
		command -v cargo >/dev/null || bash .ci/packages cargo || true; fi
	$(BIN)/python -m bench $(ARGS)

wheel: setup ## an optimised, stripped wheel with nghttp2 in it (DIST=dist)
	@rm -rf build/wheel
	flock build/lock $(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-build-isolation --no-deps \
		--wheel-dir build/wheel .
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/auditwheel repair --strip --wheel-dir $(or $(DIST),dist) build/wheel/*.whl

sdist: build/installed.stamp ## a source archive that builds by itself (DIST=dist)
	flock build/lock $(BIN)/python setup.py --quiet sdist --dist-dir $(or $(DIST),dist)

clean: ## remove what was made, .venv excepted
	rm -rf build dist core/*.c core/*/*.c
	find core -name '*.so' -delete

# --- what the targets above stand on

$(VENV)/made.stamp: requirements.lock
	@bash .ci/packages --check
	[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@touch $@

build/installed.stamp: $(VENV)/made.stamp pyproject.toml
	@mkdir -p build
	BATCHWIRE_COMPILE=0 flock build/lock $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

build/built.stamp: $(SOURCES) build/installed.stamp
	flock build/lock $(BIN)/python setup.py --quiet build_ext --inplace
	@touch $@

build/debug/built.stamp: $(SOURCES) build/installed.stamp
	@mkdir -p build/debug
	flock build/lock env BATCHWIRE_DEBUG=1 $(BIN)/python setup.py --quiet build_ext
	@touch $@
