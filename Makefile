.DEFAULT_GOAL := help
PORT ?= 8000
PYTHON ?= python3
BIN := .venv/bin

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: $(BIN)/.service ## run the service with the model in model/ (PORT=8000)
	REVIEW_LM_PORT=$(PORT) $(BIN)/python -m app

test: $(BIN)/.dev ## run every test
	$(BIN)/python -m pytest

lint: $(BIN)/.dev ## check format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

train: $(BIN)/.dev ## train on your reviews: make train REVIEWS=reviews.json.gz MINUTES=60
	$(BIN)/python -m training all $(REVIEWS) $(if $(MINUTES),--minutes $(MINUTES)) $(OPTIONS)

$(BIN)/python:
	$(PYTHON) -m venv .venv

$(BIN)/.torch: torch-cpu.txt | $(BIN)/python
	$(BIN)/pip install --quiet --no-deps --requirement torch-cpu.txt
	@touch $@

$(BIN)/.service: $(BIN)/.torch pyproject.toml
	$(BIN)/pip install --quiet --editable .
	@touch $@

$(BIN)/.dev: $(BIN)/.torch pyproject.toml
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@ $(BIN)/.service

.PHONY: help serve test lint train
