"""What `pip install` of a source distribution gives in a fresh environment: weights, licence, scripts, command."""

import os
import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import pytest
import torch
from scripts import ROOT

from gram_pyro.harness.load import released

PUZZLE = "1.3..4..2......1"
BUILD = "import setuptools.build_meta as build; print(build.build_sdist('dist'))"

pytestmark = pytest.mark.slow


def call(*words, cwd):
    """A process without the tree on its path.  Returns: what it printed."""
    away = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(list(map(str, words)), cwd=cwd, env=away, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """Built from a copy, so that nothing is left in the tree."""
    copy = tmp_path_factory.mktemp("tree") / "copy"
    unwanted = shutil.ignore_patterns(".*", "runs", "build", "*.egg-info", "__pycache__", "tests", "notebooks")
    shutil.copytree(ROOT, copy, symlinks=True, ignore=unwanted)
    call(sys.executable, "-c", BUILD, cwd=copy)
    (file,) = (copy / "dist").glob("*.tar.gz")
    return file


@pytest.fixture(scope="module")
def environment(sdist, tmp_path_factory):
    """A new environment that finds the dependencies of this one, and in it the package from the sdist alone."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(str(Path(torch.__file__).parents[1]) + "\n")
    pip = (folder / "bin" / "python", "-m", "pip")
    call(*pip, "uninstall", "--yes", "setuptools", cwd=folder)  # of old ones that come with Python; ours builds wheels
    offline = ("--no-index", "--no-build-isolation", "--no-deps", "--quiet")
    call(*pip, "install", *offline, sdist, cwd=folder)
    return folder, site


def test_the_sdist_holds_no_results(sdist):
    names = tarfile.open(sdist).getnames()
    assert not [name for name in names if "/results/" in name] and any(name.endswith("/LICENSE") for name in names)


def test_everything_is_installed(environment):
    folder, site = environment
    package = site / "gram_pyro"
    assert sorted(path.stem for path in (package / "released").glob("*.safetensors")) == released()
    assert sorted(path.stem for path in (package / "released").glob("*.md")) == released()
    for part in ("*.py", "conf/**/*.yaml", "page/*"):
        ours = {path.relative_to(ROOT / "experiments") for path in (ROOT / "experiments").glob(part)}
        assert {path.relative_to(package / "experiments") for path in (package / "experiments").glob(part)} == ours
    assert list(site.glob("gram_pyro-*.dist-info/**/LICENSE")) and (site / "guides" / "concat.py").is_file()
    where = call(folder / "bin" / "python", "-c", "import gram_pyro; print(gram_pyro.__file__)", cwd=folder)
    assert Path(where.strip()) == package / "__init__.py"


def test_a_puzzle_is_solved_weights_are_listed_and_a_run_trains(environment, tmp_path):
    command = environment[0] / "bin" / "gram-pyro"
    said = call(command, "solve", PUZZLE, "num_particles=4", cwd=tmp_path)
    assert "1 distinct solution of 1, " in said and "| 1 2 | 3 4 |" in said
    assert released() == [line.split()[0] for line in call(command, "models", cwd=tmp_path).splitlines()[1:-2]]
    assert "trajectories drawn at once" in call(command, "solve", "--help", cwd=tmp_path)
    assert "VERDICT" in call(command, "train", "sudoku", "experiment=smoke", "run_dir=run", "device=cpu", cwd=tmp_path)
    (tmp_path / "my.csv").write_text("question,answer\n" + PUZZLE + ",1234341221434321\n")
    evaluated = call(command, "evaluate", "sudoku_4x4", "my.csv", "widths=[1,2]", "run_dir=out", cwd=tmp_path)
    assert '"num_puzzles": 1' in evaluated
