"""A bounded pool of threads that run batches, from its first thread to its end."""

from __future__ import annotations

import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from math import inf
from time import monotonic, sleep
from typing import Any, Literal, TypeVar

from wsgibg._aio import when_forked
from wsgibg._alarm import Entry, alarm
from wsgibg._attempt import leave_batch, run_batch
from wsgibg._report import report
from wsgibg._running import here
from wsgibg.background import BackgroundTask, BackgroundTasks, seal

__all__ = ["OnFull", "Pool", "life"]

T = TypeVar("T")
log = logging.getLogger("wsgibg.background")

OnFull = Literal["inline", "block"]
_TOO_LATE = "it was to be tried again in %.3g s, which is after the end"
_REMEDY = (
    "Raise drain_timeout and the server's own limit (gunicorn: --graceful-timeout), make tasks"
    " shorter, or leave work that has to survive to a durable queue"
)


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
        #: Tasks that were reported as interrupted, by the identity of their batch.
        self.interrupted: dict[int, BackgroundTask] = {}

    # -------------------------------------------------------------- handing over
    def submit(self, batch: BackgroundTasks) -> None:
        """Queue a batch; run it here if that cannot be."""
        if (self.closed or len(self.queue) >= self.size) and not self.wait_for_room(batch):
            self.unended[id(batch)] = batch
            self.run(batch)
            return
        self.unended[id(batch)] = batch
        self.queue.append(batch)
        try:
            self.idle.pop().release()
        except IndexError:
            self.grow(batch)
        if self.closed:
            self.run_if_queued(batch)

    def later(self, batch: BackgroundTasks, delay: float) -> None:
        """Queue a batch after some seconds, however many wait for a thread by then."""
        due = monotonic() + delay
        if due > self.deadline:
            self.lose(batch, _TOO_LATE % delay)
            return
        self.unended[id(batch)] = batch
        clock = alarm()
        try:
            with clock.changed:  # it comes back when it has been noted down
                entry = clock.at(due, partial(self.come_back, batch))
                self.postponed[id(batch)] = batch, entry
        except RuntimeError:
            # Python 3.12 starts no thread any more once the main one has ended: this one waits.
            sleep(delay)
            self.come_back(batch)

    def come_back(self, batch: BackgroundTasks) -> None:
        """Queue a batch whose time has come; called by the alarm's thread."""
        self.postponed.pop(id(batch), None)
        self.queue.append(batch)
        try:
            self.idle.pop().release()
        except IndexError:
            self.grow(batch)

    def give_up(self, deadline: float) -> list[BackgroundTask]:
        """Report the tasks that would be tried again after a deadline, and return them."""
        self.deadline = deadline
        left: list[BackgroundTask] = []
        for batch, entry in list(self.postponed.values()):
            if entry.due > deadline and alarm().cancel(entry):
                self.postponed.pop(id(batch), None)
                left += self.lose(batch, _TOO_LATE % max(0.0, entry.due - monotonic()))
        return left

    def wait_for_room(self, batch: BackgroundTasks) -> bool:
        """Wait until a batch may be queued, and tell whether it may."""
        # A task that waited could wait for itself.
        while self.blocks and not self.closed and here.batch is None:
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
        wake = held_lock()
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
            if self.interrupted:
                self.tell_of_end(batch)

    def tell(self) -> None:
        """Have those look who wait for batches to end."""
        for event in self.waiting.copy():
            event.set()

    def tell_of_end(self, batch: BackgroundTasks) -> None:
        """Warn that a task was reported too early."""
        task = self.interrupted.pop(id(batch), None)
        if task is not None:
            log.warning(
                "Background task %s (%s), which was reported as interrupted, came to its end.",
                task.name,
                task.id,
                extra={"task_id": task.id},
            )

    def unblock(self) -> None:
        """Wake one of the threads that wait for room."""
        with suppress(IndexError):
            self.blocked.popleft().release()

    # -------------------------------------------------------------- the end
    def others(self) -> list[BackgroundTasks]:
        """The batches that have not ended, but for those whose task asks."""
        mine = self.mine.__dict__.get("batches", ())
        return [batch for batch in self.unended.copy().values() if batch not in mine]

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

    def end(self, deadline: float) -> list[BackgroundTask]:
        """Close the pool, wait for what it has, and report what is left at the deadline."""
        self.close()
        left = self.give_up(deadline)
        while batches := self.others():  # what fails meanwhile may be tried again
            if not self.wait(deadline, batches):
                return left + self.cut(batches)
        return left

    def close(self) -> None:
        """Take no more batches, and have the threads end when the queue is empty."""
        self.closed = True
        for locks in (self.idle, self.blocked):
            while (lock := _taken(locks.pop)) is not None:
                lock.release()
        self.forget_if_over()

    def forget_if_over(self) -> None:
        """Let go of a pool that has no threads and will get none."""
        if self.closed and len(self.places) == self.workers and not self.postponed:
            life.pools.discard(self)

    def cut(self, batches: list[BackgroundTasks]) -> list[BackgroundTask]:
        """Report every task that has not ended, and see to it that none of them starts."""
        reason = f"it had not started {self.drain_timeout:g} s after the end began. {_REMEDY}"
        left = self.give_up(-inf)
        while (batch := _taken(self.queue.popleft)) is not None:
            left += self.lose(batch, reason)
        for batch in batches:
            left += self.cut_running(batch, reason)
        return left

    def lose(self, batch: BackgroundTasks, reason: str) -> list[BackgroundTask]:
        """Report a batch that will not be run, leave what waits for it, and return its tasks."""
        left = seal(batch)
        for task in left:
            report(batch.host, "lost", task, reason)
        self.unended.pop(id(batch), None)
        self.tell()
        try:
            leave_batch(batch)
        except Exception:
            log.exception("What waited for the end of a batch failed.")
        return left

    def cut_running(self, batch: BackgroundTasks, reason: str) -> list[BackgroundTask]:
        """Report the running task of a batch, and take the others from the thread that has it."""
        while batch.pending is None and batch.tasks:
            sleep(0.001)  # it has been taken from the queue, and begins at this moment
        # Whoever seals a batch sees to its tasks: its own thread, when it has run them, or this.
        if not seal(batch):
            return []
        waiting = list(batch.pending or ())
        task = batch.running
        running = [] if task is None or task is batch.ended else [task]
        batch.given_up = True
        for task in running:
            self.interrupted[id(batch)] = task
            words = f"it was running {self.drain_timeout:g} s after the end began. {_REMEDY}"
            report(batch.host, "interrupted", task, words)
        for task in waiting:
            report(batch.host, "lost", task, reason)
        return running + waiting


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


