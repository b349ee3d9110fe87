"""README and docs: every command composes, every snippet runs, every link leads somewhere."""

import hashlib
import re
import sys
import tomllib
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pyro
import pytest
import torch
from data_folder import DATA
from doc_pages import anchors, blocks, commands, links, name, pages, paths, prose
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import get_object, instantiate
from omegaconf import OmegaConf
from scripts import CONF, ROOT, as_a_new_process, script

from gram_pyro.harness.build import build_learner, build_sampler
from gram_pyro.harness.check_config import leaves
from gram_pyro.harness.command import quoted
from gram_pyro.harness.load import load, released

COMMAND = import_module("gram_pyro.__main__")
PAGES = pages()
README = ROOT / "README.md"
EXTEND = sorted((ROOT / "docs" / "extend").glob("*.md"))
SCRIPT = re.compile(r"experiments/(\w+)\.py")
PREPARES = {"git": "clone", "cd": "", "source": ".venv/bin/activate", "export": "", "pip": "install"}
SMALL = ["compile=false", "train.batch_size=8", "train.num_segments=2", "device=cpu"]


def single(overrides):
    """Command lines without sweeps: every choice of each in turn, the others at their first."""
    parsed = [(o, OverridesParser.create().parse_override(o)) for o in overrides]
    choices = [list(p.sweep_string_iterator()) if p.is_sweep_override() else [None] for _, p in parsed]

    def line(picked):
        return [o if c is None else f"{o.partition('=')[0]}={c}" for (o, _), c in zip(parsed, picked, strict=True)]

    first = [group[0] for group in choices]
    yield line(first)
    for place, group in enumerate(choices):
        for other in group[1:]:
            yield line([*first[:place], other, *first[place + 1 :]])


def composed(which, overrides):
    with initialize_config_dir(str(CONF), version_base=None):
        return compose(which, overrides=overrides)


def of_script(words):
    """The experiment that a command line runs and its overrides; None if it runs none."""
    if words[0] == "gram-pyro":
        script_name, overrides = COMMAND.translate(words[1], words[2:])
        return script_name, [quoted(override, ("puzzle", "checkpoint", "task.test")) for override in overrides]
    place = next((i for i, word in enumerate(words) if SCRIPT.fullmatch(word)), None)
    if place is None or words[0] not in ("python", "torchrun"):
        return None
    return SCRIPT.fullmatch(words[place])[1], words[place + 1 :]


def own_classes():
    """The classes and functions of the files that the pages of docs/extend write."""
    files = [block for page in EXTEND for block in blocks(page, "python") if block.title]
    return {
        f"{Path(block.title).stem}.{defined}"
        for block in files
        for defined in re.findall(r"^(?:class|def) (\w+)", block.text, re.MULTILINE)
    }


def check_config(config):
    for place, key, value in leaves(OmegaConf.to_container(config)):
        if key in ("checkpoint", "weights") and isinstance(value, str) and not re.search(r"[./]", value):
            assert value in released(), f"{place}={value}"
        if key == "_target_" and value and not value.startswith("${"):
            assert value in own_classes() or get_object(value), value


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=name)
def test_every_command_is_one(page):
    targets = (ROOT / "Makefile").read_text().partition(".PHONY:")[2].splitlines()[0].split()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for words in commands(page):
        if found := of_script(words):
            which, overrides = found
            assert (ROOT / "experiments" / f"{which}.py").is_file(), words
            flags = {"-m", "--help", "--cfg", "job", "--cfg=job"}
            if not (CONF / f"{which}.yaml").is_file():
                assert not overrides, words
                continue
            for line in single([word for word in overrides if word not in flags]):
                check_config(composed(which, line))
        elif words[0] == "make":
            assert set(words[1:]) <= set(targets), words
        elif words[:3] == ["python", "-m", "pytest"]:
            assert (ROOT / words[3]).is_file(), words
        else:
            assert PREPARES[words[0]] in words[1:] or not PREPARES[words[0]], words
            assert all(extra in extras for word in words for extra in re.findall(r"^\.\[(\w+)\]$", word)), words


@contextmanager
def written(page, folder, monkeypatch):
    """The files of a page, importable."""
    files = [block for block in blocks(page, "python") if block.title]
    for block in files:
        (folder / block.title).write_text(block.text)
    monkeypatch.syspath_prepend(folder)
    with as_a_new_process(), pyro.settings.context(module_local_params=True):
        yield
    for block in files:
        sys.modules.pop(Path(block.title).stem, None)


def run_snippets(page, skip=0):
    """Every Python block that is no file, in one namespace.  Returns: it."""
    namespace = {}
    for block in blocks(page, "python")[skip:]:
        if not block.title and not ("inference_data" in block.text and find_spec("arviz") is None):
            exec(compile(block.text, name(page), "exec"), namespace)  # noqa: S102
    return namespace


WITH_SNIPPETS = [page for page in PAGES if any(not block.title for block in blocks(page, "python"))]


@pytest.mark.parametrize("page", WITH_SNIPPETS, ids=name)
def test_every_snippet_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "path", list(sys.path))
    with written(page, tmp_path, monkeypatch):
        run_snippets(page, skip=page == README)  # its first is no program by itself, see below


