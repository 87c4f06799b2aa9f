"""One thread that calls functions when their time has come."""

from __future__ import annotations

import heapq
import logging
import threading
from collections.abc import Callable
from itertools import count
from time import monotonic

from wsgibg._aio import when_forked

__all__ = ["Alarm", "Entry", "alarm"]

log = logging.getLogger("wsgibg.background")


_FEW = 64


class Entry:
    """One function to call, and when, by `monotonic`."""

    __slots__ = ("call", "due", "number")

    def __init__(self, due: float, number: int, call: Callable[[], object]) -> None:
        self.due = due
        self.number = number
        #: Nothing once it was called or cancelled.
        self.call: Callable[[], object] | None = call

    def __lt__(self, other: Entry) -> bool:
        return (self.due, self.number) < (other.due, other.number)


class Alarm:
    """Functions that wait for their time, in a thread that is there while any waits.

    It is made on first use in each process, so that its lock is gevent's where that has patched.

    Args:
        clock: gives the present time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        # Reentrant: a signal's handler may interrupt whoever holds it.
        self.changed = threading.Condition(threading.RLock())
        self.clock = clock
        self.entries: list[Entry] = []
        self.numbers = count()
        #: How many of the entries were cancelled; when most were, they are thrown out.
        self.cancelled = 0
        self.thread: threading.Thread | None = None

    def at(self, due: float, call: Callable[[], object]) -> Entry:
        """Have a function called; what it raises is logged.

        Raises:
            RuntimeError: no thread can be started any more.
        """
        with self.changed:
            entry = Entry(due, next(self.numbers), call)
            heapq.heappush(self.entries, entry)
            if self.thread is None:
                thread = threading.Thread(target=self.run, name="wsgibg-alarm", daemon=False)
                try:
                    thread.start()
                except BaseException:
                    entry.call = None
                    raise
                self.thread = thread
            elif self.entries[0] is entry:
                self.changed.notify()
            return entry

    def cancel(self, entry: Entry) -> bool:
        """Do not call a function, and tell whether it had not been called."""
        with self.changed:
            waited, entry.call = entry.call is not None, None
            self.cancelled += waited
            if self.cancelled > _FEW + len(self.entries) // 2:
                self.entries = [each for each in self.entries if each.call is not None]
                heapq.heapify(self.entries)
                self.cancelled = 0
            # What lies in front of the heap keeps the thread waiting.
            if not self.entries or self.entries[0].call is None:
                self.changed.notify()
            return waited

    def run(self) -> None:
        """Call what is due, until nothing waits any more; the body of the thread."""
        while (call := self.next()) is not None:
            try:
                call()
            except Exception:
                log.exception("%r failed when its time had come.", call)
            del call

    def next(self) -> Callable[[], object] | None:
        """Wait for the next function; None if none waits."""
        with self.changed:
            while self.entries:
                first = self.entries[0]
                wait = first.due - self.clock()
                if first.call is not None and wait > 0:
                    self.changed.wait(min(wait, threading.TIMEOUT_MAX))
                    continue
                heapq.heappop(self.entries)
                call, first.call = first.call, None
                if call is not None:
                    return call
                self.cancelled = max(0, self.cancelled - 1)
            self.thread = None
            return None


class _Process:
    """The alarm of this process."""

    def __init__(self) -> None:
        self.alarm: Alarm | None = None
        self.making = threading.Lock()

    def forked(self) -> None:
        """In a forked child: the thread is the parent's, and so is what waits."""
        self.alarm, self.making = None, threading.Lock()


_process = _Process()
when_forked(_process.forked)


def alarm() -> Alarm:
    """The one alarm of this process, made on first use."""
    if _process.alarm is None:
        with _process.making:
            if _process.alarm is None:
                _process.alarm = Alarm()
    return _process.alarm
