"""A command that runs as several processes: one result, one voice, stopped and continued by all together."""

import signal
import subprocess
import sys
import time
from threading import Event

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf
from scripts import ROOT

from gram_pyro.harness.launch import launch, wait

SMALL = ["experiment=smoke", "compile=false", "baselines=null", "watch.every=4000", "processes=2"]


def start(*overrides):
    command = [sys.executable, "-m", "gram_pyro", "train", "sudoku", *overrides]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    return process


def until_it_trains(process):
    while process.stderr.read(1) != "|":  # the progress bar
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_two_processes_are_stopped_and_go_on(tmp_path, number):
    """By Ctrl-C in the first moment, and by the end of the process that started them."""
    process = start(*SMALL, f"run_dir={tmp_path / 'run'}", "train.updates=100")
    until_it_trains(process)
    process.send_signal(number)
    output, error = process.communicate(timeout=60)
    assert "nothing is lost; to continue: gram-pyro" in error and "Traceback" not in error, error
    assert process.returncode == (1 if number == signal.SIGINT else -number)
    again = start(f"resume={tmp_path / 'run'}")
    output, error = again.communicate(timeout=60)
    assert again.returncode == 0, error
    assert output.count("VERDICT") == output.count("test set minimal has") == 1  # one of the two speaks


@pytest.mark.slow
def test_an_error_of_both_is_a_sentence():
    process = start(*SMALL, "train.batch_size=7", "train.rollouts_per_puzzle=3")
    output, error = process.communicate(timeout=60)
    assert process.returncode == 1 and "error: got 1 rows of one kind" in error and "Traceback" not in error, error


def test_if_one_fails_the_others_are_stopped():
    pieces = ["import sys; sys.exit(3)", "import time; time.sleep(60)"]
    processes = [subprocess.Popen([sys.executable, "-c", piece]) for piece in pieces]
    before = time.monotonic()
    assert wait(processes, Event()) == 3
    assert [p.returncode for p in processes] == [3, -signal.SIGTERM] and time.monotonic() - before < 20


def test_processes_that_were_told_to_stop_are_not_told_again():
    """The second takes longer to save, and ends by itself; the status is that of the first."""
    pieces = ["import sys; sys.exit(3)", "import time, sys; time.sleep(1); sys.exit(1)"]
    processes, told = [subprocess.Popen([sys.executable, "-c", piece]) for piece in pieces], Event()
    told.set()
    assert wait(processes, told) == 3
    assert [p.returncode for p in processes] == [3, 1]


def test_a_multirun_is_refused(monkeypatch):
    hydra = OmegaConf.create({"mode": RunMode.MULTIRUN})
    monkeypatch.setattr(HydraConfig, "initialized", lambda: True)
    monkeypatch.setattr(HydraConfig, "get", lambda: hydra)
    with pytest.raises(ValueError, match="got processes=2 in a multirun; expected 1; write processes=1"):
        launch(2)
