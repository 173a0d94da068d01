# Airflow on this machine; included by the Makefile. VIADUCT_HOME says where (default: .viaduct in the checkout).
VIADUCT_PYTHON ?= $(CURDIR)/.venv/bin/python

.PHONY: airflow airflow-stop
airflow: ## PostgreSQL, Airflow's webserver, scheduler and triggerer on loopback; prints the URL
	@PYTHONPATH="$(CURDIR)" $(VIADUCT_PYTHON) -m dags.control up

airflow-stop: ## ends all of it; data, runs and users stay
	@PYTHONPATH="$(CURDIR)" $(VIADUCT_PYTHON) -m dags.control down
