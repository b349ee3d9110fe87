# make setup: the environment alone.   make sudoku: set up, train, evaluate, report.   make demo: set up, serve the page.
# make notebooks: set up, execute the notebooks into runs/notebooks.   make test: set up, run the tests.   make lint: style.
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
READY  := $(VENV)/.ready
OLDEST := (3, 11)
NEW    := import sys; v = sys.version_info; sys.exit("error: $(PYTHON) is Python %d.%d; \
	%d.%d or later is needed, as in make PYTHON=python3.12" % (v[:2] + $(OLDEST)) if v < $(OLDEST) else 0)
WHICH  := import sys; print(sys.base_prefix, sys.version)

.PHONY: sudoku setup demo notebooks test lint clean

sudoku: $(READY)
	$(RUN) experiments/svi_sudoku.py method=candidates processes=$$($(RUN) -c "import os; print(min(2, os.cpu_count()))")

setup: $(READY)

demo: $(READY)
	$(RUN) experiments/demo.py

notebooks: $(READY)
	mkdir -p runs/notebooks
	PYTHONWARNINGS="ignore:IProgress" $(VENV)/bin/jupyter-execute --output=../runs/notebooks/{notebook_name} notebooks/*.ipynb

test: $(READY)
	$(RUN) -m pytest --numprocesses=auto --maxprocesses=8 --dist=loadfile

lint: $(READY)
	$(RUN) -m ruff check .

# A setup that failed may have left another Python there, or one that is gone: venv would keep it.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c '$(NEW)'
	@! [ -h $(RUN) -o -e $(RUN) ] || [ "$$($(RUN) -c '$(WHICH)' 2>&1)" = "$$($(PYTHON) -c '$(WHICH)')" ] || rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) .cache notebooks/.cache runs build *.egg-info
