"""Lending: a server thread is the event loop for a moment."""

from __future__ import annotations

import selectors
import sys
import threading
from collections.abc import Callable
from typing import Any

from wsgibg._aio._threads import gevent_patcher, held_lock

__all__ = ["LendingSelector", "Turn", "lending_possible"]


def lending_possible() -> bool:
    """Tell whether a server thread can borrow the loop of this process.

    Not under gevent or eventlet, where the borrowing greenlet may switch while it holds the loop;
    and only where descriptors may be registered while another thread is in ``select()``.
    """
    eventlet = sys.modules.get("eventlet.patcher")
    if gevent_patcher() is not None or (eventlet and eventlet.is_monkey_patched("thread")):
        return False
    return selectors.DefaultSelector.__name__ in {"EpollSelector", "KqueueSelector"}


class LendingSelector(selectors.DefaultSelector):
    """A selector that lets go of the loop while it waits.

    Whoever holds ``lock`` is the loop: its own thread everywhere but in ``select()``, or a server
    thread that borrows it in that time.
    """

    def __init__(self, lock: threading.Lock) -> None:
        super().__init__()
        self.lock = lock

    def select(self, timeout: float | None = None) -> Any:
        """Wait as the base class does, with ``lock`` free for that time."""
        self.lock.release()
        try:
            return super().select(timeout)
        finally:
            self.lock.acquire()


class Turn:
    """A server thread's place in the queue of a busy loop, which is still while it is its turn.

    To wait for the selector's lock would be unfair: a loop that is never idle lets go of it for a
    microsecond at a time.

    Args:
        post: hands a callback to the loop's own thread, which runs callbacks in order.
        lock: the selector's.
        waiting: has this in it while it waits, so that a loop that ends can let it ``go``.
    """

    def __init__(
        self,
        post: Callable[[Callable[[], object]], object],
        lock: threading.Lock,
        waiting: set[Turn],
    ) -> None:
        self.post, self.lock, self.waiting = post, lock, waiting
        self.go, self.back = held_lock(), held_lock()

    def wait(self) -> None:
        """Wait until the loop is still; then, and after an error too, release ``back``."""
        self.waiting.add(self)
        self.post(self.hand_over)
        self.go.acquire()

    def hand_over(self) -> None:
        """Be still, on the loop's own thread, until ``back`` is released."""
        self.lock.release()
        self.go.release()
        self.back.acquire()
        self.lock.acquire()
        self.waiting.discard(self)
