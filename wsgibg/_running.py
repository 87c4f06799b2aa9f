"""The task that is running here, seen from inside: `current_task`."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from time import monotonic
from typing import Any
from weakref import ref

from wsgibg.records import TaskEvent, TaskProgress

__all__ = [
    "Place",
    "TaskContext",
    "alone",
    "at_work",
    "attempt_of",
    "context_of",
    "current_task",
    "follow_patch",
    "here",
    "task_var",
]


class TaskContext:
    """What a running task may know of itself.

    Attributes:
        id: the random name of this call, as in ``BackgroundTask.id``.
        attempt: 1 in the first run.
        deadline: when its ``timeout`` is over, in seconds by `time.monotonic`; None without one.
        cancelled: whether that time is over, or the server ends and waits no longer. A sync task
            that takes long asks now and then, and gives up.
        orphaned: whether the process that accepted it died before its request had ended.
    """

    __slots__ = ("_batch", "_task", "attempt", "deadline", "orphaned")

    def __init__(
        self, task: Any, batch: Any, attempt: int = 1, deadline: float | None = None
    ) -> None:
        self._task = task
        self._batch = batch
        self.attempt: int = attempt
        self.deadline: float | None = deadline
        self.orphaned: bool = False

    @property
    def cancelled(self) -> bool:
        """Whether the task should come to its end."""
        late = self.deadline is not None and monotonic() >= self.deadline
        return late or bool(self._batch.cut)

    @property
    def id(self) -> str:
        """The task's id."""
        identifier: str = self._task.id
        return identifier

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Tell how far the task has come.

        It is seen in ``app.tasks.get(id).progress``, and the hooks get an event of the kind
        ``"progress"``. It takes a few microseconds, and may be called from any thread.

        Args:
            done: how much is done, in whatever the task counts.
            total: how much there is to do, if that is known.
            message: a line for people.

        Example:
            >>> from wsgibg import current_task
            >>> def resize(pictures):
            ...     for count, picture in enumerate(pictures, start=1):
            ...         current_task().progress(count, len(pictures), picture)
        """
        told = TaskProgress(done, total, message)
        self._batch.host.record(
            TaskEvent("progress", self._task, attempt=self.attempt, progress=told)
        )

    def __repr__(self) -> str:
        return f"<TaskContext {self._task!r} attempt={self.attempt}>"


class Place:
    """Where one thread is: the batch that it runs, whose ``running`` is the task."""

    __slots__ = ("__weakref__", "batch")

    def __init__(self) -> None:
        self.batch: Any = None
        _places[id(self)] = ref(self, _Left(id(self)))


class _Left(int):
    """Forgets the place of a thread that has ended."""

    def __call__(self, _: object) -> None:
        _places.pop(self, None)


#: The places of all threads. PERF: a thread notes its batch at its own place, and whoever wants to
#: know what is under way looks at all; to note each batch in a common set took 0.1 µs.
_places: dict[int, ref[Place]] = {}


def at_work() -> list[Any]:
    """The batches that threads of this process are at, those around another one included."""
    found = []
    for place in _places.copy().values():
        each = place()
        batch = None if each is None else each.batch
        while batch is not None:
            found.append(batch)
            batch = batch.around
    return found


def alone() -> None:
    """In a forked child: the other threads, and what they are at, are the parent's."""
    mine = here.place
    for place in _places.copy().values():
        each = place()
        if each is not None and each is not mine:
            each.batch = None


def _make_here() -> Any:
    class Here(threading.local):
        def __init__(self) -> None:  # called in each thread
            self.place = Place()

    return Here()


#: Its ``place`` is that of this thread. To be read as an attribute of this module: see
#: `follow_patch`.
here: Any = _make_here()


def follow_patch() -> None:
    """See to it that each greenlet is somewhere of its own, if threads are greenlets by now.

    gevent may patch `threading` after this module was imported (gunicorn's configuration file is
    read before); a `threading.local` that is older is shared by all greenlets.
    """
    if not isinstance(here, threading.local):
        globals()["here"] = _make_here()


#: The async task that this context belongs to.
task_var: ContextVar[TaskContext | None] = ContextVar("wsgibg.task", default=None)


def _at(batch: Any) -> TaskContext | None:
    task = batch.running
    return None if task is batch.ended else context_of(task, batch)


def current_task() -> TaskContext:
    """The task that is running here.

    Returns:
        Its id, the number of the attempt, its deadline, and a way to tell of its progress.

    Raises:
        RuntimeError: no background task is running in this thread and context.

    Example:
        >>> from wsgibg import current_task
        >>> current_task()
        Traceback (most recent call last):
        ...
        RuntimeError: current_task() was called outside a background task.
    """
    batch = here.place.batch
    # The thread first: the context of a sync task is a copy of that of the task that added it.
    found = task_var.get() if batch is None else _at(batch)
    if found is None:
        msg = "current_task() was called outside a background task."
        raise RuntimeError(msg)
    return found


def context_of(task: Any, batch: Any) -> TaskContext:
    """What a task of a batch may know of itself."""
    deadline = None if batch.trial is None else batch.trial.deadline
    return TaskContext(task, batch, attempt_of(task, batch), deadline)


def attempt_of(task: Any, batch: Any) -> int:
    """The number of the attempt that a batch makes at a task."""
    attempt: int = batch.attempt if task is batch.retried else 1
    return attempt
