# Everything sets itself up: on a machine with git, make and Python 3.11 `make demo` or `make test` is all it takes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Processes that share the tests: many wait for others rather than compute, so one more than there are cores.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min((os.cpu_count() or 1) + 1, 8))')
ALONE := tests/flow tests/widgets tests/spawners/dask tests/apps/test_examples.py
READY := $(VENV)/.ready

.PHONY: help setup demo docs test test-real soak bench lint clean

help:  ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(READY)  ## Make the virtual environment (the other targets do it by themselves)

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Perijove needs Python 3.11 or later: make PYTHON=/path/to/python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(READY)  ## Run the whole gateway here, with nine small embedded centres; Ctrl-C ends it
	$(BIN)/perijove demo

docs: $(READY)  ## Write the generated pages of the documentation anew (hub/docs)
	$(BIN)/python -m perijove.hub.docs.generate

test: $(READY)  ## All tests that need nothing but Python
	$(BIN)/python -m pytest -m "not real and not browser and not soak" -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ALONE:%=--ignore=%)
	@# Whole sessions and schedulers, which are given so many seconds to start: several at once on few cores miss that.
	$(BIN)/python -m pytest -m "not real and not browser and not soak" $(ALONE)

test-real: $(READY)  ## On Debian as root: install and run the real batch systems and the browser, too
	$(BIN)/python -m perijove.testbed.install
	PERIJOVE_REAL=1 $(BIN)/python -m pytest -m "real and not browser and not soak"
	@# In a process of its own: Playwright's synchronous interface keeps an event loop running, beside which no other can.
	PERIJOVE_REAL=1 $(BIN)/python -m pytest -m "browser and not soak"

soak: $(READY)  ## The rest of the kills at each step, and what takes minutes: too long for test-real
	$(BIN)/python -m perijove.testbed.install
	PERIJOVE_REAL=1 $(BIN)/python -m pytest -m "soak and not browser"
	PERIJOVE_REAL=1 $(BIN)/python -m pytest -m "soak and browser"

bench: $(READY)  ## Side by side with what one would use instead (Debian, root); deploy/bench/README.md has figures
	$(BIN)/python deploy/bench/offers.py
	$(BIN)/python deploy/bench/pages.py
	$(BIN)/python deploy/bench/forecast.py
	$(BIN)/python deploy/bench/heads.py
	$(BIN)/python deploy/bench/pipeline.py
	$(BIN)/python deploy/bench/appopen.py
	$(BIN)/python deploy/bench/ledger.py
	$(BIN)/perijove testbed up
	$(BIN)/python deploy/bench/commands.py
	$(BIN)/python deploy/bench/start.py
	$(BIN)/python deploy/bench/scale.py 2>/dev/null
	$(BIN)/python deploy/bench/gateway.py 2>/dev/null
	$(BIN)/python deploy/bench/tunnel.py
	$(BIN)/python deploy/bench/clusters.py

lint: $(READY)  ## Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:  ## Remove the virtual environment and the demo's state
	rm -rf $(VENV) .perijove
