"""Database connections around the tasks of a Django project."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from asgiref.sync import SyncToAsync
from django.core.exceptions import SynchronousOnlyOperation
from django.db import connections

from wsgibg._calls import is_async
from wsgibg.background import BackgroundTask

__all__ = ["close_stale_connections", "fresh_connections"]


def close_stale_connections() -> None:
    """Close this thread's connections that are broken or too old, as Django does for requests.

    Never one inside ``atomic``: a test case's, or that of whoever called the task.
    """
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            # (where the thread runs an event loop, Django lets nobody at its connections)
            with suppress(SynchronousOnlyOperation):
                connection.close_if_unusable_or_obsolete()


@contextmanager
def fresh_connections(task: BackgroundTask) -> Iterator[None]:
    """Do for an attempt of a task what Django's request signals do for a request."""
    close_stale_connections()
    try:
        yield
    finally:
        close_stale_connections()
        if is_async(task.func):
            _close_behind_async()


def _close_behind_async() -> None:
    """Do the same in the thread in which asgiref has the database asked by async code.

    If that was not asked yet, there is no such thread, and this does not start one.
    """
    executor = SyncToAsync.single_thread_executor
    if getattr(executor, "_threads", None):
        with suppress(RuntimeError):  # the interpreter ends, and with it the thread
            executor.submit(close_stale_connections)
