# Viaduct: `make run` and `make test` need only git, make and some Python; see README.md.
.DEFAULT_GOAL := help
PY := .venv/bin/python
VIADUCT := .venv/bin/viaduct
JOBS ?= 2

.PHONY: help setup run test check coverage lock tfjs clean system-packages

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

setup: ## make .venv from the lock (nothing to do the second time)
	@tools/bootstrap.sh

run: setup ## raw data -> blessed model -> an answered gRPC prediction (card_fraud)
	@$(VIADUCT) run card_fraud --predict

test: setup airflow-setup ## everything: checks, the fast tests with what they cover, then all others
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory --keep-going coverage slow-tests

.PHONY: slow-tests
slow-tests: setup
	@$(PY) -m pytest -n $(JOBS) --dist loadgroup -m "not ($(IS_FAST))"

.PHONY: lint
lint: setup
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

.PHONY: card
card: setup
	@$(VIADUCT) card --check

IS_FAST := not slow and not browser and not airflow and not spark
FAST := -q -n $(JOBS) --dist loadgroup -m "$(IS_FAST)"
check: lint card ## lint, types, house rules and the fast tests; under two minutes
	@$(PY) -m pytest $(FAST)

coverage: setup ## branches that the fast tests take, room by room; fails below the floor in pyproject.toml
	@mkdir -p test-artifacts
	@$(PY) -m pytest $(FAST) --cov --cov-report= --cov-fail-under=0
	@for room in pipelines components bridges dags serving dashboards; do \
	    printf '%-12s' $$room; $(PY) -m coverage report --include="$$room/*" --format=total --fail-under=0; done
	@printf 'coverage    '; $(PY) -m coverage report --format=total

lock: setup ## resolve requirements.in anew into requirements.lock
	@command -v uv >/dev/null || { echo "make lock needs uv (pip install uv)"; exit 1; }
	uv pip compile --python $(PY) --no-header --no-annotate -q requirements.in -o requirements.lock

system-packages: ## Debian packages that some tests need (PostgreSQL, Java, Chromium, nginx, wrk); needs root
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql openjdk-17-jre-headless chromium nginx-light wrk

.PHONY: spark spark-stop
spark: setup ## a Spark master and two workers on loopback; prints the address
	@$(PY) -m bridges.spark.cluster up

spark-stop: setup ## ends them
	@$(PY) -m bridges.spark.cluster down

tfjs: setup ## the TensorFlow.js converter's own environment in .tfjs-venv (2.5 GB), for sentiment's web page and its tests
	@$(PY) -m components.tfjs_exporter.environment

clean: ## remove .venv, .airflow-venv, .tfjs-venv and caches; HOME (.viaduct) stays
	rm -rf .venv .venv-uv .airflow-venv .tfjs-venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info test-artifacts

-include airflow.mk
