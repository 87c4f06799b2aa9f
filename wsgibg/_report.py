"""How it is told that a task did not run to its end."""

from __future__ import annotations

import logging
from typing import Any

from wsgibg._task import BackgroundTask
from wsgibg.records import EventKind, TaskEvent

__all__ = ["report"]

log = logging.getLogger("wsgibg.background")

_LEVELS = {"dropped": logging.WARNING, "lost": logging.ERROR, "interrupted": logging.ERROR}


def report(host: Any, kind: EventKind, task: BackgroundTask, reason: str) -> None:
    """Log that a task did not run to its end, and tell the hooks.

    Args:
        host: the task's `TaskHost`.
        kind: ``"dropped"``, ``"interrupted"`` or ``"lost"``.
        task: the task.
        reason: one line for people.
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
    if host.watched:
        host.record(TaskEvent(kind, task, reason))
