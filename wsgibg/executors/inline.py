"""The executor that runs tasks in the server's own thread."""

from __future__ import annotations

from wsgibg._attempt import run_batch
from wsgibg.background import BackgroundTasks
from wsgibg.executors._pooled import PooledExecutor

__all__ = ["InlineExecutor"]


class InlineExecutor(PooledExecutor):
    """Runs each batch in the response's ``close()``, in the thread that served the request.

    The client has its answer by then on gunicorn, gevent, bjoern and Werkzeug's threaded
    server; on others a response without ``Content-Length`` or body ends only after the tasks
    (see the servers' table in the documentation). The thread serves nobody else meanwhile.
    A task that failed and is to be tried again waits for that outside, and a thread of a pool,
    which is started then, runs it.

    Example:
        >>> from wsgibg import App, InlineExecutor
        >>> app = App(executor=InlineExecutor())
    """

    def submit(self, batch: BackgroundTasks) -> None:
        """Run the batch here and now."""
        run_batch(batch)
