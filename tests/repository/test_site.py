"""The pages of docs/ and the reference build as a site without a warning."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
from doc_pages import blocks
from scripts import ROOT

PARTS = ("mkdocs", "material", "mkdocstrings_handlers")
pytestmark = pytest.mark.skipif(not all(map(find_spec, PARTS)), reason='needs pip install "gram_pyro[docs]"')


def build(folder, cwd=ROOT):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=cwd, env=quiet, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_built(site):
    for page in (ROOT / "docs").glob("**/*.md"):
        place = page.relative_to(ROOT / "docs").with_suffix("")
        folder = place.parent if place.name == "README" else place
        assert (site / folder / "index.html").is_file(), page


def test_the_reference_says_what_the_docstrings_say(site):
    text = (site / "reference" / "index.html").read_text(encoding="utf-8")
    lines = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8").splitlines()
    listed = [line.split()[1] for line in lines if line.startswith(":::")]
    assert len(listed) > 30 and all(f'id="{name}"' in text for name in listed)
    assert "Run one segment from <code>state</code>" in text and "Shapes: x, y [B, L]" in text


def test_diagrams_are_drawn(site):
    assert blocks(ROOT / "docs" / "concepts.md", "mermaid")
    assert '<pre class="mermaid">' in (site / "concepts" / "index.html").read_text(encoding="utf-8")


def test_a_name_that_is_gone_fails_the_build(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("::: gram_pyro.model.Gone\n", encoding="utf-8")
    plugin = f"mkdocstrings: {{handlers: {{python: {{paths: [{ROOT}]}}}}}}"
    (tmp_path / "mkdocs.yml").write_text(f"site_name: x\nplugins:\n  - {plugin}\n", encoding="utf-8")
    done = build(tmp_path / "site", tmp_path)
    assert done.returncode != 0 and "gram_pyro.model.Gone could not be found" in done.stderr
