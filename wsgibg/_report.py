"""How it is told that a task did not run to its end."""

from __future__ import annotations

import logging
import traceback
from typing import Any

from wsgibg._observers import observers
from wsgibg._task import BackgroundTask
from wsgibg.records import EventKind, TaskEvent

__all__ = ["IS_ENDLESS", "MAX_NESTED", "endless", "failure", "report"]

log = logging.getLogger("wsgibg.background")

#: How many batches may be run inside of each other by one thread.
MAX_NESTED: int = 100

IS_ENDLESS = (
    "which is the limit. Does a task add itself for ever? Give what comes again to a scheduler,"
    " and much work to a few tasks"
)

_LEVELS = {"dropped": logging.WARNING, "lost": logging.ERROR, "interrupted": logging.ERROR}


def report(host: Any, kind: EventKind, task: BackgroundTask, reason: str, attempt: int = 1) -> None:
    """Log that a task did not run to its end, and tell the hooks.

    Args:
        host: the task's `TaskHost`.
        kind: ``"dropped"``, ``"interrupted"`` or ``"lost"``.
        task: the task.
        reason: one line for people.
        attempt: the number of the attempt that it was at.
    """
    log.log(
        _LEVELS[kind],
        "Background task %s (%s) was %s: %s.",
        task.name,
        task.id,
        kind,
        reason,
        extra={"task_id": task.id, "task_event": kind},
    )
    host.record(TaskEvent(kind, task, reason, attempt=attempt))
    for observer in tuple(observers):
        observer.not_run(host, kind, task, reason)


def endless(batch: Any, limit: int) -> str:
    """Why the tasks of a batch may not have another executor run what they add; mostly nothing.

    Args:
        batch: the batch.
        limit: how many batches may come one from the other.
    """
    if batch.generation >= limit:
        return f"a chain of {limit} batches had come to it, {IS_ENDLESS}"
    nested, each = 1, batch.around
    while each is not None:
        nested, each = nested + 1, each.around
    if nested >= MAX_NESTED:
        return f"its thread was at {nested} batches inside of each other, {IS_ENDLESS}"
    return ""


def failure(kind: EventKind, task: BackgroundTask, error: BaseException, attempt: int) -> TaskEvent:
    """What hooks hear of an attempt that failed, as text: an error would keep its frames.

    Args:
        kind: ``"failed"`` or ``"retried"``.
        task: the task.
        error: what it failed with.
        attempt: the number of the attempt.
    """
    text = "".join(traceback.format_exception(error))
    line = "".join(traceback.format_exception_only(error)).partition("\n")[0]
    return TaskEvent(kind, task, text, attempt=attempt, error=line)
