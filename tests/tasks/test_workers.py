"""Processes beside this one: they end with it, and none is started where it would start others for ever."""

import multiprocessing
import os
import signal
import subprocess
import sys
from types import ModuleType

import pytest
from scripts import ROOT

from gram_pyro.tasks import workers
from gram_pyro.tasks.sudoku.generator import CHUNK, generate
from gram_pyro.tasks.sudoku.rules import Geometry

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
WORK = """
import os, time
from gram_pyro.tasks.workers import worker_map
def work(seconds):
    print(os.getpid(), flush=True)
    time.sleep(seconds)
with worker_map(2) as each:
    list(each(work, [300, 300, 0]))
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_workers_end_with_their_parent(sent):
    """They hold its output, which is at its end when none of them is left."""
    if sent != signal.SIGKILL and signal.getsignal(sent) == signal.SIG_IGN:
        pytest.skip("this process ignores the signal, and so would the new one (nohup)")
    process = subprocess.Popen([sys.executable, "-c", WORK], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    with process:
        started = {process.stdout.readline() for _ in range(2)}
        assert len(started) == 2 and f"{process.pid}\n" not in started
        process.send_signal(sent)
        rest, _ = process.communicate(timeout=20)
    assert process.returncode == -sent and rest == ""


UNGUARDED = """
import multiprocessing
from gram_pyro.tasks.sudoku.generator import CHUNK, generate
from gram_pyro.tasks.sudoku.rules import Geometry
multiprocessing.set_start_method("{method}")
print(generate(Geometry(4), 2 * CHUNK, seed=3).x.sum().item())
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_script_without_a_guard_generates_alone(tmp_path, method):
    (tmp_path / "script.py").write_text(UNGUARDED.format(method=method))
    command = [sys.executable, tmp_path / "script.py"]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=60)
    alone = generate(Geometry(4), 2 * CHUNK, seed=3, workers=1).x.sum().item()
    assert (done.stdout, done.stderr) == (f"{alone}\n", "")


@pytest.mark.parametrize(
    ("text", "guarded"),
    [
        ("if __name__ == '__main__':\n    main()\n", True),
        ("import os\nif '__main__' == __name__ and os.environ:\n    main()\n", True),
        ("# -*- coding: latin-1 -*-\n# \xe9\nif __name__ == '__main__':\n    pass\n", True),
        ("main()\n", False),
        ("# if __name__ == '__main__':\nmain()\n", False),
        ("def f():\n    if __name__ == '__main__':\n        pass\nmain()\n", False),
        ("\0", False),
        (None, False),
    ],
)
def test_a_guard_is_told_from_its_text(tmp_path, text, guarded):
    main = ModuleType("__main__")
    assert workers.is_guarded(main)  # an interactive session has no file
    main.__file__ = str(tmp_path / "script.py")
    if text is not None:
        (tmp_path / "script.py").write_text(text, encoding="latin-1")
    assert workers.is_guarded(main) == guarded


def squared(number):
    return os.getpid(), number**2


@pytest.mark.parametrize("count", [1, 2])
def test_a_map_is_in_order_whoever_works(count):
    with workers.worker_map(count) as each:
        found = list(each(squared, range(5)))
    assert [square for _, square in found] == [0, 1, 4, 9, 16]
    assert (os.getpid() in {process for process, _ in found}) == (count == 1)


def test_a_worker_starts_no_others(monkeypatch):
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: "somebody")
    with workers.worker_map(2) as each:
        assert each is map
