# The two commands of the README, and what they are made of.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
BIN := .venv/bin

.PHONY: demo test lint docs paper bench fidelity audit clean

# In one process: there is less to learn than it takes to start Ray's.
demo: .venv/run.stamp ## What a two-minute outage did to a fleet: learns, simulates, reports
	$(BIN)/python run_sim.py run outage --force --local

test: export PYTHONDONTWRITEBYTECODE = # its many processes would compile every module anew
test: lint ## Style, types and tests; with SLOW=1 those as well that take long, as CI does
	$(BIN)/python -m pytest $(if $(SLOW),,-m "not slow") --numprocesses auto --maxprocesses 4 --dist loadgroup --no-loadscope-reorder

lint: .venv/dev.stamp ## Style and types alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/dev.stamp ## The documentation as a site: site/index.html
	$(BIN)/sphinx-build --quiet --fresh-env --fail-on-warning --keep-going docs site

paper: .venv/dev.stamp ## The docs' figures and tables made anew, held against the committed ones: two minutes
	$(BIN)/python -m benchmarks.exhibits

bench: .venv/dev.stamp ## The short benchmarks, held against docs/tables/ratios.json: some minutes
	$(BIN)/python -m benchmarks.short

fidelity: .venv/dev.stamp ## Simulated against real, the grid of docs/fidelity.md: half an hour
	$(BIN)/python -m benchmarks.fidelity

audit: ## Known faults of the pinned packages, asked of the Python packaging advisories: needs a network
	$(PYTHON) -m venv .venv/audit
	.venv/audit/bin/pip install --quiet --disable-pip-version-check pip-audit
	.venv/audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip

clean: ## Removes the environment, caches, runs and the site
	rm -rf .venv .cache runs site build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/run.stamp: requirements.txt constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	touch $@

.venv/dev.stamp: requirements-dev.txt .venv/run.stamp
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt -c constraints.txt
	touch $@