def test_the_program_of_the_readme_is_the_model(single_precision):
    """Run with the parts of trained weights, it draws what the model draws, and y is as probable."""
    task, (model, _, _) = load("sudoku_4x4")
    test = task.test["several"]
    parts = {part: getattr(model, part) for part in ("embed", "core", "prior", "readout")}
    given = parts | {"pyro": pyro, "T": model.num_transitions, "B": 5, "x": test.x[:5], "y": test.solutions[:5]}
    text = blocks(README, "python")[0].text
    assert len(text.splitlines()) == 8

    def by_hand():
        exec(compile(text, "README.md", "exec"), dict(given))  # noqa: S102

    def log_probs(program, *arguments):
        pyro.set_rng_seed(0)
        trace = pyro.poutine.trace(program).get_trace(*arguments)
        trace.compute_log_prob()
        return {name: site["log_prob"] for name, site in trace.nodes.items() if site["type"] == "sample"}

    with torch.no_grad():
        ours, theirs = log_probs(by_hand), log_probs(model, given["x"], given["y"])
    assert {"z_0", "z_1", "y"} <= set(ours)
    for site in ("z_0", "z_1", "y"):
        torch.testing.assert_close(ours[site], theirs[site])


def test_the_first_command_prints_what_the_readme_says(capsys):
    """The numbers depend on the machine; the words do not."""
    script_name, overrides = next(found for words in commands(README) if (found := of_script(words)))
    said = blocks(README, "text")[0].text.strip()
    printed = script(script_name, *overrides, "num_particles=4").stdout.strip().splitlines()[-1]
    words = [re.sub(r"\d+(\.\d+)?", "N", line) for line in (said, printed)]
    assert words[0] == words[1]


@pytest.mark.parametrize("page", EXTEND, ids=name)
def test_what_one_adds_trains(page, tmp_path, monkeypatch):
    """The first command of the page, at a size that learns nothing."""
    which, overrides = next(found for words in commands(page) if (found := of_script(words)))
    overrides = [re.sub(r"^experiment=.*", "experiment=smoke", override) for override in overrides]
    with written(page, tmp_path, monkeypatch):
        if which == "evaluate":
            config = composed(which, [*overrides, "num_segments=1"])
            task, program = load(config.checkpoint)
            sampler = build_sampler(config.sampler, task, program.heads)
            x = next(iter(task.test.values())).x[:2]
            answers = sampler(program.model, x, 3, 1, heads=program.heads, halt_at=None, chunk=8).answers
            assert answers.shape == (3, *x.shape)
            return
        config = composed(which, overrides + SMALL)
        task = instantiate(config.task)
        learner = build_learner(config, task, torch.device("cpu"))
        record = learner.train_on(next(task.batches(8, torch.Generator().manual_seed(0))))
    assert learner.updates > 0 and all(torch.isfinite(value).all() for value in record.values())


def test_every_shipped_weights_are_named():
    listed = prose(ROOT / "docs" / "commands.md").partition("Shipped weights, for")[2].partition("Each has")[0]
    assert sorted(re.findall(r"`(\w+)`", listed)) == sorted(released())


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page):
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
    for path in paths(page):
        assert list(ROOT.glob(path)) or list(page.parent.glob(path)), path


def test_every_script_is_a_command_of_the_page():
    listed = re.findall(r"^\| `(\w+)\.py` \|", prose(ROOT / "docs" / "commands.md"), re.MULTILINE)
    assert sorted(listed) == sorted(path.stem for path in (ROOT / "experiments").glob("*.py"))


@pytest.mark.parametrize("group", ["objective", "rollout_loss", "prior", "guide", "sampler", "potential", "select"])
def test_every_choice_is_named(group):
    text = prose(ROOT / "docs" / "training.md") + prose(ROOT / "docs" / "inference.md")
    row = next(line for line in text.splitlines() if line.startswith("|") and f"`{group}=`" in line)
    words = re.findall(r"`(\w+)`", row.split("|")[2])
    assert sorted(words) == sorted(path.stem for path in (CONF / group).glob("*.yaml") if path.stem != "own")


def test_every_file_of_data_is_described():
    """What a configuration names is in the table; what lies in the data folder has the checksum in the table."""
    table = dict(re.findall(r"^\| `(\S+)` .* `(\w{64})` \|$", prose(ROOT / "docs" / "data.md"), re.MULTILINE))
    folders = "|".join(sorted({path.partition("/")[0] for path in table}))
    pattern = re.compile(rf"\b(?:{folders})/[\w\-]+\.[\w.]*\w")
    texts = [re.sub(r"\burl: .*", "", file.read_text()) for file in CONF.glob("**/*.yaml")]
    named = {place for text in texts for place in pattern.findall(text)}
    assert named <= set(table) and len(table) > 20
    for path, checksum in table.items():
        if (DATA / path).is_file():
            assert hashlib.sha256((DATA / path).read_bytes()).hexdigest() == checksum, path


def test_the_site_has_every_page():
    text = (ROOT / "mkdocs.yml").read_text()
    named = re.findall(r"^ +- (\S+\.md)$", text, re.MULTILINE)
    assert sorted(named) == sorted(str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").glob("**/*.md"))
    assert all("../" not in link for page in (ROOT / "docs").glob("*.md") for link in links(page))  # not of the site
