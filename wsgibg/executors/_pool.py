"""A bounded pool of threads that run batches, from its first thread to its end."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from math import inf
from time import monotonic, sleep
from typing import Literal, TypeVar

from wsgibg import _running
from wsgibg._alarm import Entry, alarm
from wsgibg._attempt import cut_short, leave_batch, run_batch
from wsgibg._report import report
from wsgibg.background import BackgroundTask, BackgroundTasks, seal
from wsgibg.executors._life import REMEDY, cut, life

__all__ = ["OnFull", "Pool"]

T = TypeVar("T")
log = logging.getLogger("wsgibg.background")

OnFull = Literal["inline", "block"]
_TOO_LATE = "%s was to be tried again in %.3g s, which is after the end"


class Pool:
    """Threads, and the batches that they run or will run.

    There is no lock. Threads meet in containers whose methods are atomic, in this way: each first
    writes for the other side to see, then looks whether the other side has written. So no thread
    can be kept waiting by another that was interrupted (by a signal's handler, by the garbage
    collector), not even by itself.

    PERF: to wake a thread by its own lock costs the same as `SimpleQueue.put` does, and tells at
    once whether any is idle (`python -m benchmarks.pool`).
    """

    def __init__(self, workers: int, size: int, on_full: OnFull, drain_timeout: float) -> None:
        self.size, self.blocks, self.drain_timeout = size, on_full == "block", drain_timeout
        self.queue: deque[BackgroundTasks] = deque()
        #: Every batch that was accepted and has not ended, by its identity.
        self.unended: dict[int, BackgroundTasks] = {}
        #: Held locks: those of threads that have nothing to do, of those that wait for room.
        self.idle: list[threading.Lock] = []
        self.blocked: deque[threading.Lock] = deque()
        #: Threads that may still be started.
        self.workers, self.places = workers, list(range(workers))
        self.closed = False
        #: In a forked child, to which this pool does not belong.
        self.foreign = False
        #: The batches that a thread is at. Not `here`: made before gevent's patch, that is shared.
        self.mine = threading.local()
        #: Who waits for batches to end.
        self.waiting: list[threading.Event] = []
        #: Batches that are tried again later, and the alarm's entry of each.
        self.postponed: dict[int, tuple[BackgroundTasks, Entry]] = {}
        #: When the pool's end is to be over, once that has begun: what is due later is not awaited.
        self.deadline = inf
        #: What the threads that there are can be woken by.
        self.wakes: dict[int, threading.Lock] = {}

    # -------------------------------------------------------------- handing over
    def submit(self, batch: BackgroundTasks) -> None:
        """Queue a batch; run it here if that cannot be."""
        try:
            if (self.closed or len(self.queue) >= self.size) and not self.wait_for_room(batch):
                self.unended[id(batch)] = batch
                self.run(batch)
                return
            self.unended[id(batch)] = batch
            self.queue.append(batch)
            self.wake_one(batch)
            if self.closed:
                self.run_if_queued(batch)
        except BaseException as error:
            self.settle(batch, error)
            raise

    def wake_one(self, batch: BackgroundTasks) -> None:
        """Have a thread look at the queue, which a batch is in by now."""
        try:
            self.idle.pop().release()
        except IndexError:
            self.grow(batch)
        except RuntimeError:
            pass  # all were woken at this moment

    def settle(self, batch: BackgroundTasks, error: BaseException) -> None:
        """Report a batch whose thread was stopped while it handed it over, unless it has begun."""
        with suppress(ValueError):
            self.queue.remove(batch)
        if batch.pending is None:
            self.lose(batch, f"the server stopped the thread that handed it over ({error!r})")
        self.wake_all()

    def later(self, batch: BackgroundTasks, delay: float) -> None:
        """Queue a batch after some seconds, however many wait for a thread by then."""
        due = monotonic() + delay
        if due > self.deadline:
            self.lose_late(batch, delay)
            return
        self.unended[id(batch)] = batch
        entry = Entry(due, partial(self.come_back, batch))
        self.postponed[id(batch)] = batch, entry  # before it can come back
        life.pools.add(self)  # the pool may be over, and forgotten
        try:
            alarm().add(entry)
        except BaseException as error:
            if self.postponed.pop(id(batch), None) is None and isinstance(error, Exception):
                return  # it was given up meanwhile
            if isinstance(error, RuntimeError) and not threading.main_thread().is_alive():
                # Python 3.12 starts no thread once the main one has ended: this one waits.
                sleep(delay)
                self.come_back(batch)
                return
            self.unended.pop(id(batch), None)
            raise

    def come_back(self, batch: BackgroundTasks) -> None:
        """Queue a batch whose time has come; called by the alarm's thread."""
        self.queue.append(batch)
        self.postponed.pop(id(batch), None)
        self.wake_one(batch)

    def give_up(self, deadline: float) -> list[BackgroundTask]:
        """Report the tasks that would be tried again after a deadline, and return them."""
        self.deadline = deadline
        left: list[BackgroundTask] = []
        for batch, entry in list(self.postponed.values()):
            if entry.due > deadline and alarm().cancel(entry):
                self.postponed.pop(id(batch), None)
                left += self.lose_late(batch, max(0.0, entry.due - monotonic()))
        return left

    def wait_for_room(self, batch: BackgroundTasks) -> bool:
        """Wait until a batch may be queued, and tell whether it may."""
        # A task that waited could wait for itself.
        while self.blocks and not self.closed and _running.here.place.batch is None:
            room = held_lock()
            try:
                self.blocked.append(room)
                if len(self.queue) < self.size:
                    return True
                # Not for ever: the thread whose turn it was may have been interrupted.
                room.acquire(timeout=0.5)
            except BaseException:
                self.lose(batch, "the server stopped the thread that waited for room in the pool")
                raise
            finally:
                with suppress(ValueError):
                    self.blocked.remove(room)
        return False

    def grow(self, batch: BackgroundTasks) -> None:
        """Start one more thread."""
        place = _taken(self.places.pop)
        if place is None:
            return
        name = f"wsgibg-task-{place}"
        try:
            threading.Thread(target=self.work, args=(place,), name=name, daemon=False).start()
        except RuntimeError as error:  # no more threads, or the interpreter ends
            self.places.append(place)
            log.warning("No thread could be started for background tasks: %s.", error)
            self.run_if_queued(batch)

    def run_if_queued(self, batch: BackgroundTasks) -> None:
        """Run a batch here, unless somebody has taken it from the queue."""
        try:
            self.queue.remove(batch)
        except ValueError:
            return
        self.run(batch)

    # -------------------------------------------------------------- running
    def work(self, place: int) -> None:
        """Run batches until the pool is closed; the body of each thread."""
        wake = self.wakes[place] = held_lock()
        try:
            while not self.foreign:
                try:
                    batch = self.queue.popleft()
                except IndexError:
                    if self.closed:
                        break
                    self.rest(wake)
                    continue
                if self.blocked:
                    self.unblock()
                try:
                    self.run(batch)
                except BaseException:
                    # Its tasks' errors are logged by now. Whatever this is, the thread lives on.
                    log.exception("A batch of background tasks came to a bad end.")
                del batch
        finally:
            self.places.append(place)
            # Somebody may have queued a batch when this thread had looked for the last time.
            if self.queue and not self.foreign:
                with suppress(IndexError):
                    self.grow(self.queue[0])
            self.forget_if_over()

    def rest(self, wake: threading.Lock) -> None:
        """Wait until there may be something to do."""
        self.idle.append(wake)
        if self.queue or self.closed:
            try:
                self.idle.remove(wake)
            except ValueError:
                pass  # somebody has taken it and releases it
            else:
                return
        wake.acquire()

    def run(self, batch: BackgroundTasks) -> None:
        """Run a batch in this thread."""
        mine = self.mine.__dict__
        outer = mine.get("batches", ())
        mine["batches"] = (*outer, batch)
        try:
            run_batch(batch)
        finally:
            mine["batches"] = outer
            self.unended.pop(id(batch), None)
            if self.waiting:
                self.tell()

    def tell(self) -> None:
        """Have those look who wait for batches to end."""
        for event in self.waiting.copy():
            event.set()

    def unblock(self) -> None:
        """Wake one of the threads that wait for room."""
        with suppress(IndexError):
            self.blocked.popleft().release()

    # -------------------------------------------------------------- the end
    def others(self) -> list[BackgroundTasks]:
        """The batches that have not ended, but for those whose task asks."""
        mine = self.mine.__dict__.get("batches", ())
        return [batch for batch in self.unended.copy().values() if batch not in mine]

    def uncut(self) -> list[BackgroundTasks]:
        """Those of them that may still be waited for."""
        return [batch for batch in self.others() if not batch.cut]

    def wait(self, deadline: float, batches: list[BackgroundTasks]) -> bool:
        """Wait for batches to end, and tell whether they have.

        Args:
            deadline: until when, by `monotonic`.
            batches: which.
        """
        event = threading.Event()
        self.waiting.append(event)
        try:
            for batch in batches:
                while id(batch) in self.unended:
                    event.clear()
                    if id(batch) in self.unended and not event.wait(deadline - monotonic()):
                        return False
            return True
        finally:
            self.waiting.remove(event)

    def end(self, deadline: float, why: str = "") -> list[BackgroundTask]:
        """Close the pool, wait for what it has, and report what is left at the deadline.

        Args:
            deadline: until when to wait, by `monotonic`.
            why: what the deadline is, for the reports; by default the pool's own.
        """
        self.close()
        left = self.give_up(deadline)
        while batches := self.others():  # what fails meanwhile may be tried again
            if not self.wait(deadline, batches):
                return left + self.cut(batches, why)
        return left

    def close(self) -> None:
        """Take no more batches, and have the threads end when the queue is empty."""
        self.closed = True
        self.wake_all()
        while (lock := _taken(self.blocked.pop)) is not None:
            lock.release()
        self.forget_if_over()

    def wake_all(self) -> None:
        """Have every thread look for something to do.

        Those too whose lock somebody has taken to release it: he may have been interrupted.
        """
        self.idle.clear()
        for lock in self.wakes.copy().values():
            with suppress(RuntimeError):  # it does not wait
                lock.release()

    def forget_if_over(self) -> None:
        """Let go of a pool that has no threads and will get none."""
        if self.closed and len(self.places) == self.workers and not self.postponed:
            life.pools.discard(self)

    def cut(self, batches: list[BackgroundTasks], why: str = "") -> list[BackgroundTask]:
        """Report every task that has not ended, and see to it that none of them starts."""
        why = why or f"{self.drain_timeout:g} s after the end began"
        left = self.give_up(-inf)
        while (batch := _taken(self.queue.popleft)) is not None:
            left += self.lose(batch, f"it had not started {why}. {REMEDY}")
        for batch in batches:
            left += cut(batch, why)
        return left

    def lose_late(self, batch: BackgroundTasks, delay: float) -> list[BackgroundTask]:
        """`lose` a batch whose first task would be tried again after the end."""
        name = getattr(batch.retried, "name", "a task")
        behind = _TOO_LATE % (f"it came behind {name}, which", delay)
        return self.lose(batch, _TOO_LATE % ("it", delay), behind)

    def lose(self, batch: BackgroundTasks, reason: str, behind: str = "") -> list[BackgroundTask]:
        """Report a batch that will not be run, leave what waits for it, and return its tasks.

        Args:
            batch: which.
            reason: why not.
            behind: the same for the tasks behind one that was to be tried again.
        """
        cut_short(batch, reason)
        left = seal(batch)
        for task in left:
            why = reason if task is batch.retried else behind or reason
            report(batch.host, "lost", task, why, _running.attempt_of(task, batch))
        batch.retried = None  # it, its context and the batch were a cycle
        self.unended.pop(id(batch), None)
        self.tell()
        try:
            leave_batch(batch)
        except Exception:
            log.exception("What waited for the end of a batch failed.")
        return left


def _taken(take: Callable[[], T]) -> T | None:
    """What a container's method takes out of it; None if it is empty."""
    try:
        return take()
    except IndexError:
        return None


def held_lock() -> threading.Lock:
    """A one-shot signal; looked up when it is made, so that gevent's patch is seen."""
    lock = threading.Lock()
    lock.acquire()
    return lock
