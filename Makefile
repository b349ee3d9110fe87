# make sudoku: set up, train, evaluate, report.   make demo: set up, serve the demo page.
# make notebooks: set up, execute the notebooks into runs/notebooks.   make test: set up, run the tests.   make lint: style.
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
READY  := $(VENV)/.ready

.PHONY: sudoku demo notebooks test lint clean

sudoku: $(READY)
	$(RUN) experiments/svi_sudoku.py method=candidates

demo: $(READY)
	$(RUN) experiments/demo.py

notebooks: $(READY)
	mkdir -p runs/notebooks
	PYTHONWARNINGS="ignore:IProgress" $(VENV)/bin/jupyter-execute --output=../runs/notebooks/{notebook_name} notebooks/*.ipynb

test: $(READY)
	$(RUN) -m pytest --numprocesses=auto --maxprocesses=8 --dist=loadfile

lint: $(READY)
	$(RUN) -m ruff check .

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) .cache notebooks/.cache runs build *.egg-info
