"""The demo page in a process of its own, on a free port of this machine."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from omegaconf import OmegaConf
from scripts import ROOT

from gram_pyro.harness.load import released

CONFIG = OmegaConf.load(ROOT / "experiments" / "conf" / "demo.yaml")
FOUR = CONFIG.examples.sudoku_6["4 solutions"]
needs_weights = pytest.mark.skipif(
    not {"sudoku_6x6", "nqueens_8"} <= set(released()), reason="no weights for the page's examples are shipped"
)


@contextmanager
def running(log, *overrides):
    """A server of the page, which writes to `log`.  Yields: its address."""
    command = [sys.executable, "experiments/demo.py", "port=0", *overrides]
    with log.open("w") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=file, text=True
        )
        try:
            line = process.stdout.readline()
            assert "http://127.0.0.1:" in line, log.read_text()
            yield line.split()[0]
            assert process.poll() is None, log.read_text()
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
    assert "Traceback" not in log.read_text()
