"""What the integrations share that watch tasks: whose tasks they are, and a task's times."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from time import monotonic
from types import TracebackType
from typing import Any, Protocol
from weakref import WeakKeyDictionary, ref

from wsgibg._ledger import batch_of
from wsgibg._names import Identity
from wsgibg._task import BackgroundTask, identify
from wsgibg.manager import TaskManager
from wsgibg.records import TaskEvent

__all__ = ["HasTaskManager", "Life", "Lives", "Safely", "Watched", "manager_of"]

log = logging.getLogger("wsgibg.background")


class HasTaskManager(Protocol):
    """An `App`, what `wrap` returns, or anything else with the manager of its tasks."""

    @property
    def tasks(self) -> TaskManager:
        """The manager."""


Watched = TaskManager | HasTaskManager

#: Who watches the tasks of a manager already.
_watchers: WeakKeyDictionary[TaskManager, list[object]] = WeakKeyDictionary()


def manager_of(app: Watched, watcher: str, key: object = None) -> TaskManager:
    """The manager whose tasks are to be watched.

    Args:
        app: an `App`, what `wrap` returned, or the manager itself.
        watcher: the name of the integration.
        key: what else tells it from another of the same name.

    Raises:
        TypeError: it has no manager.
        RuntimeError: this integration watches it already, and would tell everything twice.
    """
    manager = app if isinstance(app, TaskManager) else getattr(app, "tasks", None)
    if not isinstance(manager, TaskManager):
        msg = (
            f"{watcher} was given {app!r}, which has no background tasks."
            " Pass an App, what wrap() returned, or a TaskManager."
        )
        raise TypeError(msg)
    watchers = _watchers.setdefault(manager, [])
    if (watcher, key) in watchers:
        msg = (
            f"{watcher} watches these tasks already, and would tell of each twice. Call it once"
            " for each TaskManager; an App and a wrap() that share one need it once."
        )
        raise RuntimeError(msg)
    watchers.append((watcher, key))
    return manager


class Safely(AbstractContextManager[None]):
    """Goes in and out of a context manager, and logs what that raises: no task fails by it.

    Args:
        inner: the context manager, which swallows nothing.
        task: the task that runs in it.
    """

    def __init__(self, inner: AbstractContextManager[object], task: BackgroundTask) -> None:
        self._inner = inner
        self._task = task
        self._inside = False

    def __enter__(self) -> None:
        try:
            self._inner.__enter__()
            self._inside = True
        except Exception as error:  # noqa: BLE001 (logged)
            self._log("begin", error)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._inside:
            try:
                self._inner.__exit__(kind, raised, traceback)
            except Exception as error:  # noqa: BLE001 (logged)
                self._log("end", error)

    def _log(self, what: str, error: Exception) -> None:
        log.error(
            "What watches background task %s (%s) could not %s.",
            self._task.name,
            self._task.id,
            what,
            exc_info=error,
            extra={"task_id": self._task.id},
        )


class Life:
    """What is remembered of one task that is under way.

    Attributes:
        waiting: whether it was added, or is to be tried again, and has not begun.
        attempt: the number of its latest attempt.
        begun: when that began, by `time.monotonic`.
        waited: how many seconds it had waited for that, if that is known.
        extra: what an integration keeps with it.
    """

    __slots__ = ("added", "attempt", "begun", "extra", "waited", "waiting")

    def __init__(self) -> None:
        self.added: float | None = None
        self.attempt = 1
        self.begun: float | None = None
        self.waited: float | None = None
        self.waiting = False
        self.extra: Any = None

    def begin(self, event: TaskEvent) -> None:
        """Note that an attempt begins."""
        self.begun = now = monotonic()
        self.attempt = event.attempt
        batch = batch_of(identify(event.task))
        since = None if batch is None else batch.given
        if self.added is not None and event.attempt == 1:
            # One that was added by a task of its batch waits since then.
            since = self.added if since is None else max(since, self.added)
        self.waited = None if since is None else max(now - since, 0.0)


class Lives:
    """The tasks of a manager (or several) that are under way.

    There is no lock: a hook may come in anywhere, and each change is one step. A task that goes
    without an end, because nobody has it any more, is forgotten as well: the garbage collector,
    which may fire under anybody's lock, only notes that down.

    Args:
        gone: called with what was remembered of such a task, at some later event.
    """

    def __init__(self, gone: Callable[[Life], object] = id) -> None:
        self._gone = gone
        self._lives: dict[ref[Identity], Life] = {}
        self._left: deque[ref[Identity]] = deque()

    def of(self, task: BackgroundTask) -> Life:
        """What is remembered of a task; it is remembered from now on."""
        self.settle()
        identity = identify(task)
        return self._lives.setdefault(ref(identity, self._left.append), Life())

    def end(self, task: BackgroundTask) -> None:
        """Forget a task."""
        self._lives.pop(ref(identify(task)), None)

    def settle(self) -> None:
        """Forget the tasks that nobody has any more."""
        while self._left:
            with suppress(LookupError):  # another thread was faster
                self._gone(self._lives.pop(self._left.popleft()))

    def __len__(self) -> int:
        return len(self._lives)
