"""The Makefile sets up with the Python it is told, whatever an earlier setup left; pip and venv are stood in for."""

import os
import shutil
import subprocess
import sys

import pytest
from scripts import ROOT

PYTHON = """#!{real}
import os, shutil, sys
sys.version_info, sys.base_prefix, sys.version = {version}, {name!r}, {name!r}
match sys.argv[1:]:
    case ["-c", code]:
        exec(code)
    case ["-m", "venv", folder]:
        os.makedirs(folder + "/bin", exist_ok=True)
        if not os.path.lexists(folder + "/bin/python"):  # as venv does
            os.symlink(__file__, folder + "/bin/python")
    case ["-m", "pip", *_]:
        sys.exit(os.environ.get("PIP", "0") == "fails")
    case _:
        print("run by", {name!r})
"""
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


@pytest.fixture
def project(tmp_path):
    for file in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / file, tmp_path)
    for name, version in {"old": (3, 10, 9), "two": (2, 7, 18), "new": (3, 11, 0), "newer": (3, 14, 1)}.items():
        file = tmp_path / name
        file.write_text(PYTHON.format(real=sys.executable, version=version, name=name), encoding="utf-8")
        file.chmod(0o755)
    return tmp_path


def make(project, python, **environment):
    """`make lint` with that Python."""
    command = ["make", f"PYTHON=./{python}", "lint"]
    return subprocess.run(command, cwd=project, env=os.environ | environment, capture_output=True, text=True)


@pytest.mark.parametrize(("python", "version"), [("old", "3.10"), ("two", "2.7")])
def test_a_python_that_is_too_old_gets_a_sentence_and_leaves_nothing(project, python, version):
    done = make(project, python)
    assert done.returncode != 0 and not (project / ".venv").exists()
    said = done.stderr.splitlines()[0]
    assert said == f"error: ./{python} is Python {version}; 3.11 or later is needed, as in make PYTHON=python3.12"


def test_after_a_setup_that_failed_another_python_takes_its_place(project):
    assert make(project, "newer", PIP="fails").returncode != 0
    assert (project / ".venv" / "bin" / "python").readlink().name == "newer"
    done = make(project, "new")
    assert done.returncode == 0 and "run by new\n" in done.stdout


def test_a_python_that_is_gone_is_replaced(project):
    make(project, "newer", PIP="fails")
    (project / "newer").unlink()
    assert "run by new\n" in make(project, "new").stdout


def test_a_setup_is_taken_up_where_it_is_the_same_python(project):
    """What is there is kept, so that two at a time do not take it from each other."""
    make(project, "new", PIP="fails")
    (project / ".venv" / "kept").touch()
    assert "run by new\n" in make(project, "new").stdout and (project / ".venv" / "kept").exists()
    assert make(project, "new", PIP="fails").returncode == 0  # nothing is left to do
