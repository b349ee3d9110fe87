"""Run a command as several processes of this machine that train one program together.

The rows of a batch, and the puzzles to sample, are divided among them; see `gram_pyro.training.parallel`. On two cores,
a small network trains twice as fast in two processes as in one process of two threads. Each process has the environment
that torchrun would give it. torchrun itself answers Ctrl-C with its own traceback.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from threading import Event, Thread

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from gram_pyro.harness.interrupt import handling

POLL = 0.1  # seconds
GRACE = 30.0  # seconds that the others have to end after one of them failed


def is_launched() -> bool:
    """Whether this process is one of several that were started together."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def stop_with_parent() -> None:
    """Treat the end of the process that started this one, even by kill -9, as a signal to stop."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL)
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=watch, daemon=True).start()


def launch(count: int) -> int:
    """Run the command of this process `count` times at once, and wait.  Returns: the status of the first that failed.

    A signal to stop is passed on. The processes then save, and rank 0 says how to continue. If one process fails, the
    others are stopped.  Raises: ValueError in a multirun, whose command stands for many runs.
    """
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        raise ValueError(f"got processes={count} in a multirun; expected 1; write processes=1")
    shared = {
        "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // count)),
        **os.environ,
        "TORCHELASTIC_RUN_ID": str(os.getpid()),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": str(count),
    }
    command, processes, told = [sys.executable, *sys.orig_argv[1:]], [], Event()

    def forward(signum: int, frame: object) -> None:
        told.set()
        for process in processes:
            process.send_signal(signum)

    with handling(forward):
        for rank in range(count):
            mine = shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            # in a session of its own, a process hears of Ctrl-C from `forward` alone, and so once
            processes.append(subprocess.Popen(command, env=mine, start_new_session=True))
        return wait(processes, told)


def wait(processes: list[subprocess.Popen], told: Event) -> int:
    """Wait until all have ended; stop them if one fails.  Returns: 0, or the status of the first that failed.

    Args: told, set once all were told to stop. They are then not told again: a second signal could end one that saves.
    The status of a process that was stopped for the failure of another says nothing.
    """
    status, deadline = 0, None
    while any(process.poll() is None for process in processes):
        if not status:
            status = first_failure(processes)
            if status:
                deadline = time.monotonic() + GRACE
                for process in processes if not told.is_set() else []:
                    process.terminate()
        if deadline is not None and time.monotonic() > deadline:
            for process in processes:
                process.kill()
        time.sleep(POLL)
    return status or first_failure(processes)


def first_failure(processes: list[subprocess.Popen]) -> int:
    """Returns: the exit status, or the number of the signal that ended it, of the first that failed; 0 if none has."""
    return next((abs(process.returncode) for process in processes if process.returncode), 0)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
