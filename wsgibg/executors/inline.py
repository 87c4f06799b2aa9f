"""The executor that runs tasks in the server's own thread."""

from __future__ import annotations

from wsgibg._attempt import run_batch
from wsgibg.executors import Executor

__all__ = ["InlineExecutor"]


class InlineExecutor(Executor):
    """Runs each batch in the response's ``close()``, in the thread that served the request.

    The client has its answer by then on gunicorn, gevent, bjoern and Werkzeug's threaded
    server; on others a response without ``Content-Length`` or body ends only after the tasks
    (see the servers' table in the documentation). The thread serves nobody else meanwhile.

    Example:
        >>> from wsgibg import App, InlineExecutor
        >>> app = App(executor=InlineExecutor())
    """

    # PERF: the function itself and not a method that calls it, 0.05 µs a request.
    #: Runs the batch here and now.
    submit = staticmethod(run_batch)
