# Viaduct: `make run` and `make test` need only git, make and some Python; see README.md.
.DEFAULT_GOAL := help
PY := .venv/bin/python
VIADUCT := .venv/bin/viaduct
TESTS ?= tests
JOBS ?= 2

.PHONY: help setup run test check lock tfjs clean system-packages

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

setup: ## make .venv from the lock (nothing to do the second time)
	@tools/bootstrap.sh

run: setup ## raw data -> blessed model -> an answered gRPC prediction (card_fraud)
	@$(VIADUCT) run card_fraud --predict

test: setup ## everything: checks, then all tests
	@$(MAKE) --no-print-directory lint
	@$(PY) -m pytest -n $(JOBS) --dist loadgroup $(TESTS)

.PHONY: lint
lint: setup
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

check: lint ## lint, types, house rules and the fast tests; under two minutes
	@$(PY) -m pytest -q -n $(JOBS) --dist loadgroup -m "not slow and not browser and not airflow" $(TESTS)

lock: setup ## resolve requirements.in anew into requirements.lock
	@command -v uv >/dev/null || { echo "make lock needs uv (pip install uv)"; exit 1; }
	uv pip compile --python $(PY) --no-header --no-annotate -q requirements.in -o requirements.lock

system-packages: ## Debian packages that some tests need (PostgreSQL, Chromium); needs root
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql chromium

tfjs: setup ## the TensorFlow.js converter's own environment in .tfjs-venv (2.5 GB), for sentiment's web page and its tests
	@$(PY) -m components.tfjs_exporter.environment

clean: ## remove .venv, .tfjs-venv and caches; HOME (.viaduct) stays
	rm -rf .venv .venv-uv .tfjs-venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info test-artifacts

-include airflow.mk
