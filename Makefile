# make sudoku: set up, train, evaluate, report.   make test: set up, run the tests.   make lint: style.
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
READY  := $(VENV)/.ready

.PHONY: sudoku test lint clean

sudoku: $(READY)
	$(RUN) experiments/svi_sudoku.py

test: $(READY)
	$(RUN) -m pytest

lint: $(READY)
	$(RUN) -m ruff check .

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) .cache runs build *.egg-info
