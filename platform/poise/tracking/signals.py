"""Handles signals that end a run: each acts like Ctrl-C, and none interrupts the final writing.

In: SIGINT, SIGTERM and SIGHUP. Out: an exception during training, or one printed line while records
are being written. Next: ``poise.tracking.ending`` and ``poise.sweeps.runner``.

Python allows signal handlers only in the main thread. In any other thread, both functions of this
module do nothing.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

_ENDING = (signal.SIGTERM, signal.SIGHUP)
_LINE = b"it is ending: records are being written, which takes a moment\n"
_STREAMS = (1, 2)

BY_SIGNAL = {
    signal.SIGTERM,
    *(128 + each for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)),
}
"""Exit statuses of processes that a signal ended. Ray's own handler exits with the number of
SIGTERM. A command whose output nobody reads any more exits with 128 plus the number of SIGPIPE.
"""

_Handler = Callable[[int, Any], None]


@contextmanager
def raising() -> Iterator[None]:
    """Makes SIGTERM and SIGHUP raise ``SystemExit`` in the block, with 128 + the signal's number.

    Under ``nohup``, SIGHUP stays ignored. If the terminal is closed, later output is dropped,
    because writing to a closed terminal would fail.
    """
    terminals = [stream for stream in _STREAMS if os.isatty(stream)]

    def leave(number: int, _: Any) -> None:
        if number == signal.SIGHUP:
            _let_go(terminals)
        sys.exit(128 + number)

    heard = [each for each in _ENDING if signal.getsignal(each) is not signal.SIG_IGN]
    with _handled(heard, leave):
        yield


@contextmanager
def undisturbed(then_raise: bool = False) -> Iterator[None]:
    """Delays SIGINT, SIGTERM and SIGHUP until the block has ended.

    The first signal prints one line.

    Args:
        then_raise: whether a delayed signal raises ``KeyboardInterrupt`` after the block. It is not
            needed if an exception already ends the run.
    """
    came: list[int] = []

    def put_off(number: int, _: Any) -> None:
        if not came:
            with suppress(OSError):
                os.write(2, _LINE)  # not `print`, which the signal may have interrupted
        came.append(number)

    with _handled((signal.SIGINT, *_ENDING), put_off):
        yield
    if came and then_raise:
        raise KeyboardInterrupt


@contextmanager
def _handled(signals: Sequence[signal.Signals], handler: _Handler) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {each: signal.signal(each, handler) for each in signals}
    try:
        yield
    finally:
        for each, before in previous.items():
            signal.signal(each, before or signal.SIG_DFL)


def _let_go(streams: Sequence[int]) -> None:
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in streams:
            os.dup2(nowhere, stream)
