"""Stopping long work at a safe point: SIGINT, SIGTERM and SIGHUP are noted, and the loop asks."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gram_pyro.training.parallel import on_any

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]  # as there are


class StopRequest:
    """False until a signal asked to stop, on this rank or another: all must ask equally often, and stop together."""

    def __init__(self) -> None:
        self.asked = False

    def __bool__(self) -> bool:
        self.asked = on_any(self.asked)
        return self.asked


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Inside, the first Ctrl-C, SIGTERM or SIGHUP sets the request; a second Ctrl-C interrupts at once."""
    request = StopRequest()

    def note(signum: int, frame: object) -> None:
        request.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    with handling(note):
        yield request


def interrupt_at_once(signum: int, frame: object) -> None:
    """What Ctrl-C does, for every signal."""
    raise KeyboardInterrupt


@contextmanager
def handling(handler: Callable[[int, object], None]) -> Iterator[None]:
    """Inside, the signals to stop are handled so, but for those that this process was started to ignore (nohup)."""
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, handler) for number in heard}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
