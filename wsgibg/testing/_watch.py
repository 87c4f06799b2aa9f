"""What goes wrong in one call of an application, its tasks included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from typing import Any

from wsgibg._observers import Observer, observe, strictness, unobserve
from wsgibg.background import BackgroundTask
from wsgibg.exceptions import TaskNotRun
from wsgibg.executors._life import life

__all__ = ["Watch", "drain_process"]

Drain = Callable[[float], list[BackgroundTask]]

#: The call that this context belongs to. A task knows by its context from which call it comes,
#: in whatever thread it runs.
_current: ContextVar[Watch | None] = ContextVar("wsgibg.testing", default=None)


def drain_process(timeout: float, *more: Drain) -> list[BackgroundTask]:
    """Wait for what the pools of this process have to run.

    Args:
        timeout: seconds to wait at most.
        more: what else is to be drained: an application's ``drain``.

    Returns:
        The tasks that had not ended by then.
    """
    deadline = monotonic() + timeout
    pooled = [each.drain for each in list(life.executors) if each._pool is not None]
    left: list[BackgroundTask] = []
    for drain in (*pooled, *more):
        left += [task for task in drain(max(0.0, deadline - monotonic())) if task not in left]
    return left


class Watch(Observer):
    """Collects the errors of one call of an application, and raises them in the test.

    Args:
        strict: whether the application is strict.
        raises_errors: whether what the request has failed with is raised.
        raises_tasks: whether what its tasks have failed with is.
    """

    def __init__(self, *, strict: bool, raises_errors: bool, raises_tasks: bool) -> None:
        self.strict = strict
        self.raises_errors = raises_errors
        self.raises_tasks = raises_tasks
        #: What the application answers with a 500, or only logs (``environ["wsgibg.errors"]``).
        self.errors: list[BaseException] = []
        self.failures: list[BaseException] = []

    def _is_mine(self, task: BackgroundTask) -> bool:
        return task.context.get(_current) is self

    def delay_for(self, task: BackgroundTask, delay: float) -> float:
        """No test waits for the next attempt."""
        return 0.0 if self._is_mine(task) else delay

    def failed(self, task: BackgroundTask, error: BaseException) -> None:
        """Note what a task has failed with."""
        if self._is_mine(task):
            self.failures.append(error)

    def not_run(self, host: Any, kind: str, task: BackgroundTask, reason: str) -> None:
        """Note a task that was lost, and in strict mode one that was dropped."""
        strict = self.strict or strictness.on or getattr(host, "strict", False)
        if self._is_mine(task) and (strict or kind != "dropped"):
            self.failures.append(TaskNotRun(f"{task.name} was {kind}: {reason}"))

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Hear of what happens meanwhile, and count what is added here as this call's."""
        token = _current.set(self)
        observe(self)
        try:
            yield
        finally:
            unobserve(self)
            _current.reset(token)

    def settle(self, timeout: float, *more: Drain) -> None:
        """Wait for the tasks, and raise what has gone wrong.

        Args:
            timeout: seconds to wait at most.
            more: what else is to be drained: an application's ``drain``.

        Raises:
            BaseException: the first error; a note tells of further ones.
            TimeoutError: tasks have not ended in time.
        """
        left = drain_process(timeout, *more)
        wanted = [*self.errors] if self.raises_errors else []
        if self.raises_tasks:
            wanted += self.failures
        # The lists are emptied: an error whose frames refer to them is a cycle.
        self.errors.clear()
        self.failures.clear()
        try:
            if wanted:
                for other in wanted[1:]:
                    wanted[0].add_note(f"Afterwards, in the same request: {other!r}")
                raise wanted[0]
        finally:
            wanted.clear()
        if left:
            names = ", ".join(task.name for task in left)
            msg = (
                f"After {timeout:g} s these background tasks had not ended: {names}. Have them end"
                " sooner in tests, or give the client a longer drain_timeout."
            )
            raise TimeoutError(msg)
