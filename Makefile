# Everything runs in .venv, which `make venv` makes once. Nothing here needs root, Docker or a running PostgreSQL.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made
PACKAGES := tests/requirements.txt
IMAGE := deploy/container
PYTEST_ARGS ?=
COMPILE := $(BIN)/uv pip compile pyproject.toml --group build --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-annotate --quiet --custom-compile-command 'make packages'
QUICK := 'not system and not root and not soak'

.PHONY: venv packages advisories run test test-system soak bench lint format clean

venv: $(STAMP)

$(STAMP): pyproject.toml $(PACKAGES)
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("mintwatch needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=24'
	$(BIN)/python -m pip install --quiet --require-hashes --requirement $(PACKAGES)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# The newest releases that pyproject.toml allows, each with its hashes: of the tests and of the image.
packages: venv
	$(BIN)/python -m pip install --quiet 'uv>=0.9'
	$(COMPILE) --output-file $(PACKAGES) --all-extras
	$(COMPILE) --output-file $(IMAGE)/requirements.txt
	$(COMPILE) --output-file $(IMAGE)/requirements-embedded.txt --extra embedded

# Which of these packages have known holes; asks the package index, which has to know advisories.
advisories: venv
	$(BIN)/python -m pip install --quiet 'pip-audit>=2.9'
	$(BIN)/pip-audit --require-hashes --disable-pip --requirement $(PACKAGES)

run: venv
	@$(BIN)/mintwatch run --demo

test: venv lint
	$(BIN)/pytest --numprocesses 2 --dist worksteal -m $(QUICK) $(PYTEST_ARGS)

# A browser and a Prometheus server: installed with apt-get as root, else named.
test-system: venv
	tests/system/packages.sh
	$(BIN)/pytest -m 'system or root' $(PYTEST_ARGS)

soak: venv
	SEEDS=0-999 $(BIN)/pytest --numprocesses 2 --timeout 3600 tests/supervisor/test_handover.py tests/supervisor/test_poison.py tests/supervisor/test_resize_races.py
	$(BIN)/pytest -m soak --timeout 3600 -s $(PYTEST_ARGS)

bench: venv
	$(BIN)/python -m bench --json bench.json

lint: venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: venv
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
