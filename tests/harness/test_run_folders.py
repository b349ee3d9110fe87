"""Run folders: each is one run's, what is in it goes on, and numbers are in it before they are shown."""

import json
import logging
import runpy
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from errno import ENOSPC
from functools import partial
from io import BytesIO, StringIO, TextIOWrapper
from shutil import copytree
from threading import Barrier

import matplotlib
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file
from scripts import ROOT, script
from solving import stamped

from gram_pyro.harness import checkpoint, run_folder, trial
from gram_pyro.harness.claim import Claim
from gram_pyro.harness.command import plain_errors
from gram_pyro.harness.resume import is_one_of, open_folder

SMALL = ("experiment=smoke", "baselines.deterministic=null", "train.precision=fp32", "task.num_test=4")


def train(*overrides, check=True):
    return script("svi_sudoku", *SMALL, *overrides, check=check)


# ---------------------------------------------------------------------------------------------- unique


def test_folders_of_one_second_are_told_apart(tmp_path):
    """Thirty at once."""
    start = Barrier(30)

    def settle(_):
        config = stamped(tmp_path)
        start.wait()
        run_folder.settle(config)
        return config.run_dir

    with ThreadPoolExecutor(30) as pool:
        folders = set(pool.map(settle, range(30)))
    first = min(folders, key=len)
    assert folders == {first, *(f"{first}_{n}" for n in range(2, 31))} == set(map(str, tmp_path.iterdir()))


def test_what_a_stored_configuration_would_take_for_a_reference_is_refused(tmp_path):
    config = OmegaConf.create({"run_dir": str(tmp_path), "puzzle": ["a", r"\${x}.txt"]})
    with pytest.raises(ValueError, match=r"got puzzle=\${x}.txt; expected no '\${', in files a reference; write ano"):
        open_folder(config)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_asked_for_is_that_one(tmp_path):
    config = OmegaConf.create({"run_dir": str(tmp_path / "mine")})
    for _ in range(2):
        assert open_folder(config) == tmp_path / "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_place_where_no_folder_can_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"cannot hold a run \(Not a directory\); write a run_dir"):
        run_folder.settle(stamped(tmp_path / "file"))


# ---------------------------------------------------------------------------------------------- continued


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of 8 updates; to be copied, not changed."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    train(f"run_dir={folder}")
    return folder


@pytest.fixture
def run(finished, tmp_path):
    return copytree(finished, tmp_path / "run", ignore=lambda *_: ["lock"])


def results(folder, name="results.json"):
    return json.loads((folder / name).read_text())["programs"]["GRAM"]


def test_a_finished_run_is_evaluated_otherwise(run):
    table = (run / "GRAM.csv").read_text()
    script("svi_sudoku", f"resume={run}", "evaluate.widths=[1,3]", "watch.every=2")
    assert set(results(run)["tests"]["several"]["any"]) == {"1", "3"} and (run / "GRAM.csv").read_text() == table
    assert set(results(run, "results_1.json")["tests"]["several"]["any"]) == {"1", "2"}
    assert results(run)["config"]["evaluate"]["widths"] == [1, 3]
    script("svi_sudoku", f"resume={run}")  # as it is now
    again = train(f"run_dir={run}", "evaluate.widths=[1,3]", "watch.every=2")
    assert "is finished; delete its results.json" in again.stdout + again.stderr
    assert not (run / "results_2.json").exists()


def test_a_run_is_given_more_updates(run):
    said = script("svi_sudoku", f"resume={run}", "train.updates=12")
    text = "12 updates in place of 8: from update 8 on the learning rate follows the cosine of 12, and is"
    assert text in said.stdout + said.stderr
    assert results(run)["updates"] == 12 == results(run)["config"]["train"]["updates"]
    assert results(run, "results_1.json")["updates"] == 8
    assert [line.split(",")[0] for line in (run / "GRAM.csv").read_text().splitlines()] == ["updates", "4", "8", "12"]


def test_a_run_moves_to_another_device_and_ends_in_the_same_bits(finished, tmp_path, monkeypatch):
    """It was interrupted, on a GPU as it says."""
    save = checkpoint.save

    def interrupted(*args):
        save(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save", interrupted)
        said = train(f"run_dir={tmp_path}", check=False)
        assert said.stderr.endswith(f"interrupted; to continue: gram-pyro svi_sudoku resume={tmp_path}\n")
    assert checkpoint.read(tmp_path / "GRAM.safetensors")[1]["updates"] == 4
    file = tmp_path / "config.yaml"
    file.write_text(file.read_text().replace("device: cpu", "device: cuda"))
    if not torch.cuda.is_available():
        refused = script("svi_sudoku", f"resume={tmp_path}", check=False)
        assert refused.returncode == 1 and "write device=cpu" in refused.stderr
    script("svi_sudoku", f"resume={tmp_path}", "device=cpu", "watch.num_puzzles=2", "evaluate.chunk=4")
    one, other = (load_file(folder / "GRAM.safetensors") for folder in (finished, tmp_path))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("train.updates=4", "got train.updates=4; expected more than the 8 of that run"),
        ("train.beta=0.5", "got train.beta=0.5 with resume="),
        ("seed=3", "got seed=3 with resume="),
        ("~evaluate.widths", "got ~evaluate.widths with resume="),
        ("train={updates: 9}", "got train={updates: 9} with resume="),
        ("device=nowhere", "got device=nowhere, which cannot be used here"),
    ],
)
def test_what_makes_another_run_of_it_is_refused_and_not_kept(run, override, sentence):
    held = (run / "config.yaml").read_text()
    said = script("svi_sudoku", f"resume={run}", override, check=False)
    assert said.returncode == 1 and sentence in said.stderr and "Traceback" not in said.stderr
    assert (run / "config.yaml").read_text() == held


