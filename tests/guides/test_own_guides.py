"""A user's own `guides.py` neither hides ours nor is hidden by it."""

import os
import subprocess
import sys
from importlib import import_module

import pytest
from every_size import configured
from omegaconf import OmegaConf
from scripts import ROOT, experiment

import gram_pyro
from gram_pyro.harness.build import build_guide, build_model
from gram_pyro.harness.own_guides import is_hidden, is_own, loaded, own_guides
from gram_pyro.tasks.sudoku.task import Sudoku

SCRIPT = """
import guides, sys
import gram_pyro
kind = type(gram_pyro.load("sudoku_4x4")[1].guide)
assert kind.__module__ == "guides.concat" and sys.modules["guides"] is guides and guides.OWN == 3
print("all is well")
"""
MINE = """
from gram_pyro.guide import Guide
class Mine(Guide):
    def posterior(self, u, y, prior, t): return prior
"""


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """A folder that Python looks in first, as that of a script; no `guides` was imported."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "guides"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    before = dict(loaded)
    yield tmp_path
    loaded.clear()
    loaded.update(before)
    for name in [name for name in sys.modules if name.partition(".")[0] == "guides"]:
        del sys.modules[name]


def test_a_script_beside_a_file_of_that_name_loads_weights(tmp_path):
    (tmp_path / "guides.py").write_text("OWN = 3\n", encoding="utf-8")
    (tmp_path / "work.py").write_text(SCRIPT, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "work.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout == "all is well\n", done.stderr


@pytest.mark.parametrize("file", ["guides.py", "guides/__init__.py", "guides/notes.txt"])
@pytest.mark.parametrize("imported", [False, True])
def test_ours_is_used_and_theirs_is_left_alone(beside, file, imported):
    """A module, a package, and a folder that is neither, which hides ours if that was installed to be edited."""
    (beside / file).parent.mkdir(exist_ok=True)
    (beside / file).touch()
    theirs = import_module("guides") if imported else None
    kinds = {type(gram_pyro.load("sudoku_4x4")[1].guide) for _ in range(2)}
    assert len(kinds) == 1 and kinds.pop().__module__ == "guides.concat"
    if file.endswith("py"):
        assert sys.modules.get("guides") is theirs and "guides.concat" not in sys.modules
        assert is_hidden() and import_module("guides").__file__ == str(beside / file)


def test_a_package_of_that_name_keeps_what_is_not_ours(beside):
    (beside / "guides").mkdir()
    (beside / "guides" / "__init__.py").touch()
    (beside / "guides" / "mine.py").write_text(MINE, encoding="utf-8")
    for target in ("guides.mine.Mine", "guides.bootstrap.Bootstrap", "guides.mine.Mine"):
        config = OmegaConf.create(configured(f"guide._target_={target}", "task.n=4"))
        guide = build_guide(config, build_model(config, Sudoku(4, test={})))
        assert f"{type(guide).__module__}.{type(guide).__name__}" == target
    assert "guides.mine" in sys.modules and "guides.bootstrap" not in sys.modules


def test_an_experiment_that_imports_ours_starts_beside_such_a_file(beside):
    (beside / "guides.py").touch()
    assert experiment("evidence").Bootstrap.__module__ == "guides.bootstrap"


def test_where_nothing_hides_ours_it_is_the_module_that_import_finds():
    import guides
    from guides.concat import Concat

    with own_guides():
        assert sys.modules["guides"] is guides and sys.modules["guides.concat"].Concat is Concat
    assert not is_hidden() and is_own("guides.concat.Concat")
    assert not is_own("guides.mine.Mine") and not is_own("my_guides.concat.Concat") and not is_own("guides")
