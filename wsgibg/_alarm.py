"""One thread that calls functions when their time has come."""

from __future__ import annotations

import heapq
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from math import inf
from time import monotonic

from wsgibg._aio import when_forked

__all__ = ["Alarm", "Entry", "alarm"]

log = logging.getLogger("wsgibg.background")


_FEW = 64


class Entry:
    """One function to call, and when, by `monotonic`."""

    __slots__ = ("_calls", "due", "number")

    def __init__(self, due: float, call: Callable[[], object]) -> None:
        self.due = due
        #: Its place among those that are due at the same time.
        self.number = -1
        self._calls = [call]

    @property
    def call(self) -> Callable[[], object] | None:
        """The function; None once it was taken."""
        return next(iter(self._calls), None)

    def take(self) -> Callable[[], object] | None:
        """The function, for the first who asks: to call it, or to see to it that nobody does."""
        try:
            return self._calls.pop()
        except IndexError:
            return None


class Alarm:
    """Functions that wait for their time, in a thread that is there while any waits.

    There is no lock, as in the pool: who adds or cancels first writes, then looks whether the
    thread sleeps for too long; the thread first says until when it sleeps, then looks whether
    there is news. So nobody can be kept waiting by whoever was interrupted, by a signal's handler
    or by a fork, and a handler may use it. Numbers are compared before entries: a comparison
    written in Python could be interrupted, and the heap with it.

    It is made on first use in each process, so that its thread is a greenlet where gevent has
    patched.

    Args:
        clock: gives the present time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.clock = clock
        self.numbers = count()
        #: What the thread has not seen yet; most of it is cancelled before it has.
        self.fresh: dict[int, Entry] = {}
        #: The rest, in order of time; only the thread changes it.
        self.heap: list[tuple[float, int, Entry]] = []
        #: From which length on the heap is freed of what was cancelled.
        self.many = _FEW
        #: The thread does not look before. Without a thread nobody does; one that is awake will.
        self.until = inf
        self.wake = threading.Lock()
        self.wake.acquire()
        #: It is the thread's, which puts it back in the end. Who finds it there starts one; those
        #: that come too late end at once. So it does no harm if somebody is interrupted.
        self.token = [True]

    def at(self, due: float, call: Callable[[], object]) -> Entry:
        """Have a function called; what it raises is logged.

        Raises:
            RuntimeError: no thread can be started any more.
        """
        entry = Entry(due, call)
        self.add(entry)
        return entry

    def add(self, entry: Entry) -> None:
        """The same for an entry, which its maker may have put down somewhere before.

        Raises:
            RuntimeError: no thread can be started any more.
        """
        number = entry.number = next(self.numbers)
        try:
            self.fresh[number] = entry
            if entry.due < self.until:
                self.rouse()
        except BaseException:
            entry.take()
            self.fresh.pop(number, None)
            raise

    def cancel(self, entry: Entry) -> bool:
        """Do not call a function, and tell whether it had not been called."""
        waited = entry.take() is not None
        self.fresh.pop(entry.number, None)
        if waited and entry.due <= self.until:
            self.stir()  # so that the thread does not sleep for nothing
        return waited

    def rouse(self) -> None:
        """Have the thread look, or start it."""
        self.stir()
        if self.token:
            threading.Thread(target=self.run, name="wsgibg-alarm", daemon=False).start()

    def stir(self) -> None:
        """Wake the thread, if it sleeps."""
        with suppress(RuntimeError):  # it does not
            self.wake.release()

    def run(self) -> None:
        """Call what is due, until nothing waits any more; the body of the thread."""
        while True:
            try:
                self.token.pop()
            except IndexError:
                return
            while (call := self.next()) is not None:
                try:
                    call()
                except BaseException:  # SystemExit as well: others wait for this thread
                    log.exception("%r failed when its time had come.", call)
                del call
            self.token.append(True)
            if not self.fresh:  # else it came when this thread had looked for the last time
                return

    def next(self) -> Callable[[], object] | None:
        """Wait for the next function; None if none waits."""
        while True:
            self.until = -inf
            self.sort_in()
            if not self.heap:
                self.until = inf
                return None
            due, number, entry = heapq.heappop(self.heap)
            if due <= self.clock() or entry.call is None:
                call = entry.take()
                if call is not None:
                    return call
                continue
            heapq.heappush(self.heap, (due, number, entry))
            self.until = due
            if not self.fresh and entry.call is not None:
                self.wake.acquire(timeout=min(max(0, due - self.clock()), threading.TIMEOUT_MAX))

    def sort_in(self) -> None:
        """Take over what is new."""
        with suppress(KeyError):  # it is empty
            while True:
                number, entry = self.fresh.popitem()
                if entry.call is not None:
                    heapq.heappush(self.heap, (entry.due, number, entry))
        if len(self.heap) > self.many:
            self.heap[:] = [each for each in self.heap if each[2].call is not None]
            heapq.heapify(self.heap)
            self.many = _FEW + 2 * len(self.heap)


#: The alarm of this process.
_alarms: dict[str, Alarm] = {}


def _forked() -> None:
    """In a forked child: the thread is the parent's, and so is what waits."""
    for each in _alarms.values():  # the child's own thread may be the one that has forked
        each.fresh.clear()
        each.heap.clear()
    _alarms.clear()


when_forked(_forked)


def alarm() -> Alarm:
    """The one alarm of this process, made on first use."""
    return _alarms.get("one") or _alarms.setdefault("one", Alarm())
