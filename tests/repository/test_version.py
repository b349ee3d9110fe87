"""The package says which version it is."""

import importlib
import importlib.metadata
import tomllib

from scripts import ROOT

import gram_pyro


def test_the_version_is_that_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert gram_pyro.__version__ == project["version"]


def test_a_tree_that_is_not_installed_is_imported_too(monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    with monkeypatch.context() as within:
        within.setattr(importlib.metadata, "version", absent)
        assert importlib.reload(gram_pyro).__version__ == "0+unknown"
    assert importlib.reload(gram_pyro).__version__ != "0+unknown"
