# Two targets do everything: `make drill` and `make test`. Both install what is missing and say so.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
LEVEL ?= full
LAYOUT ?= $(or $(DRILL_LAYOUT),releases)
export DRILL_LAYOUT := $(LAYOUT)
# Scenarios of `make test`: the first one, and one of the others, which changes with the day.
TAKE_TURNS := level_frontend level_partial selective sessions assess
TODAY = default $(word $(shell echo $$(($$(date +%s) / 86400 % 5 + 1))),$(TAKE_TURNS))
SCENARIO ?= default $(TAKE_TURNS)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(VENV)/.complete ## Install what drills and tests need: apt packages and a virtual environment

$(VENV)/.complete: requirements.txt requirements-dev.txt tests/install-packages
	tests/install-packages
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --requirement requirements-dev.txt
	touch $@

.PHONY: up
up: setup ## Bring up the drill system: containers, release v1, data
	drill/bin/up

.PHONY: drill
# Levels that have to be quick are measured without it.
drill: export DRILL_BROWSER ?= $(if $(filter full auto,$(LEVEL)),writes)
drill: setup ## Break the drill system, roll it back under traffic, undo, show the evidence (LEVEL=full, partial, frontend, selective or auto, LAYOUT=releases or checkout)
	drill/bin/up --fresh
	python drill/scenario/run.py $(LEVEL)

.PHONY: down
down: setup ## Remove the drill system's containers
	ansible-playbook -i inventories/drill drill/destroy.yml

.PHONY: lint
lint: setup ## Lint playbooks, roles, plugins and Python
	shellcheck drill/bin/* tests/install-packages tests/unpack-mysql tests/unpack-monitoring tests/sanity.sh .ci/run
	yamllint --strict .
	ansible-lint --offline
	ruff check .
	ruff format --check .
	mypy
	tests/sanity.sh

.PHONY: unit
unit: setup ## Unit tests
	pytest tests/unit

.PHONY: integration
integration: setup ## Integration tests against real database servers, MariaDB and MySQL side by side
	$(MAKE) --jobs=2 --output-sync integration-mariadb integration-mysql

.PHONY: integration-mariadb
integration-mariadb: setup
	pytest tests/integration -k mariadb

.PHONY: integration-mysql
integration-mysql: setup
	pytest tests/integration -k 'not mariadb'

.PHONY: molecule
molecule: export DRILL_NAME := molecule
molecule: export DRILL_NETWORK := 172.30.79
molecule: setup ## Rollbacks of each level with Molecule, on a system of their own (SCENARIO=level_frontend: that one alone)
	drill/bin/ensure-engine
	drill/bin/build-images
	for scenario in $(SCENARIO); do molecule test --scenario-name $$scenario; done

.PHONY: faults
faults: export DRILL_NAME := faults
faults: export DRILL_NETWORK := 172.30.80
faults: export FAULTS ?= all
faults: setup ## Kill runs at every boundary and inject every fault, on a system of its own; takes hours (FAULTS=sample does not)
	drill/bin/ensure-engine
	drill/bin/build-images
	molecule test --scenario-name faults

.PHONY: bench-database
bench-database: export PYTHONPATH := collections:tests
bench-database: setup ## Measure the database engine against its goals, on a private server; half an hour (BENCH="--gb 0.2" is short)
	python tests/bench/database.py $(BENCH)

.PHONY: bench-triggers
bench-triggers: export PYTHONPATH := collections:tests
bench-triggers: setup ## Measure what triggers read of large logs, beside grep and awk (BENCH="--access-gb 0.2 --laravel-gb 0.1" is short)
	python tests/bench/triggers.py $(BENCH)

.PHONY: test
test: lint unit ## Everything that CI runs: the above; of scenarios and faults a sample that changes with the day
	$(MAKE) --jobs=2 --output-sync=line SCENARIO='$(TODAY)' molecule servers-and-faults

# Beside the scenarios, which mostly wait for hosts.
.PHONY: servers-and-faults
servers-and-faults: setup
	$(MAKE) integration
	$(MAKE) faults FAULTS=sample

.PHONY: clean
clean: down ## Remove what drills and tests left behind
	rm -rf artifacts drill/.cache drill/.state .ansible .hypothesis tests/.cache
