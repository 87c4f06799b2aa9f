"""The executors that a manager knows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from signal import SIGTERM
from time import monotonic
from typing import Any, cast

from wsgibg._observers import hosts, observers
from wsgibg._running import follow_patch
from wsgibg._signals import drain_at
from wsgibg.background import (
    CLOSED,
    BackgroundTask,
    BackgroundTasks,
    TaskSink,
    request_collector,
    source_var,
)
from wsgibg.exceptions import TaskRefused
from wsgibg.executors import Executor, TaskHost, check_executor, resolve

__all__ = ["ExecutorTable"]


class ExecutorTable:
    """One executor for all tasks that name none, and others by name; a manager is one.

    Args:
        executor: where tasks run that name no executor.
        executors: further executors, by name.

    Raises:
        TypeError: something is no executor.
    """

    #: Whether an application of its is strict.
    strict: bool = False

    def __init__(self, executor: Executor, executors: Mapping[str, Executor]) -> None:
        check_executor("executor", executor)
        if not isinstance(executors, Mapping):
            msg = (
                f"executors={executors!r} is no dictionary."
                ' Give each executor a name: {"slow": ThreadExecutor()}.'
            )
            raise TypeError(msg)
        for name, each in executors.items():
            check_executor(f"executors[{name!r}]", each)
        self.executor = executor
        self.executors: dict[str, Executor] = dict(executors)
        self._started: set[Executor] = set()
        #: Whether any executor has to hold a batch before the first byte.
        self.holds: bool = any(each.durable for each in (executor, *self.executors.values()))
        #: Whether each task is to be shown to its executor as it is added.
        self.checks: bool = self.holds or any(
            type(each).check is not Executor.check for each in (executor, *self.executors.values())
        )
        hosts.add(self)
        if any(observer.every for observer in observers):
            self.checks = True

    def executor_of(self, task: BackgroundTask) -> Executor:
        """The executor that a task's options name, or the default one.

        Raises:
            TaskRefused: no executor has that name.
        """
        wanted = None if task.options is None else task.options.executor
        if wanted is None:
            return self.executor
        if isinstance(wanted, Executor):
            return wanted
        try:
            return self.executors[wanted]
        except (KeyError, TypeError):
            known = ", ".join(map(repr, self.executors)) or "none"
            msg = (
                f"{task.name} asks for the executor {wanted!r}; the app knows {known}."
                f" Name it in App(executors={{{wanted!r}: ...}})."
            )
            raise TaskRefused(msg) from None

    def _start(self, executor: Executor) -> None:
        if executor not in self._started:
            # Made where it is first used: one that is older than gevent's patch, and held by a
            # greenlet that waits, would stop the whole worker.
            with self.__dict__.setdefault("_starting", threading.Lock()):
                if executor not in self._started:
                    follow_patch()
                    executor.start(cast(TaskHost, self))  # a manager is one
                    self._started.add(executor)

    def drain(self, timeout: float = 25.0) -> list[BackgroundTask]:
        """Wait for the tasks that were handed to executors.

        Args:
            timeout: seconds to wait at most.

        Returns:
            The tasks that had not ended by then.
        """
        deadline = monotonic() + timeout
        left: list[BackgroundTask] = []
        for executor in self._all():
            left += executor.drain(max(0.0, deadline - monotonic()))
        return left

    def shutdown(self) -> list[BackgroundTask]:
        """Have every executor end; tasks that are handed over from now on run inline.

        Executors with a pool first drain it, for as long as their ``drain_timeout`` says, and
        report what is left. It may be called while requests still arrive, and more than once.

        Returns:
            The tasks that had not ended by then.
        """
        return [task for executor in self._all() for task in executor.shutdown()]

    def install_signal_handlers(self, signals: Iterable[int] = (SIGTERM,)) -> None:
        """Have signals that would end the process at once drain it first; see `wsgibg.App`."""
        drain_at(signals)

    def resolve(self, name: str) -> Callable[..., Any]:
        """The function that ``module:qualified.name`` names."""
        return resolve(name)

    def _all(self) -> Iterable[Executor]:
        return dict.fromkeys((self.executor, *self.executors.values(), *self._started))

    def _sorted(
        self, tasks: Iterable[BackgroundTask], sink: TaskSink | None = None
    ) -> list[tuple[Executor, BackgroundTasks]]:
        """One batch for each executor, each in order.

        Args:
            tasks: what to divide.
            sink: who is asked about what is added to the batches; by default this.
        """
        if sink is None or sink is CLOSED:
            sink = cast(TaskSink, self)
        batches: dict[Executor, BackgroundTasks] = {}
        for task in tasks:
            executor = self.executor_of(task)
            if executor not in batches:
                batches[executor] = request_collector(sink, asks=self.checks)
            batches[executor].tasks.append(task)
            if task.special:
                batches[executor].has_options = True
            # Inside the task, current_tasks() is its batch; the request's collector is closed.
            task.context.run(source_var.set, batches[executor])
        return list(batches.items())
