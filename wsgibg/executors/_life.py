"""What runs background tasks in this process, from its beginning to its end."""

from __future__ import annotations

import math
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic
from typing import Any

from wsgibg import _running
from wsgibg._aio import when_forked
from wsgibg._attempt import cut_short, cuts, interrupted
from wsgibg._report import report
from wsgibg.background import BackgroundTask, BackgroundTasks, seal

__all__ = ["PATIENCE", "REMEDY", "Limit", "cut", "life"]

#: Seconds that the end of the process waits for tasks that run in the server's own threads.
PATIENCE = 25.0
#: How often, in seconds, whoever waits at the end looks about.
STEP = 0.1

REMEDY = (
    "Raise drain_timeout and the server's own limit (gunicorn: --graceful-timeout), make tasks"
    " shorter, or leave work that has to survive to a durable queue"
)


class Limit:
    """The moment at which the end of the process has to be over, as far as it is known.

    A signal's handler may set it: nothing here takes a lock.
    """

    def __init__(self) -> None:
        self.moment = math.inf
        #: What that moment is, for the reports: "when it was about to be killed".
        self.why = ""

    def bring_forward(self, moment: float, why: str) -> None:
        """Set the moment (by `time.monotonic`), unless an earlier one is set."""
        if moment < self.moment:
            self.moment, self.why = moment, why


def cut(batch: BackgroundTasks, why: str) -> list[BackgroundTask]:
    """Report what has not ended of a batch, none of whose tasks starts any more.

    Args:
        batch: it may be running, in any thread.
        why: the end of "it was running ...", for the reports.

    Returns:
        The tasks that were reported.
    """
    reason = f"it had not started {why}. {REMEDY}"
    cut_short(batch, reason)
    # Whoever seals a batch sees to its tasks: the thread that runs it, or this one.
    left = seal(batch)
    if not left:
        return []
    waiting = left if batch.pending is None else list(batch.pending)
    task = batch.running
    running = [] if task is None or task is batch.ended else [task]
    for task in running:
        interrupted[id(batch)] = task
        if batch not in _running.at_work():  # it has just ended
            interrupted.pop(id(batch), None)
        trial = batch.trial
        if trial is not None:
            trial.unwatch()  # or the alarm's thread kept the process
        words = f"it was running {why}. {REMEDY}"
        report(batch.host, "interrupted", task, words, _running.attempt_of(task, batch))
    for task in waiting:
        report(batch.host, "lost", task, reason, _running.attempt_of(task, batch))
    return running + waiting


class Life:
    """The executors and pools of this process."""

    def __init__(self) -> None:
        self.executors: weakref.WeakSet[Any] = weakref.WeakSet()
        #: The executors that run tasks in the server's threads.
        self.inline: weakref.WeakSet[Any] = weakref.WeakSet()
        self.pools: set[Any] = set()
        self.inherited: list[set[Any]] = []

    def opens(self) -> threading.Lock:
        """What is held while a pool is made.

        It is made where it is first used: one that is older than gevent's patch, and held by a
        greenlet that waits, would stop the whole worker.
        """
        lock: threading.Lock = vars(self).setdefault("opening", threading.Lock())
        return lock

    def unpooled(self) -> list[BackgroundTasks]:
        """The batches that run in the server's own threads, but for that of this thread."""
        mine = _running.here.place.batch
        pooled = {each for pool in self.pools.copy() for each in pool.unended.copy()}
        return [
            batch
            for batch in _running.at_work()
            if batch.executor is not None  # else it is the parent's, whose task has forked
            and not (batch.cut or batch is mine or id(batch) in pooled)
        ]

    def end(self, limit: Limit | None = None) -> list[BackgroundTask]:
        """Wait for all tasks of this process, close its pools and report what is left.

        Each pool is waited for as long as its ``drain_timeout`` says, tasks in the server's own
        threads as long as for the pool with most patience. Requests in flight may hand over more.

        Args:
            limit: when all has to be over; it is looked at again and again.

        Returns:
            The tasks that were reported.
        """
        return _End(self, limit or Limit()).run()

    def refuse(self, why: str) -> None:
        """Report what is left, and have whatever is handed over from now on be reported.

        For a process that is about to be killed. There is no way back.

        Args:
            why: the end of "it was running ...", for the reports.
        """
        # What every batch that has not begun looks at.
        cuts.add(True)
        BackgroundTasks.cut = f"it had not started {why}. {REMEDY}"
        for pool in self.pools.copy():
            pool.cut([], why)
        for batch in _running.at_work():
            if "cut" not in vars(batch):
                cut(batch, why)

    def forked(self) -> None:
        """In a forked child: pools, threads, and what they have to run, are the parent's."""
        batch = _running.here.place.batch
        if batch is not None:  # a task has forked; the parent runs what comes after it
            seal(batch)
            deque(batch.pending or (), 0)
            batch.after = batch.executor = None
        _running.alone()
        interrupted.clear()
        vars(self).pop("opening", None)
        for pool in self.pools:
            pool.foreign = True
        self.inherited.append(self.pools)  # kept: what it refers to is not the child's to end
        self.pools = set()
        for executor in list(self.executors):
            executor._pool = None


class _End:
    """One way to the end, from its begin to its reports."""

    def __init__(self, life: Life, limit: Limit) -> None:
        self.life, self.limit, self.begin = life, limit, monotonic()
        self.over: set[Any] = set()
        self.left: list[BackgroundTask] = []

    def run(self) -> list[BackgroundTask]:
        """Go it, and give the tasks that were reported."""
        pools = self.life.pools
        patience = max((pool.drain_timeout for pool in pools.copy()), default=PATIENCE)
        while True:
            waiting = [*self.busy_pools(), *self.busy_threads(patience)]
            if waiting:
                waiting[0](monotonic() + STEP)
            elif fresh := {p for p in self.life.pools.copy() if p not in self.over or p.postponed}:
                for pool in fresh:
                    self.close(pool)
            else:
                return self.left

    def is_late(self, patience: float) -> bool:
        return monotonic() >= min(self.limit.moment, self.begin + patience)

    def why(self, patience: float) -> str:
        """What has come to its end: this, or the patience."""
        if self.limit.moment < self.begin + patience:
            return self.limit.why
        return f"{patience:g} s after the end began"

    def close(self, pool: Any) -> None:
        self.over.add(pool)
        patience = pool.drain_timeout
        moment = min(self.limit.moment, self.begin + patience)
        self.left += pool.end(moment, self.why(patience))

    def busy_pools(self) -> Iterator[Callable[[float], object]]:
        """What waits for each pool that is to be waited for; the others are closed."""
        for pool in self.life.pools.copy() - self.over:
            # What would be tried again too late is not waited for.
            self.left += pool.give_up(min(self.limit.moment, self.begin + pool.drain_timeout))
            if self.is_late(pool.drain_timeout):
                self.close(pool)
            elif batches := pool.uncut():
                yield partial(pool.wait, batches=batches)

    def busy_threads(self, patience: float) -> Iterator[Callable[[float], object]]:
        """What waits for the server's threads; or their tasks are reported."""
        batches = self.life.unpooled()
        if batches and not self.is_late(patience):
            yield _pause
            return
        for batch in batches:
            self.left += cut(batch, self.why(patience))


def _pause(deadline: float) -> None:
    """Wait a little for a task that nobody hears of when it ends."""
    # Looked up when it is called, so that gevent's patch is seen.
    time.sleep(max(0.0, min(0.02, deadline - monotonic())))


life: Life = Life()
when_forked(life.forked)
