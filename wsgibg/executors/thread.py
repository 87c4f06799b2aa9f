"""The executor that runs tasks in a bounded pool of threads."""

from __future__ import annotations

import os
import threading
import weakref
from time import monotonic

from wsgibg._aio import when_main_ends
from wsgibg._attempt import behind
from wsgibg.background import BackgroundTask, BackgroundTasks
from wsgibg.executors import Executor
from wsgibg.executors._life import life
from wsgibg.executors._pool import OnFull, Pool

__all__ = ["OnFull", "ThreadExecutor"]

_WORKERS = min(8, (os.cpu_count() or 1) + 4)


class ThreadExecutor(Executor):
    """Hands each batch to a pool of threads, so that ``close()`` returns at once.

    The client and its connection are free on every server that calls ``close()``. The tasks of
    one request run in order, in one thread; those of several requests side by side. Threads are
    started as they are needed, in the process that serves, and under gevent are greenlets.

    Where the main thread ends, the pool is drained first. What has not ended ``drain_timeout``
    seconds later is logged at level ERROR and told to the hooks: tasks that were waiting are
    *lost* and will not start; the running ones are *interrupted*, which means that nobody waits
    for them any more. The interpreter does, so such a task may end all the same; then a warning
    says so, and the hooks hear of its end as of any other.

    Args:
        workers: the most threads.
        queue_size: how many batches may wait for a thread.
        on_full: what becomes of a batch when that many wait: ``"inline"`` runs it in the thread
            of its request; ``"block"`` has that thread wait for room. Tasks that hand over
            batches themselves never wait.
        drain_timeout: seconds.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> from wsgibg import App, ThreadExecutor
        >>> app = App(executor=ThreadExecutor(workers=4))
    """

    def __init__(
        self,
        workers: int = _WORKERS,
        queue_size: int = 1000,
        on_full: OnFull = "inline",
        drain_timeout: float = 25.0,
    ) -> None:
        for name, value, least in (
            ("workers", workers, 1),
            ("queue_size", queue_size, 1),
            ("drain_timeout", drain_timeout, 0),
        ):
            if not value >= least:
                msg = f"ThreadExecutor({name}={value!r}): it must be at least {least}."
                raise ValueError(msg)
        if on_full not in ("inline", "block"):
            msg = f'ThreadExecutor(on_full={on_full!r}): use "inline" or "block".'
            raise ValueError(msg)
        self.workers = workers
        self.queue_size = queue_size
        self.on_full: OnFull = on_full
        self.drain_timeout = drain_timeout
        self._pool: Pool | None = None
        self._shut = False
        life.executors.add(self)

    def submit(self, batch: BackgroundTasks) -> None:
        """Have a thread of the pool run the batch."""
        (self._pool or self._open()).submit(batch)

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
        batches = pool.others()
        if pool.wait(monotonic() + timeout, batches):
            return []
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
                self._pool = pool
            return self._pool


def _unended(batch: BackgroundTasks) -> list[BackgroundTask]:
    """The tasks of a batch that have not ended: the running one first."""
    tasks, running = batch.tasks.copy(), batch.running
    begun = [] if running is None or running is batch.ended else [running]
    return begun + behind(running, tasks)
