# One command each, from nothing but `python3`: every target first brings .venv up to date with uv.lock.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

UV_VERSION := 0.13.9
PYTHON := .venv/bin/python
ONLY ?=
# What `manage.py check --deploy` is asked about: a console behind TLS with a key of its own.
AS_IN_PRODUCTION := env PUBLIC_URL=https://pages.example.com TRUSTED_PROXY_COUNT=1 STATE_DIR=$(CURDIR)/var/check \
	SECRET_KEY=only-for-the-deployment-check-and-long-enough-to-pass-it-0123456789

.PHONY: help setup run demo test faults check bench format clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# A stamp rather than `uv sync` each time: a warm start costs a few milliseconds.
.venv/.synced: pyproject.toml uv.lock .python-version .ci/bootstrap
	@UV_VERSION=$(UV_VERSION) .ci/bootstrap
	@touch $@

setup: .venv/.synced ## Install the locked environment into .venv

run: setup ## Start Greenhouse here: web, workers, timetable, database and Redis
	@exec $(PYTHON) manage.py up

demo: setup ## The same, with a sample experiment and simulated visitors (VISITORS=20000 VARIANTS=12; EVOLVE=1 lets pages breed)
	@exec $(PYTHON) manage.py demo

test: setup ## Run the tests that can run here, and say which were left out (T=tests/path for some)
	@exec $(PYTHON) -m pytest $(T)

faults: setup ## Break processes and servers under load and compare every count (FAULT_SECONDS=30 for each fault)
	FAULT_SECONDS=$${FAULT_SECONDS:-30} $(PYTHON) -m pytest $(or $(T),tests/faults)

check: setup ## What CI runs: format, lint, types, imports, migrations, deployment check, tests
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy .
	.venv/bin/lint-imports
	$(AS_IN_PRODUCTION) $(PYTHON) manage.py makemigrations --check --dry-run
	$(AS_IN_PRODUCTION) $(PYTHON) manage.py check --deploy --fail-level WARNING
	$(PYTHON) -m pytest

bench: setup ## Run the benchmarks, each against its peer (ONLY=splitter for one file)
	@for file in benchmarks/$(if $(ONLY),$(ONLY),[a-z]*).py; do PYTHONPATH=. $(PYTHON) "$$file" || exit 1; done

format: setup ## Format the code and sort its imports
	.venv/bin/ruff check --select I --fix .
	.venv/bin/ruff format .

clean: ## Remove what was installed and cached; var/ with the data stays
	rm -rf .tools .venv staticfiles htmlcov .coverage .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
