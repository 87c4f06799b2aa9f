"""What executors share that have a pool of threads: its making, its draining, its end."""

from __future__ import annotations

import os
import threading
import weakref
from math import inf
from time import monotonic
from typing import Any, Self

from wsgibg._aio import when_main_ends
from wsgibg._attempt import behind
from wsgibg.background import BackgroundTask, BackgroundTasks
from wsgibg.executors import Executor
from wsgibg.executors._life import life
from wsgibg.executors._pool import OnFull, Pool

__all__ = ["WORKERS", "PooledExecutor"]

WORKERS = min(8, (os.cpu_count() or 1) + 4)


class PooledExecutor(Executor):
    """An executor with a `Pool`, which is made on first use in each process."""

    workers: int = WORKERS
    queue_size: int = 1000
    on_full: OnFull = "inline"
    drain_timeout: float = 25.0

    _pool: Pool | None = None
    _shut: bool = False

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Make one that its process knows, also where a subclass has an ``__init__``."""
        made = super().__new__(cls)
        life.executors.add(made)
        return made

    def retry(self, batch: BackgroundTasks, delay: float) -> None:
        """Have a thread of the pool run the batch after ``delay`` seconds."""
        (self._pool or self._open()).later(batch, delay)

    def drain(self, timeout: float) -> list[BackgroundTask]:
        """Wait for the batches that were submitted so far; more may be submitted meanwhile.

        Called by a task, it does not wait for the batch of that task.

        Args:
            timeout: seconds to wait at most.

        Returns:
            The tasks of these batches that had not ended by then; they go on.
        """
        pool = self._pool
        if pool is None:
            return []
        deadline = monotonic() + timeout
        batches = pool.others()
        while pool.wait(deadline, batches):
            # Those of their tasks that failed may be tried again meanwhile, with those behind.
            batches = [batch for batch in pool.others() if batch.attempt > 1]
            if not batches:
                return []
        batches += [each for each in pool.others() if each.attempt > 1 and each not in batches]
        left = [batch for batch in batches if id(batch) in pool.unended]
        return [task for batch in left for task in _unended(batch)]

    def shutdown(self) -> list[BackgroundTask]:
        """Drain the pool for up to ``drain_timeout`` seconds, report what is left, end it.

        What is submitted from now on runs inline.

        Returns:
            The tasks that had not ended.
        """
        self._shut = True
        pool = self._pool
        if pool is None:
            return []
        return pool.end(monotonic() + self.drain_timeout)

    def _open(self) -> Pool:
        """Make the pool of this process."""
        with life.opens():
            if self._pool is None:
                pool = Pool(self.workers, self.queue_size, self.on_full, self.drain_timeout)
                # The threads keep the pool, not the executor: they end when nobody has that.
                weakref.finalize(self, pool.close).atexit = False
                life.pools.add(pool)
                when_main_ends(life.end)
                if self._shut or not threading.main_thread().is_alive():
                    pool.close()
                    pool.deadline = -inf
                self._pool = pool
            return self._pool


def _unended(batch: BackgroundTasks) -> list[BackgroundTask]:
    """The tasks of a batch that have not ended: the running one first."""
    tasks, running = batch.tasks.copy(), batch.running
    begun = [] if running is None or running is batch.ended else [running]
    return begun + behind(running, tasks)