def test_a_key_is_below_another_only_at_a_dot():
    assert is_one_of("evaluate.widths", ("evaluate",)) and is_one_of("device", ("device",))
    assert not is_one_of("devices", ("device",)) and not is_one_of("train", ("train.updates",))


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        ("+task.train=missing.csv", "missing.csv"),
        ("dim=15", "dim=15"),
        ("train.learning_rate=1e30", "nothing was saved before"),
    ],
)
def test_a_command_that_failed_before_it_trained_stands_in_nobodys_way(tmp_path, mistake, sentence):
    failed = train(f"run_dir={tmp_path}", mistake, check=False)
    assert failed.returncode == 1 and sentence in failed.stderr
    train(f"run_dir={tmp_path}", "train.updates=4")
    assert results(tmp_path)["updates"] == 4


@pytest.mark.parametrize("text", ["", "{", '{"programs": '])
def test_results_that_cannot_be_read_are_none(run, text):
    expected = results(run)["tests"]
    (run / "results.json").write_text(text)
    train(f"run_dir={run}")
    found = results(run)["tests"]
    assert found["several"]["any"] == expected["several"]["any"]


# ---------------------------------------------------------------------------------------------- shown


@pytest.fixture
def config(finished, tmp_path, local_params, single_precision):
    copytree(finished, tmp_path / "run", ignore=lambda *_: ["lock", "results.json", "results.csv"])
    return OmegaConf.merge(OmegaConf.load(finished / "config.yaml"), {"run_dir": str(tmp_path / "run")})


def ascii_only():
    return redirect_stdout(TextIOWrapper(BytesIO(), encoding="ascii", write_through=True))


class Full(StringIO):
    def write(self, text):
        raise OSError(ENOSPC, "No space left on device")


def full():
    return redirect_stdout(Full())


def no_latex():
    return matplotlib.rc_context({"text.usetex": True, "text.latex.preamble": r"\nothing"})


@pytest.mark.parametrize("broken", [ascii_only, full, no_latex])
def test_numbers_are_kept_where_they_cannot_be_shown(config, tmp_path, broken):
    expected = config.evaluate.widths
    with pytest.raises((UnicodeEncodeError, OSError, RuntimeError)), broken():
        trial.run(config, Claim)
    assert set(results(tmp_path / "run")["tests"]["several"]["any"]) == set(map(str, expected))
    assert (tmp_path / "run" / "results.csv").stat().st_size > 0


def test_figures_do_without_latex():
    with matplotlib.rc_context({"text.usetex": True}):
        runpy.run_path(str(ROOT / "gram_pyro" / "plots" / "style.py"))
        assert not matplotlib.rcParams["text.usetex"]


def test_a_message_that_cannot_be_shown_is_no_traceback(capsys):
    """As `gram-pyro train ... | head -1` closes the pipe."""
    log, handler = logging.getLogger("shown"), logging.StreamHandler(Full())
    log.addHandler(handler)
    with plain_errors():
        log.warning("a sentence")
    log.removeHandler(handler)
    assert capsys.readouterr().err == "" and logging.raiseExceptions


def test_a_terminal_without_the_letter_is_told_which(monkeypatch):
    shown = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(shown, encoding="ascii", write_through=True))
    with plain_errors():
        print("1 ± 2")
    assert shown.getvalue() == b"1 \\xb1 2\n"


# ---------------------------------------------------------------------------------------------- and of studies


def test_a_study_writes_over_nothing_of_another_configuration(finished, tmp_path):
    """Neither over a training run, its own checkpoint's above all, nor over another study; only over itself."""
    run, study = tmp_path / "run", tmp_path / "study"
    copytree(finished, run)
    small = ("num_puzzles=2", "num_segments=1", "widths=[1]", "device=cpu")
    evaluate = partial(script, "evaluate", f"checkpoint={run / 'GRAM.safetensors'}", *small)
    held = {file: file.read_bytes() for file in run.iterdir()}
    refused = evaluate(f"run_dir={run}", check=False)
    assert refused.returncode == 1 and f"error: {run} holds a run with another configuration (" in refused.stderr
    assert {file: file.read_bytes() for file in run.iterdir()} == held
    for _ in range(2):
        evaluate(f"run_dir={study}")
    results = (study / "results.json").read_bytes()
    refused = evaluate(f"run_dir={study}", "num_puzzles=3", check=False)
    assert f"{study} holds a run with another configuration (num_puzzles is 2 there and 3 here)" in refused.stderr
    assert (study / "results.json").read_bytes() == results
    refused = train(f"resume={study}", check=False)
    assert f"the run in {study} is of another kind, which trains nothing; repeat its command" in refused.stderr
