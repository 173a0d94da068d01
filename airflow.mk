# Airflow on this machine; included by the Makefile. VIADUCT_HOME says where (default: .viaduct in the checkout).
VIADUCT_PYTHON ?= $(CURDIR)/.venv/bin/python

.PHONY: airflow airflow-stop airflow-setup airflow-lock
airflow: setup airflow-setup ## PostgreSQL and Airflow's services on loopback; prints the URL
	@PYTHONPATH="$(CURDIR)" $(VIADUCT_PYTHON) -m dags.control up

airflow-stop: ## ends all of it; data, runs and users stay
	@PYTHONPATH="$(CURDIR)" $(VIADUCT_PYTHON) -m dags.control down

airflow-setup: ## make .airflow-venv from its lock (nothing to do the second time)
	@tools/bootstrap_airflow.sh

# With the older of the Pythons it is for: what resolves there resolves in both.
airflow-lock: ## resolve requirements-airflow.in anew into requirements-airflow.lock
	@command -v uv >/dev/null || { echo "make airflow-lock needs uv (pip install uv)"; exit 1; }
	uv pip compile --python-version 3.11 --no-header --no-annotate -q requirements-airflow.in -o requirements-airflow.lock
