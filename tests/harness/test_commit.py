"""The commit is recorded where it is that of the source, and nothing depends on git."""

import shutil
import subprocess

import pytest
from killed import CPU, configuration

from gram_pyro.harness import trial
from gram_pyro.harness.commit import commit
from gram_pyro.tasks.sudoku.task import Sudoku

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")


def git(folder, *arguments):
    """A command of git, as nobody in particular.  Returns: what it says."""
    name = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=x"]
    command = ["git", *name, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """One with a file `mine.py` in it, committed once."""
    (tmp_path / "mine.py").touch()
    git(tmp_path, "init")
    git(tmp_path, "add", "mine.py")
    git(tmp_path, "commit", "--message=one")
    return tmp_path


@needs_git
def test_the_commit_is_that_of_the_file_and_says_if_it_was_changed(repository):
    name = git(repository, "rev-parse", "--short", "HEAD")
    assert commit(repository / "mine.py") == name
    (repository / "mine.py").write_text("x = 1\n")
    assert commit(repository / "mine.py") == f"{name}-dirty"


@needs_git
def test_within_a_repository_of_someone_else_it_is_unknown(repository, monkeypatch):
    """Installed in a virtual environment there, ignored or not; or where the surroundings name a repository."""
    installed = repository / ".venv" / "lib" / "gram_pyro" / "mine.py"
    installed.parent.mkdir(parents=True)
    installed.touch()
    assert commit(installed) == "unknown"
    (repository / ".gitignore").write_text(".venv\n")
    assert commit(installed) == "unknown"
    outside = repository.parent / "mine.py"
    outside.touch()
    monkeypatch.setenv("GIT_DIR", str(repository / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(repository))
    assert commit(outside) == "unknown"


@pytest.mark.parametrize("said", [None, "exit 1", "exit 127", "echo; exit 0", "printf '\\377\\n'; exit 3"])
def test_training_does_not_need_git(tmp_path, monkeypatch, said):
    """None in the path, or one that fails."""
    if said is not None:
        (tmp_path / "git").write_text(f"#!/bin/sh\n{said}\n")
        (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit() == "unknown"


def test_a_run_without_git_is_trained_and_says_so(tmp_path, monkeypatch, local_params):
    config = configuration(tmp_path / "run")
    config.train.updates, config.compile = 1, False
    monkeypatch.setenv("PATH", str(tmp_path))
    folder = trial.claim_folder(config)
    task = Sudoku(n=4, num_train=4, num_test=2, cache=None)
    _, description = trial.train("GRAM", config, task, folder, CPU)
    assert description["commit"] == "unknown" and description["updates"] == 1