class Life:
    """The pools of this process, from its beginning to its end."""

    def __init__(self) -> None:
        self.executors: weakref.WeakSet[Any] = weakref.WeakSet()
        self.pools: set[Pool] = set()
        self.inherited: list[set[Pool]] = []
        self.opening = threading.Lock()

    def end(self) -> None:
        """Drain all pools; called when the main thread has ended."""
        begin = monotonic()
        pools = self.pools.copy()
        for pool in pools:
            pool.give_up(begin + pool.drain_timeout)
        for pool in pools:
            # A request in flight may hand over more.
            while (batches := pool.others()) and pool.wait(begin + pool.drain_timeout, batches):
                pass
        for pool in pools:
            pool.end(begin + pool.drain_timeout)

    def forked(self) -> None:
        """In a forked child: pools, threads, and what they have to run, are the parent's."""
        batch = here.batch
        if batch is not None:  # a task has forked; the parent runs what comes after it
            seal(batch)
            deque(batch.pending or (), 0)
            batch.after = None
        self.opening = threading.Lock()
        for pool in self.pools:
            pool.foreign = True
        self.inherited.append(self.pools)  # kept: what it refers to is not the child's to end
        self.pools = set()
        for executor in list(self.executors):
            executor._pool = None


life = Life()
when_forked(life.forked)
