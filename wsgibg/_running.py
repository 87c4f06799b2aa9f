"""The task that is running here, seen from inside: `current_task`."""

from __future__ import annotations

import inspect
import threading
from contextvars import ContextVar
from typing import Any

__all__ = ["Injected", "TaskContext", "current_task", "follow_patch", "here", "task_var"]

#: Default of a task parameter that is resolved when the task runs, so that the call may leave
#: it out: ``def send(to: str, mailer: Annotated[Mailer, Depends(get_mailer)] = Injected)``.
Injected: Any = inspect.Parameter.empty


class TaskContext:
    """What a running task may know of itself.

    Attributes:
        id: the random name of this call, as in ``BackgroundTask.id``.
        attempt: 1 in the first run.
    """

    __slots__ = ("_task", "attempt")

    def __init__(self, task: Any, attempt: int = 1) -> None:
        self._task = task
        self.attempt: int = attempt

    @property
    def id(self) -> str:
        """The task's id."""
        identifier: str = self._task.id
        return identifier

    def __repr__(self) -> str:
        return f"<TaskContext {self._task!r} attempt={self.attempt}>"


def _make_here() -> Any:
    class Here(threading.local):
        batch: Any = None

    return Here()


#: Its ``batch`` is the one that this thread is at; that one's ``running`` is the task that runs.
#: To be read as an attribute of this module: see `follow_patch`.
here: Any = _make_here()


def follow_patch() -> None:
    """See to it that each greenlet is somewhere of its own, if threads are greenlets by now.

    gevent may patch `threading` after this module was imported (gunicorn's configuration file is
    read before); a `threading.local` that is older is shared by all greenlets.
    """
    if not isinstance(here, threading.local):
        globals()["here"] = _make_here()


#: The async task that this context belongs to.
task_var: ContextVar[Any] = ContextVar("wsgibg.task", default=None)


def _at(batch: Any) -> Any:
    return None if batch.running is batch.ended else batch.running


def current_task() -> TaskContext:
    """The task that is running here.

    Returns:
        Its id and the number of the attempt.

    Raises:
        RuntimeError: no background task is running in this thread and context.

    Example:
        >>> from wsgibg import current_task
        >>> current_task()
        Traceback (most recent call last):
        ...
        RuntimeError: current_task() was called outside a background task.
    """
    batch = here.batch
    # The thread first: the context of a sync task is a copy of that of the task that added it.
    task = task_var.get() if batch is None else _at(batch)
    if task is None:
        msg = "current_task() was called outside a background task."
        raise RuntimeError(msg)
    return TaskContext(task)
