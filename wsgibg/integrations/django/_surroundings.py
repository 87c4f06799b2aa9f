"""What a task of a Django project finds around it, in whatever thread it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import tzinfo
from threading import Thread, current_thread
from typing import NamedTuple

from asgiref.sync import AsyncToSync, SyncToAsync
from django.core.exceptions import SynchronousOnlyOperation
from django.db import connections
from django.urls import get_script_prefix, set_script_prefix
from django.utils import timezone, translation

from wsgibg._calls import is_async
from wsgibg.background import BackgroundTask

__all__ = ["close_stale_connections", "lend_thread", "remember_thread", "surround"]


class _Active(NamedTuple):
    """What is active in a thread of Django's, and is not in every other."""

    language: str | None
    zone: tzinfo
    prefix: str


#: What was active where a task was added; set in the task's own context only.
_active_var: ContextVar[_Active | None] = ContextVar("wsgibg.django.active", default=None)

#: Whose thread has a task run in the middle of its code; set in the task's own context only.
_lender_var: ContextVar[Thread | None] = ContextVar("wsgibg.django.lender", default=None)


def remember_thread(task: BackgroundTask) -> None:
    """Take down what is active where a task is added, and forget what is of that thread alone.

    Such things are in the task's context, but asgiref shows them in their own thread only (since
    its version 3.12).
    """
    active = _Active(
        translation.get_language(), timezone.get_current_timezone(), get_script_prefix()
    )
    context = task.context
    context.run(_active_var.set, active)
    # A task outlives the threads that asgiref keeps for its request, and waits for none of them.
    context.run(SyncToAsync.thread_sensitive_context.set, None)  # type: ignore[arg-type]
    context.run(SyncToAsync.deadlock_context.set, False)
    context.run(setattr, AsyncToSync.executors, "current", None)


def lend_thread(task: BackgroundTask) -> None:
    """Take down that a task may run in this thread, in the middle of code that uses the database.

    That is no end of a request: the connection is the code's, which may be reading from it.
    """
    task.context.run(_lender_var.set, current_thread())


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
def surround(task: BackgroundTask) -> Iterator[None]:
    """Do for an attempt of a task what Django does for a request: connections, language, zone."""
    active = _active_var.get()
    if active is not None:  # (none of it outlasts the attempt, whose context is its own)
        if active.language is None:
            translation.deactivate_all()
        else:
            translation.activate(active.language)
        timezone.activate(active.zone)
        set_script_prefix(active.prefix)
    lender = _lender_var.get()
    lent = lender is current_thread()
    if not lent:
        close_stale_connections()
    try:
        yield
    finally:
        if not lent:
            close_stale_connections()
        if is_async(task.func):
            _close_behind_async(lender)


def _close_behind_async(lender: Thread | None) -> None:
    """Do the same in the thread in which asgiref has the database asked by async code.

    If that was not asked yet, there is no such thread, and this does not start one.
    """
    executor = SyncToAsync.single_thread_executor
    threads = getattr(executor, "_threads", ())
    if threads and lender not in threads:
        with suppress(RuntimeError):  # the interpreter ends, and with it the thread
            executor.submit(close_stale_connections)
