"""Who carries the tasks of an application from the end of a request to an executor."""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from signal import SIGTERM
from time import monotonic
from typing import Any, Literal

from wsgibg._aio import lending_possible
from wsgibg._attempt import leave_batch, raised_by_signal, report
from wsgibg._countdown import Countdown
from wsgibg._running import follow_patch
from wsgibg._signals import drain_at
from wsgibg.background import (
    BackgroundTask,
    BackgroundTasks,
    request_collector,
    seal,
    source_var,
)
from wsgibg.exceptions import TaskRefused
from wsgibg.executors import Executor
from wsgibg.records import RETURNED, Outcome, TaskEvent, When

__all__ = ["AfterTaskError", "TaskHook", "TaskManager"]

log: logging.Logger = logging.getLogger("wsgibg.background")

AfterTaskError = Literal["continue", "stop"]
TaskHook = Callable[[TaskEvent], object]


class TaskManager:
    """Knows the executors and the hooks, and hands over what requests collected.

    An `App` and a `wrap` have one each (``app.tasks``); one made by hand may be given to
    several (``App(tasks=manager)``), which then share executors and hooks.

    Args:
        executor: where tasks run that name no executor.
        executors: further executors, by the names that ``task(executor=...)`` uses.
        after_task_error: ``"continue"`` with the next task when one fails, or ``"stop"`` the
            batch as Starlette does.
        async_inline: whether async tasks that cannot suspend may run in the thread of their
            batch, which borrows the event loop for them.

    Example:
        >>> from wsgibg import App
        >>> app = App()
        >>> seen = []
        >>> _ = app.tasks.on_task(lambda event: seen.append(event.kind))
    """

    def __init__(
        self,
        executor: Executor,
        *,
        executors: Mapping[str, Executor] | None = None,
        after_task_error: AfterTaskError = "continue",
        async_inline: bool = True,
    ) -> None:
        if after_task_error not in ("continue", "stop"):
            msg = f'after_task_error={after_task_error!r}: use "continue" or "stop".'
            raise ValueError(msg)
        _check_executor("executor", executor)
        for name, each in (executors or {}).items():
            _check_executor(f"executors[{name!r}]", each)
        self.executor = executor
        self.executors: dict[str, Executor] = dict(executors or {})
        self.stop_on_error: bool = after_task_error == "stop"
        self.lends: bool = async_inline and lending_possible()
        self.watched: bool = False
        self._hooks: list[TaskHook] = []
        #: Whether it was warned that another manager's options hold for its tasks.
        self._told = False
        self._started: set[Executor] = set()
        #: Whether any executor has to hold a batch before the first byte.
        self.holds: bool = any(each.durable for each in (executor, *self.executors.values()))
        #: Whether each task is to be shown to its executor as it is added.
        self.checks: bool = self.holds or any(
            type(each).check is not Executor.check for each in (executor, *self.executors.values())
        )

    # -------------------------------------------------------------- hooks
    def on_task(self, hook: TaskHook) -> TaskHook:
        """Have a function called with a `TaskEvent` whenever something happens to a task.

        A hook that raises is logged and harms no task.

        Args:
            hook: called in the thread in which the event happens.

        Returns:
            The hook, so that this can be used as a decorator.
        """
        self._hooks.append(hook)
        self.watched = True
        return hook

    def record(self, event: TaskEvent) -> None:
        """Give an event to every hook; what one raises is logged, ``SystemExit`` as well.

        Raises:
            BaseException: only what a signal handler raised meanwhile, which is the server's.
        """
        for hook in self._hooks:
            try:
                hook(event)
            except BaseException as error:
                if not isinstance(error, Exception) and raised_by_signal(error):
                    raise
                log.exception("A task hook failed: %r.", hook, extra={"task_id": event.task.id})

    # -------------------------------------------------------------- executors
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

    def accept(self, task: BackgroundTask) -> None:
        """Refuse, in `add_task`, a task that its executor cannot carry."""
        executor = self.executor_of(task)
        executor.check(task)
        if executor.durable:  # it may be known from the task's options alone
            self.holds = True

    def _start(self, executor: Executor) -> None:
        if executor not in self._started:
            # Made where it is first used: one that is older than gevent's patch, and held by a
            # greenlet that waits, would stop the whole worker.
            with self.__dict__.setdefault("_starting", threading.Lock()):
                if executor not in self._started:
                    follow_patch()
                    executor.start(self)
                    self._started.add(executor)

    def resolve(self, name: str) -> Callable[..., Any]:
        """The function that ``module:qualified.name`` names."""
        module, _, path = name.partition(":")
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
        target: Callable[..., Any] = found
        return target

    # -------------------------------------------------------------- the end of a request
    def hold(self, tasks: BackgroundTasks, outcome: Outcome = RETURNED) -> None:
        """Have durable executors store what the request collected, before the first byte.

        Raises:
            Exception: an executor could not store it; the client must not be told it was.
        """
        wanted = [
            task
            for task in tuple(tasks.tasks)
            if task not in tasks.held and outcome.suits(_condition(task))
        ]
        for executor, batch in self._sorted(wanted):
            if executor.durable:
                self._start(executor)
                executor.hold(batch)
                tasks.held += tuple(batch.tasks)

    def submit(
        self,
        tasks: BackgroundTasks,
        outcome: Outcome = RETURNED,
        after: Callable[[], None] | None = None,
    ) -> None:
        """Hand what a request collected to the executors, and drop what does not apply.

        Args:
            tasks: the request's collector; it becomes the executor's batch.
            outcome: how the request ended.
            after: called once when all tasks had their first attempt.
        """
        if not tasks.has_options and outcome is RETURNED:
            if after is not None:
                tasks.after = after
            executor = self.executor
            # PERF: as `_give` does, written out: 0.06 µs a request.
            tasks.host = self
            tasks.executor = executor
            try:
                if executor not in self._started:
                    self._start(executor)
                executor.submit(tasks)
            except Exception as error:  # noqa: BLE001 (told of each task)
                self._not_taken(tasks, executor, error)
            return
        left = seal(tasks)
        batches = self._sorted(self.applicable(left, outcome, tasks.held))
        left.clear()
        if batches:  # what a task adds to the request's collector joins the first
            tasks.hand_on_to(batches[0][1])
        elif after is not None:
            after()
        if len(batches) > 1 and after is not None:
            after = Countdown(len(batches), after)
        for executor, batch in batches:
            batch.outcome = outcome
            batch.after = after
            self._give(batch, executor)

    def _give(self, batch: BackgroundTasks, executor: Executor) -> None:
        """Give a batch to its executor."""
        batch.host = self
        batch.executor = executor
        try:
            if executor not in self._started:
                self._start(executor)
            executor.submit(batch)
        except Exception as error:  # noqa: BLE001 (told of each task)
            self._not_taken(batch, executor, error)

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

    def _all(self) -> Iterable[Executor]:
        return dict.fromkeys((self.executor, *self.executors.values(), *self._started))

    def applicable(
        self,
        tasks: Sequence[BackgroundTask],
        outcome: Outcome,
        held: Container[BackgroundTask] = (),
    ) -> list[BackgroundTask]:
        """The tasks whose condition the outcome meets; the others are dropped.

        Args:
            tasks: what was collected.
            outcome: how the request ended.
            held: what durable executors hold, and are to discard.
        """
        kept = [task for task in tasks if outcome.suits(_condition(task))]
        dropped = [task for task in tasks if not outcome.suits(_condition(task))]
        for task in dropped:
            report(self, "dropped", task, outcome.why_not())
        for executor, batch in self._sorted(task for task in dropped if task in held):
            try:
                executor.discard(batch, outcome.why_not())
            except Exception:
                log.exception("%r could not discard %r.", executor, batch.tasks)
        return kept

    def give_outwards(
        self, tasks: BackgroundTasks, outcome: Outcome, outer: BackgroundTasks, manager: TaskManager
    ) -> None:
        """Leave what a request collected to the request around it.

        Args:
            tasks: the inner request's collector.
            outcome: how the inner request ended.
            outer: the collector of the request around it, which is not over.
            manager: who carries that one's tasks.
        """
        left = seal(tasks)
        for task in self.applicable(left, outcome, tasks.held):
            task.context.run(source_var.set, outer)
            options = task.options
            if options is not None and options.when == "error":
                # It was asked how this request ended; the one around it may well succeed.
                task._options = replace(options, when="always")
            try:
                outer.adopt_all([task])
            except TaskRefused as refusal:
                report(self, "lost", task, str(refusal))
        left.clear()
        if not self._told and self._differs_from(manager):
            self._told = True
            log.warning(
                "An application inside another has task options of its own; its tasks run"
                " by those of the outermost. Give both the same TaskManager to be clear."
            )

    def _differs_from(self, other: TaskManager) -> bool:
        """Whether its tasks would run in another way under the other manager."""
        return self is not other and (
            type(self.executor) is not type(other.executor)
            or self.stop_on_error is not other.stop_on_error
            or bool(self.executors)
        )

    def reroute(self, batch: BackgroundTasks, task: BackgroundTask) -> bool:
        """Submit apart a task, added while its batch ran, that is not this batch's to run.

        It is where its options name another executor, or a condition that the request did not
        meet. A task that leaves both open goes on with the batch of the task that added it.
        """
        options = task.options
        if options is None:
            return False
        outcome = RETURNED if options.when == "returned" else batch.outcome
        stays = options.executor is None or self.executor_of(task) is batch.executor
        if stays and outcome.suits(options.when):
            return False
        batch.ended = task  # from here on it is the other batch's to report
        apart = request_collector(None)
        apart.tasks.append(task)
        apart.has_options = True
        self.submit(apart, outcome)
        return True

    def _not_taken(self, batch: BackgroundTasks, executor: Executor, error: Exception) -> None:
        """Tell of a batch that its executor refused, and leave what waits for its tasks."""
        log.error("%r did not take a batch of tasks.", executor, exc_info=error)
        for task in seal(batch):
            report(self, "lost", task, f"its executor failed ({error!r})")
        leave_batch(batch)

    def _sorted(self, tasks: Iterable[BackgroundTask]) -> list[tuple[Executor, BackgroundTasks]]:
        """One batch for each executor, each in order."""
        batches: dict[Executor, BackgroundTasks] = {}
        for task in tasks:
            executor = self.executor_of(task)
            if executor not in batches:
                batches[executor] = request_collector(self, asks=self.checks)
            batches[executor].tasks.append(task)
            # Inside the task, current_tasks() is its batch; the request's collector is closed.
            task.context.run(source_var.set, batches[executor])
        return list(batches.items())


def _condition(task: BackgroundTask) -> When:
    return "returned" if task.options is None else task.options.when


def _check_executor(option: str, executor: Any) -> None:
    """Refuse what is no executor where it is given, not at the end of the first request."""
    if isinstance(executor, Executor):
        return
    remedy = "Pass an instance of an Executor class, such as InlineExecutor()."
    if isinstance(executor, type) and issubclass(executor, Executor):
        remedy = f"Make one: {executor.__name__}()."
    msg = f"{option}={executor!r} is not an executor. {remedy}"
    raise TypeError(msg)
