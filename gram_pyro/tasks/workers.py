"""Worker processes that end with this process, in whatever way it ends.

With spawn and forkserver (Windows, macOS, Python 3.14) a new process runs the main module again. Without the line
`if __name__ == "__main__":` in that module it would start processes endlessly. There is no pool then.
"""

import ast
import multiprocessing
import os
import signal
import sys
import tokenize
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from threading import Thread
from types import ModuleType


@contextmanager
def worker_map(workers: int) -> Iterator[Callable[..., Iterator]]:
    """Yields: an ordered map over `workers` processes; the built-in one if workers is 1, or none can be started."""
    if workers < 2 or not can_start():
        yield map
        return
    pool = ProcessPoolExecutor(workers, initializer=end_with_parent)
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


def end_with_parent() -> None:
    """Call it in a new process, which then ends silently when its parent has ended, or on Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    def wait() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    Thread(target=wait, daemon=True).start()


def can_start() -> bool:
    """Whether this process may start others: it is no worker, and a new process would not run its main module."""
    if multiprocessing.parent_process() is not None:
        return False
    return multiprocessing.get_context().get_start_method() == "fork" or is_guarded(sys.modules["__main__"])


def is_guarded(main: ModuleType) -> bool:
    """Whether the main module, run again under another name, does nothing, as far as its source shows."""
    if getattr(main, "__file__", None) is None:  # an interactive session, which is not run again
        return True
    try:
        with tokenize.open(main.__file__) as file:
            statements = ast.parse(file.read()).body
    except (OSError, SyntaxError, ValueError):
        return False
    tests = [ast.walk(statement.test) for statement in statements if isinstance(statement, ast.If)]
    return any(isinstance(part, ast.Name) and part.id == "__name__" for test in tests for part in test)
