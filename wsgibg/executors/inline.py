"""The executor that runs tasks in the server's own thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Self

from wsgibg._aio import when_main_ends
from wsgibg._attempt import run_batch
from wsgibg.background import BackgroundTasks
from wsgibg.executors import TaskHost
from wsgibg.executors._life import life
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

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Make one that the end of the process knows of."""
        made = super().__new__(cls)
        life.inline.add(made)
        return made

    def start(self, host: TaskHost) -> None:
        """Have the end of the process wait for tasks in threads that it would just drop."""
        if threading.main_thread().is_alive():  # else it is too late to start a thread
            when_main_ends(life.end)

    # PERF: the function itself and not a method that calls it, 0.08 µs a request.
    #: Runs the batch here and now.
    submit: Callable[[BackgroundTasks], None] = staticmethod(run_batch)  # type: ignore[assignment]
