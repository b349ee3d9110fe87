"""Notebooks as a reader finds them: stored without outputs, and every cell runs, with the assertions they hold."""

import base64
import os
from io import BytesIO
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from PIL import Image

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
NUM_FIGURES = {
    "00_gram_in_one_page": 1,
    "01_compare_guides": 1,
    "02_new_prior": 2,
    "03_resampling_and_selection": 2,
    "04_looking_inside": 4,
}


def read(path):
    return nbformat.read(path, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def execute(notebook, folder):
    """Run every cell in smoke mode, in a kernel of its own that reads and writes nothing of the user's."""
    own = {"IPYTHONDIR": str(folder / "ipython"), "PYTHONWARNINGS": "ignore:IProgress", "GRAM_SMOKE": "1"}
    env = os.environ | own | {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    env.pop("MPLBACKEND", None)  # the kernel's own shows figures in the notebook
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}})
    return client.execute(env=env)


def figures(notebook):
    """The pictures a notebook shows."""
    data = [output.get("data", {}) for cell in code(notebook) for output in cell.outputs]
    kinds = ("image/png", "image/gif")
    return [Image.open(BytesIO(base64.b64decode(d[kind]))) for d in data for kind in kinds if kind in d]


def test_there_is_a_notebook_for_every_count():
    assert [path.stem for path in NOTEBOOKS] == sorted(NUM_FIGURES)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_stored_notebook_has_no_outputs(path):
    for cell in code(read(path)):
        assert cell.outputs == [] and cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_says_first_what_will_be_seen(path):
    notebook = read(path)
    title, empty, paragraph = notebook.cells[0].source.split("\n")
    assert title.startswith("# ") and not empty and paragraph.startswith("You will see ")
    assert sum("GRAM_SMOKE" in cell.source for cell in notebook.cells) == 1
    assert max(len(cell.source.splitlines()) for cell in code(notebook)) <= 40


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs(path, tmp_path):
    notebook = execute(read(path), tmp_path)
    shown = figures(notebook)
    assert len(shown) == NUM_FIGURES[path.stem]
    for figure in shown:
        assert min(figure.size) > 100 and len(figure.convert("RGB").getcolors(2**24)) > 10  # something is drawn


def test_an_assertion_that_fails_in_a_notebook_fails_here(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("assert 1 == 2, 'by hand'")])
    with pytest.raises(CellExecutionError, match="by hand"):
        execute(notebook, tmp_path)
