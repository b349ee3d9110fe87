"""A user's own `guides.py` neither hides ours nor is hidden by it."""

import os
import subprocess
import sys

import pytest
from scripts import ROOT

from gram_pyro.runs import own_guides

SCRIPT = """
import sys
{first}
import gram_pyro
from gram_pyro.runs.own_guides import is_hidden
assert is_hidden()
kind = type(gram_pyro.load("sudoku_4x4")[1].guide)
assert kind.__module__ == "guides.concat" and kind is type(gram_pyro.load("sudoku_4x4")[1].guide)
assert sys.modules.get("guides.concat") is None
import guides
assert guides.OWN == 3 and guides.__file__ == {hidden!r}
print("all is well")
"""
TRAIN = """
from pathlib import Path
from hydra import compose, initialize_config_dir
from gram_pyro.build import build_guide, build_model
from gram_pyro.tasks.sudoku import Sudoku
with initialize_config_dir({conf!r}, version_base=None):
    asked = ["guide._target_=guides.mine.Mine", "task_name=x", "method_name=x", "run_dir=x"]
    config = compose("svi_sudoku", overrides=asked)
    plain = compose("svi_sudoku", overrides=asked[1:])
task = Sudoku(4, test={{}})
assert type(build_guide(config, build_model(config, task))).__module__ == "guides.mine"
assert type(build_guide(plain, build_model(plain, task))).__module__ == "guides.concat"
import guides.mine
print("all is well")
"""
MINE = """
from gram_pyro.guide import Guide
class Mine(Guide):
    def __init__(self, model, **options): super().__init__(model)
    def posterior(self, u, y, prior, t): return prior
"""


def python(folder, text):
    """A script of a user's in a folder of his, with ours further down the path."""
    (folder / "work.py").write_text(text, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "work.py"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("first", ["", "import guides"])
def test_weights_are_loaded_beside_a_file_of_that_name(tmp_path, first):
    (tmp_path / "guides.py").write_text("OWN = 3\n", encoding="utf-8")
    done = python(tmp_path, SCRIPT.format(first=first, hidden=str(tmp_path / "guides.py")))
    assert done.stdout == "all is well\n", done.stderr


def test_a_package_of_that_name_keeps_what_is_not_ours(tmp_path):
    (tmp_path / "guides").mkdir()
    (tmp_path / "guides" / "__init__.py").touch()
    (tmp_path / "guides" / "mine.py").write_text(MINE, encoding="utf-8")
    done = python(tmp_path, TRAIN.format(conf=str(ROOT / "experiments" / "conf")))
    assert done.stdout == "all is well\n", done.stderr


def test_an_experiment_that_imports_ours_starts_beside_such_a_file(tmp_path):
    (tmp_path / "guides.py").touch()
    done = python(tmp_path, f"import runpy\nrunpy.run_path({str(ROOT / 'experiments' / 'evidence.py')!r})")
    assert done.returncode == 0, done.stderr


def test_where_nothing_hides_ours_it_is_the_module_that_import_finds():
    import guides
    from guides.concat import Concat

    with own_guides.own_guides():
        assert sys.modules["guides"] is guides and sys.modules["guides.concat"].Concat is Concat
    assert not own_guides.is_hidden()
    assert own_guides.is_own("guides.concat.Concat") and not own_guides.is_own("guides.mine.Mine")
    assert not own_guides.is_own("my_guides.concat.Concat")
