"""What is known of the Django tasks of this process."""

from __future__ import annotations

import os
import uuid
from collections import OrderedDict
from dataclasses import replace
from threading import Lock
from typing import Any

from django.utils import timezone

from wsgibg._ledger import MAX_ENDED
from wsgibg._options import name_of
from wsgibg._task import identify
from wsgibg.integrations.django._tasks_api import (
    TaskError,
    TaskResult,
    TaskResultDoesNotExist,
    TaskResultStatus,
    signals,
)
from wsgibg.records import TaskEvent

__all__ = ["Entry", "Results", "TaskNotRun", "results"]

_PROCESS = uuid.uuid4().hex[:16]


class TaskNotRun(Exception):
    """Why a Django task has failed that was dropped, lost or interrupted.

    It is never raised: the errors of a ``TaskResult`` name it, with the reason.
    """


_NOT_RUN = f"{TaskNotRun.__module__.rpartition('.')[0]}.{TaskNotRun.__qualname__}"


class Entry:
    """One Django task that was enqueued.

    Args:
        result: what others see of it; it changes here and nowhere else.
        sender: the class of the backend, which sends Django's signals.
    """

    def __init__(self, result: Any, sender: type) -> None:
        self.result = result
        self.sender = sender
        #: The path of what its attempt has raised.
        self.error = ""

    def set(self, **changes: Any) -> None:
        """Change the result, which is frozen for everybody else."""
        for name, value in changes.items():
            object.__setattr__(self.result, name, value)

    def returned(self, value: Any) -> None:
        """Take note of what an attempt returned."""
        self.set(_return_value=value)

    def raised(self, error: BaseException) -> None:
        """Take note of what an attempt raised."""
        self.error = name_of(type(error))

    def snapshot(self) -> Any:
        """The result as it is now."""
        result = self.result
        copied = replace(result, errors=list(result.errors), worker_ids=list(result.worker_ids))
        object.__setattr__(copied, "_return_value", result._return_value)
        return copied

    def apply(self, event: TaskEvent) -> None:
        """Take over what happened to the task, and tell Django's signals."""
        kind, now = event.kind, timezone.now()
        if kind == "started":
            self.result.worker_ids.append(f"{_PROCESS}-{os.getpid()}")
            started = self.result.started_at or now
            self.set(status=TaskResultStatus.RUNNING, started_at=started, last_attempted_at=now)
            signals.task_started.send(sender=self.sender, task_result=self.result)
            return
        if kind == "succeeded":
            self.set(status=TaskResultStatus.SUCCESSFUL, finished_at=now)
        elif kind in ("failed", "retried"):
            self._add_error(self.error or "builtins.Exception", event.reason)
            if kind == "retried":
                self.set(status=TaskResultStatus.READY)
                return
            self.set(status=TaskResultStatus.FAILED, finished_at=now)
        else:
            self._add_error(_NOT_RUN, f"{kind}: {event.reason}")
            self.set(status=TaskResultStatus.FAILED, finished_at=now)
        signals.task_finished.send(sender=self.sender, task_result=self.result)

    def _add_error(self, path: str, text: str) -> None:
        self.result.errors.append(TaskError(exception_class_path=path, traceback=text))


_ENDS = frozenset({"succeeded", "failed", "dropped", "lost", "interrupted"})
_TOLD = _ENDS | {"started", "retried"}


class Results:
    """Every Django task that has not ended, and the last that have.

    One for all backends: Django makes a backend in each thread.

    Args:
        size: how many that have ended are remembered.
    """

    def __init__(self, size: int = MAX_ENDED) -> None:
        self.size = size
        self._open: dict[str, Entry] = {}
        self._ended: OrderedDict[str, Entry] = OrderedDict()
        self._lock = Lock()

    def put(self, identifier: str, entry: Entry) -> None:
        """Remember a task."""
        self._open[identifier] = entry

    def forget(self, identifier: str) -> None:
        """Forget a task that was refused."""
        self._open.pop(identifier, None)

    def get(self, identifier: str) -> Any:
        """The result of a task, as it is now.

        Raises:
            TaskResultDoesNotExist: it was not enqueued in this process, or ended long ago.
        """
        entry = self._open.get(identifier) or self._ended.get(identifier)
        if entry is None:
            raise TaskResultDoesNotExist(identifier)
        return entry.snapshot()

    def hear(self, event: TaskEvent) -> None:
        """A hook of the managers that carry the project's tasks."""
        if event.kind not in _TOLD:
            return
        identifier = identify(event.task).id
        entry = self._open.get(identifier) or self._ended.get(identifier)
        if entry is None:
            return
        if event.kind in _ENDS:
            with self._lock:
                self._ended[identifier] = entry
                self._open.pop(identifier, None)
                while len(self._ended) > self.size:
                    self._ended.popitem(last=False)
        entry.apply(event)


results = Results()


def new_result(task: Any, identifier: str, args: Any, kwargs: Any, alias: str) -> Any:
    """The result of a task that is being enqueued."""
    return TaskResult(
        task=task,
        id=identifier,
        status=TaskResultStatus.READY,
        enqueued_at=timezone.now(),
        started_at=None,
        finished_at=None,
        last_attempted_at=None,
        args=args,
        kwargs=kwargs,
        backend=alias,
        errors=[],
        worker_ids=[],
    )
