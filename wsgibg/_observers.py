"""Who watches the tasks of the whole process from outside: test clients and fixtures."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from wsgibg._task import BackgroundTask

__all__ = ["Observer", "executor_for", "hosts", "observe", "observers", "strictness", "unobserve"]


class Observer:
    """Hears of the tasks of every manager, and may change where they run.

    It is for tests: a server has none, and then no request asks. Methods are called in the thread
    in which something happens, and must not raise.
    """

    #: Whether it is shown each task as it is added; if not, `task_added` and `executor_for` are
    #: called for some tasks only.
    every: bool = False
    #: Whether durable executors store tasks before the first byte of the response.
    holds: bool = True

    def task_added(self, host: Any, task: BackgroundTask) -> None:
        """A task was added, and not refused, in a function that is on the stack."""

    def executor_for(self, batch: Any, executor: Any) -> Any:
        """The executor that a batch is given to, which still names the one it was meant for."""
        return executor

    def delay_for(self, task: BackgroundTask, delay: float) -> float:
        """The seconds that a task which failed waits for its next attempt."""
        return delay

    def failed(self, task: BackgroundTask, error: BaseException) -> None:
        """A task has failed, and is not tried again."""

    def not_run(self, host: Any, kind: str, task: BackgroundTask, reason: str) -> None:
        """A task did not run to its end.

        Args:
            host: its manager; None if it never had one.
            kind: ``"dropped"``, ``"interrupted"`` or ``"lost"``.
            task: the task.
            reason: one line for people.
        """


class Strictness:
    """Whether every application is strict, whatever its own option says."""

    on: bool = False


strictness = Strictness()
#: Copied where it is iterated over: another thread's test client may leave it meanwhile.
observers: list[Observer] = []
#: Every manager that there is: one that is older than an observer has to show it its tasks.
hosts: WeakSet[Any] = WeakSet()


def executor_for(batch: Any) -> Any:
    """The executor that a batch is to be given to."""
    executor = batch.executor
    for observer in tuple(observers):
        executor = observer.executor_for(batch, executor)
    return executor


def observe(observer: Observer) -> None:
    """Have an observer hear of tasks from now on."""
    observers.append(observer)
    if observer.every:
        for host in list(hosts):
            host.look_at_each_task()


def unobserve(observer: Observer) -> None:
    """Have an observer hear of nothing more."""
    observers.remove(observer)
