# Two commands for a fresh checkout: `make demo` and `make test`. Both set up `.venv` first.
PYTHON ?= python3
RUN := .venv/bin

.PHONY: demo test long published bench

demo: .venv/installed
	$(RUN)/normlab experiment=demo

test: .venv/installed .venv/networks/installed
	$(RUN)/ruff check src tests benchmarks docs
	$(RUN)/ruff format --check src tests benchmarks docs
	$(RUN)/mypy
	$(RUN)/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder --durations 12

long: .venv/installed .venv/networks/installed
	$(RUN)/pytest -m long --numprocesses auto --dist loadfile --no-loadscope-reorder --durations 12

published: .venv/installed
	$(RUN)/pytest --numprocesses auto -m published

bench: .venv/installed .venv/networks/installed .venv/peers/installed
	$(RUN)/python benchmarks/harness_against_loop.py
	.venv/peers/bin/python benchmarks/peers.py
	.venv/peers/bin/python benchmarks/judge_against_adastop.py
	$(RUN)/python benchmarks/choices.py
	$(RUN)/python benchmarks/cost_curves.py
	$(RUN)/python benchmarks/judge.py
	$(RUN)/python benchmarks/looks.py
	$(RUN)/python benchmarks/normalizers.py
	$(RUN)/python benchmarks/plain_lstm.py
	$(RUN)/python benchmarks/plain_resnet.py
	$(RUN)/python benchmarks/plain_transformer.py
	$(RUN)/python benchmarks/reproduce.py
	$(RUN)/python benchmarks/population.py
	$(RUN)/python benchmarks/report.py
	$(RUN)/python benchmarks/startup.py
	$(RUN)/python benchmarks/workers.py

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(RUN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# References for tests. Apart, because Lightning imports a torchvision that it finds, and the index has no build of it for
# torch on a CPU; benchmarks/network_libraries.py imports it all the same.
.venv/networks/installed: .venv/installed
	$(RUN)/python -m pip install --quiet --no-deps --target .venv/networks --constraint constraints.txt torchvision timm
	touch $@

# Apart, because TensorBoard imports TensorFlow where that is installed, which every run would pay for.
.venv/peers/installed: .venv/installed pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv/peers
	.venv/peers/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[peers]'
	touch $@
