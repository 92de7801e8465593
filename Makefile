.DEFAULT_GOAL := help
PORT ?= 8000
PYTHON ?= python3
BIN := .venv/bin
# Python compiles what is imported when it first is; to compile every file of every package here takes half a minute.
INSTALL := install --quiet --no-compile
# It has to be let: where containers forbid it, every process compiles torch anew, and a start takes 6 seconds, not 2.
unexport PYTHONDONTWRITEBYTECODE

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: $(BIN)/.service ## run the service with the model in model/ (PORT=8000)
	REVIEW_LM_PORT=$(PORT) $(BIN)/python -m app

test: $(BIN)/.dev ## run every test
	$(BIN)/python -m pytest

lint: $(BIN)/.dev ## check format, style, safety and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/bandit --configfile pyproject.toml --quiet --recursive app training benchmarks examples
	$(BIN)/mypy

fuzz: $(BIN)/.dev ## make up thousands of calls from the OpenAPI page (CALLS=5000)
	SCHEMATHESIS_CALLS=$(or $(CALLS),5000) $(BIN)/python -m pytest --timeout 3600 tests/app/test_openapi.py

audit: $(BIN)/.dev ## look the dependencies up among known vulnerabilities (needs the network)
	$(BIN)/python -m pip install --quiet pip-audit==2.10.1
	$(BIN)/python -m pip_audit --skip-editable

train: $(BIN)/.dev ## train on your reviews: make train REVIEWS=reviews.json.gz MINUTES=60
	$(BIN)/python -m training all $(REVIEWS) $(if $(MINUTES),--minutes $(MINUTES)) $(OPTIONS)

bench-peers: .venv-peers/.peers ## measure it beside LitServe, BentoML, Ray Serve, mosec and plain FastAPI, in 40 minutes
	.venv-peers/bin/python -m benchmarks.peers $(OPTIONS)

.venv-peers/.peers: torch-cpu.txt pyproject.toml
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip $(INSTALL) --no-deps --requirement torch-cpu.txt
	.venv-peers/bin/pip $(INSTALL) --editable '.[peers]'
	@touch $@

$(BIN)/python:
	$(PYTHON) -m venv .venv

$(BIN)/.torch: torch-cpu.txt | $(BIN)/python
	$(BIN)/pip $(INSTALL) --no-deps --requirement torch-cpu.txt
	@touch $@

$(BIN)/.service: $(BIN)/.torch pyproject.toml
	$(BIN)/pip $(INSTALL) --editable .
	@touch $@

$(BIN)/.dev: $(BIN)/.torch pyproject.toml
	$(BIN)/pip $(INSTALL) --editable '.[dev]'
	@touch $@ $(BIN)/.service

.PHONY: help serve test lint fuzz audit train bench-peers
