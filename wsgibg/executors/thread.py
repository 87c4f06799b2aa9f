"""The executor that runs tasks in a bounded pool of threads."""

from __future__ import annotations

from wsgibg.background import BackgroundTasks
from wsgibg.executors._pool import OnFull
from wsgibg.executors._pooled import WORKERS, PooledExecutor

__all__ = ["OnFull", "ThreadExecutor"]


class ThreadExecutor(PooledExecutor):
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
        workers: int = WORKERS,
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

    def submit(self, batch: BackgroundTasks) -> None:
        """Have a thread of the pool run the batch."""
        (self._pool or self._open()).submit(batch)
