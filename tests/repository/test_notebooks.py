"""Notebooks as a reader finds them: stored without outputs, and every cell runs, with the assertions they hold."""

import base64
import os
import re
from io import BytesIO

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from PIL import Image
from scripts import ROOT

FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
NUM_FIGURES = {
    "00_gram_in_one_page": 1,
    "01_compare_guides": 1,
    "02_new_prior": 2,
    "03_resampling_and_selection": 2,
    "04_looking_inside": 4,
    "05_your_own_checkpoint": 2,
    "06_add_a_task": 2,
    "07_your_own_puzzle": 2,
}


def read(path):
    return nbformat.read(path, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def minutes(notebook):
    """What it says that it takes, measured on one core."""
    (said,) = re.findall(r"It takes about (\d+) (seconds|minutes?) of one core", notebook.cells[0].source)
    return int(said[0]) / (60 if said[1] == "seconds" else 1)


def test_all_take_less_than_a_quarter_of_an_hour():
    assert sum(minutes(read(path)) for path in NOTEBOOKS) < 15


RENEW = """
import pyro, torch
torch.set_default_dtype(torch.float32), pyro.enable_validation(True), pyro.clear_param_store(), pyro.set_rng_seed(0)
%reset -f
"""


@pytest.fixture(scope="module")
def execute(tmp_path_factory):
    """execute(notebook): every cell in smoke mode, in a kernel that reads and writes nothing of the user's.

    The kernel is one, and as new for every notebook: to start it takes longer than a notebook.
    """
    folder = tmp_path_factory.mktemp("notebooks")
    own = {"IPYTHONDIR": str(folder / "ipython"), "PYTHONWARNINGS": "ignore:IProgress", "GRAM_SMOKE": "1"}
    env = os.environ | own | {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    env.pop("MPLBACKEND", None)  # the kernel's own shows figures in the notebook
    client = NotebookClient(None, timeout=120, resources={"metadata": {"path": str(folder)}})

    def run(notebook):
        for each in (of_one_cell(RENEW), notebook):
            client.nb = each
            client.execute(env=env, cleanup_kc=False)
        return notebook

    yield run
    client.nb = of_one_cell("")
    client.execute()  # the last: it ends the kernel


def of_one_cell(source):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])


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
def test_a_notebook_says_first_what_will_be_seen_and_how_long_it_takes(path):
    notebook = read(path)
    title, empty, paragraph = notebook.cells[0].source.split("\n")
    assert title.startswith("# ") and not empty and paragraph.startswith("You will see ")
    assert 0 < minutes(notebook) < 5
    assert sum("GRAM_SMOKE" in cell.source for cell in notebook.cells) == 1
    assert max(len(cell.source.splitlines()) for cell in code(notebook)) <= 40


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs(path, execute):
    notebook = execute(read(path))
    shown = figures(notebook)
    assert len(shown) == NUM_FIGURES[path.stem]
    for figure in shown:
        assert min(figure.size) > 100 and len(figure.convert("RGB").getcolors(2**24)) > 10  # something is drawn


def test_an_assertion_that_fails_in_a_notebook_fails_here(execute):
    with pytest.raises(CellExecutionError, match="by hand"):
        execute(of_one_cell("assert 1 == 2, 'by hand'"))


def test_a_notebook_finds_nothing_of_the_one_before(execute):
    leave = "import torch, pyro\ntorch.set_default_dtype(torch.float64)\nleft = pyro.param('left', torch.ones(1))"
    find = (
        "assert 'left' not in globals() and 'torch' not in globals()\n"
        "import torch, pyro\nassert torch.get_default_dtype() == torch.float32 and not pyro.get_param_store().keys()"
    )
    for source in (leave, find):
        execute(of_one_cell(source))
