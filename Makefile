# Two commands for a fresh checkout: `make demo` and `make test`. Both set up `.venv` first.
PYTHON ?= python3
RUN := .venv/bin

.PHONY: demo test launchers published bench

demo: .venv/installed
	$(RUN)/normlab experiment=demo

test: .venv/installed
	$(RUN)/ruff check src tests benchmarks
	$(RUN)/ruff format --check src tests benchmarks
	$(RUN)/mypy
	$(RUN)/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder --durations 12

launchers: .venv/installed
	$(RUN)/pytest -m launchers --durations 12

published: .venv/installed
	$(RUN)/pytest --numprocesses auto -m published

bench: .venv/installed
	$(RUN)/python benchmarks/harness_against_loop.py
	$(RUN)/python benchmarks/report.py
	$(RUN)/python benchmarks/startup.py
	$(RUN)/python benchmarks/sweeps.py

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(RUN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
