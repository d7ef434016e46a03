# Everything a developer runs. `make` alone explains itself.
.DEFAULT_GOAL := help
SHELL := /bin/bash
python := .venv/bin/python

.PHONY: help
help:  ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: venv
venv:  ## make or find the virtual environment, linked as .venv
	@tests/venv > /dev/null

.PHONY: check
check: venv  ## lint, sanity, types, unit and property tests, build and install; needs no cluster
	@$(python) tests/run.py check $(if $(TIERS),--only $(TIERS))

.PHONY: test
test: venv  ## what continuous integration runs: check, API server, mesh, Molecule (TIERS="api mesh" for some of it)
	@$(python) tests/run.py test $(if $(TIERS),--only $(TIERS))

.PHONY: format
format: venv  ## lay the Python code out
	@$(python) -m ruff format . && $(python) -m ruff check --fix .

.PHONY: lab-up
lab-up: venv  ## start the lab: a kind cluster with Istio (the first time it builds for a quarter of an hour)
	@lab/cluster up

.PHONY: lab-down
lab-down: venv  ## stop the lab and leave nothing behind
	@lab/cluster down

.PHONY: demo
demo: venv  ## the Bookinfo story on a real mesh, with a report (KEEP=1 leaves the cluster up)
	@$(python) lab/demo/run $(if $(KEEP),--keep)

.PHONY: bench
bench: venv  ## measure tasks beside kubernetes.core, then whole rollouts under load (needs the lab: make lab-up)
	@$(python) tests/bench/tasks.py
	@$(python) tests/bench/rollout.py

.PHONY: docs
docs: venv  ## the pages made from the code, then the documentation as a web site under out/docs
	@$(python) docs/generate.py
	@tests/docs

.PHONY: clean
clean:  ## remove what was made inside the checkout; the cache outside stays
	@rm -rf .venv out dist tests/output .ansible .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
