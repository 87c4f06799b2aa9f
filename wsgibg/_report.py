"""How it is told that a task did not run to its end."""

from __future__ import annotations

import logging
import traceback
from typing import Any

from wsgibg._observers import observers
from wsgibg._task import BackgroundTask
from wsgibg.records import EventKind, TaskEvent

__all__ = ["failure", "report"]

log = logging.getLogger("wsgibg.background")

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
        extra={"task_id": task.id},
    )
    host.record(TaskEvent(kind, task, reason, attempt=attempt))
    for observer in observers:
        observer.not_run(host, kind, task, reason)


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
