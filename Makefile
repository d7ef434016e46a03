# Everything a developer runs. `make` alone lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
python := .venv/bin/python

.PHONY: help
help:  ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: venv
venv:  ## create or find the virtual environment, linked as .venv
	@tests/venv > /dev/null

.PHONY: check
check: venv  ## lint, sanity, types, unit and property tests, build and install; needs no cluster
	@$(python) tests/run.py check $(if $(TIERS),--only $(TIERS))

.PHONY: test
test: venv  ## what continuous integration runs: check, API server, mesh, Molecule (TIERS="api mesh" for some of it)
	@$(python) tests/run.py test $(if $(TIERS),--only $(TIERS))

.PHONY: soak
soak: venv  ## test with the full number of random kills, examples and simulations; takes hours (TIERS works here too)
	@$(python) tests/run.py soak $(if $(TIERS),--only $(TIERS))

.PHONY: format
format: venv  ## format the Python code
	@$(python) -m ruff format . && $(python) -m ruff check --fix .

.PHONY: lab-up
lab-up: venv  ## start the lab: a kind cluster with Istio (the first build takes 15 minutes)
	@lab/cluster up

.PHONY: lab-down
lab-down: venv  ## stop the lab and remove it
	@lab/cluster down

.PHONY: demo
demo: venv  ## the Bookinfo story on a real mesh, with a report (KEEP=1 leaves the cluster up)
	@$(python) lab/demo/run $(if $(KEEP),--keep)

.PHONY: bench
bench: venv  ## measure tasks against kubernetes.core, then rollouts under load (needs the lab: make lab-up)
	@$(python) tests/bench/tasks.py
	@$(python) tests/bench/rollout.py

.PHONY: docs
docs: venv  ## generate pages from the code, then the documentation as a web site under out/docs
	@$(python) docs/generate.py
	@$(python) docs/site.py

.PHONY: plugins
plugins: venv  ## unit tests of the plugins with the oldest or the newest ansible-core (CORE=oldest); needs no cluster
	@core=$$(tests/venv --$(or $(CORE),oldest)) && $$core/bin/python -m pytest -q tests/unit/plugins/filter \
	    tests/unit/plugins/callback tests/unit/plugins/plugin_utils

.PHONY: sbom
sbom: venv  ## list the parts of the collection and of its tests as CycloneDX, under out/sbom
	@tool=$$(tests/venv --sbom) && $$tool/bin/python tests/sbom.py

.PHONY: dist
dist: venv  ## build the collection that is published, under dist
	@.venv/bin/ansible-galaxy collection build --force --output-path dist .

.PHONY: clean
clean:  ## remove generated files from the checkout; the cache outside stays
	@rm -rf .venv out dist tests/output .ansible .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
