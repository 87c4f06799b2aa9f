"""Signals that would end the process at once, and drain it first."""

from __future__ import annotations

import _thread
import logging
import os
import signal
import threading
from collections.abc import Iterable
from time import monotonic
from types import FrameType
from typing import Any

from wsgibg.executors._life import Limit, life

__all__ = ["drain_at"]

log = logging.getLogger("wsgibg.background")


def drain_at(signals: Iterable[int]) -> None:
    """Have each of these signals drain the process before it does what it did until now.

    Args:
        signals: their numbers.

    Raises:
        RuntimeError: this is not the main thread, or a handler is not Python's.
    """
    if threading.current_thread() is not threading.main_thread():
        msg = (
            f"install_signal_handlers() was called in the thread {threading.current_thread().name}"
            " and works in the main thread alone (Python's rule). Call it where the application"
            " is made, or where the server is started."
        )
        raise RuntimeError(msg)
    for number in map(signal.Signals, signals):
        before = signal.getsignal(number)
        if before is None:
            msg = (
                f"install_signal_handlers(): {number.name} has a handler that is not Python's, so"
                " it could not be called afterwards. Use what the server itself has for a graceful"
                ' stop (uWSGI: --hook-master-start "unix_signal:15 gracefully_kill_them_all").'
            )
            raise RuntimeError(msg)
        if before is not signal.SIG_IGN and not isinstance(_owner(before), _Ending):
            signal.signal(number, _Ending(before).handle)


def _owner(handler: Any) -> Any:
    return getattr(handler, "__self__", None)


class _Ending:
    """What one signal does: it drains, and comes again.

    Its handler waits for nothing: the main thread, in which it runs, may hold any lock. So a
    thread drains, sends the signal again, and then the handler does what the one before it did.
    """

    def __init__(self, before: Any) -> None:
        self.before = before
        self.limit = Limit()
        self.pid = 0
        self.over = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Hear of the signal."""
        if self.pid != os.getpid():  # else it is the second one, and nobody wants to wait
            self.pid, self.over, self.limit = os.getpid(), False, Limit()
            try:
                # `Thread.start` would take locks. Looked up here, so that gevent's patch is seen.
                _thread.start_new_thread(self.drain, (number,))
            except RuntimeError:  # no more threads
                self.leave(number, frame)
        elif self.over:
            self.leave(number, frame)
        else:
            self.limit.bring_forward(monotonic(), "when a second signal came")

    def drain(self, number: int) -> None:
        """Drain the process, then have the signal come again (the thread's body)."""
        try:
            life.end(self.limit)
            if not callable(self.before):  # the server has gone on serving
                life.refuse("when the process was about to die of the signal")
        except Exception:
            log.exception("The background tasks could not be drained.")
        self.over = True
        os.kill(os.getpid(), number)

    def leave(self, number: int, frame: FrameType | None) -> None:
        """Do what the signal did before."""
        signal.signal(number, self.before)
        self.pid = 0
        if callable(self.before):
            self.before(number, frame)
        else:
            os.kill(os.getpid(), number)
