"""Stop long work at a safe point: SIGINT, SIGTERM and SIGHUP set a request that the loop reads."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gram_pyro.training.parallel import on_any

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class StopRequest:
    """False until a signal asked to stop, on this rank or another. All ranks must read it equally often."""

    def __init__(self) -> None:
        self.asked = False

    def __bool__(self) -> bool:
        found = on_any(self.asked)
        if found:  # only ever set: a signal may have come while the ranks were asked
            self.asked = True
        return found


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """A context in which the first Ctrl-C, SIGTERM or SIGHUP sets the request. A second Ctrl-C interrupts at once."""
    request = StopRequest()

    def note(signum: int, frame: object) -> None:
        request.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    with handling(note):
        on_any(False)  # no rank goes on before all hear signals
        yield request


def interrupt_at_once(signum: int, frame: object) -> None:
    """The handler that treats every signal as Ctrl-C."""
    raise KeyboardInterrupt


@contextmanager
def handling(handler: Callable[[int, object], None]) -> Iterator[None]:
    """A context with this handler for the signals to stop, except those that the process ignores (nohup)."""
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, handler) for number in heard}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
