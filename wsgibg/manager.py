"""Who carries the tasks of an application from the end of a request to an executor."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any, Literal

from wsgibg import _attempt
from wsgibg._aio import lending_possible
from wsgibg._attached import Attached
from wsgibg._attempt import leave_batch
from wsgibg._calling import Around, Calling, Injecting, injecting, unlimited
from wsgibg._countdown import Countdown
from wsgibg._hooks import TaskHook
from wsgibg._ledger import Ledger
from wsgibg._observers import executor_for, observers
from wsgibg._report import endless, report
from wsgibg._running import attempt_of
from wsgibg.background import (
    BackgroundTask,
    BackgroundTasks,
    request_collector,
    seal,
    source_var,
)
from wsgibg.exceptions import TaskRefused
from wsgibg.executors import Executor
from wsgibg.executors._table import ExecutorTable
from wsgibg.records import RETURNED, Outcome, TaskEvent, TaskRecord

__all__ = ["AfterTaskError", "TaskHook", "TaskManager"]

log: logging.Logger = logging.getLogger("wsgibg.background")

AfterTaskError = Literal["continue", "stop"]


class TaskManager(Calling, Attached, ExecutorTable):
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
        injector: who resolves what tasks have injected: by default the first `App` or `wrap`
            that the manager is given to.

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
        injector: Injecting | None = None,
    ) -> None:
        if after_task_error not in ("continue", "stop"):
            msg = f'after_task_error={after_task_error!r}: use "continue" or "stop".'
            raise ValueError(msg)
        self.injector = injector
        ExecutorTable.__init__(self, executor, executors or {})
        self.stop_on_error: bool = after_task_error == "stop"
        self.lends: bool = async_inline and lending_possible()
        Attached.__init__(self)
        self._ledger = Ledger(self)
        #: Whether it was warned that another manager's options hold for its tasks.
        self._told = False

    # -------------------------------------------------------------- records
    def record(self, event: TaskEvent) -> None:
        """Take note of an event, and give it to every hook; what one raises is logged.

        Raises:
            BaseException: only what a signal handler raised meanwhile, which is the server's.
        """
        if self.watched or self._ledger.wants(event):
            self._ledger.note(event)
        self.hooks.tell(event)

    def get(self, id: str, *, arguments: bool = False) -> TaskRecord | None:
        """What is known of a task of this process.

        Args:
            id: the task's id.
            arguments: whether to show the task's arguments, as text.

        Returns:
            Its record, or None if it is not known: none of this process, long ended, or a plain
            task that succeeded before anybody had read its id.
        """
        return self._ledger.get(id, arguments=arguments)

    def recent(self, limit: int = 100) -> list[TaskRecord]:
        """The tasks that became known last, the newest first; see `get` for which are known.

        Args:
            limit: how many at most.

        Raises:
            ValueError: the limit is negative.
        """
        return self._ledger.recent(limit)

    def added(self, task: BackgroundTask) -> None:
        """Take note that a task was added, and not refused."""
        if self.watched or task.options is not None:
            self.record(TaskEvent("added", task))
        if observers:
            for observer in tuple(observers):
                observer.task_added(self, task)

    # -------------------------------------------------------------- adding
    def accept(self, task: BackgroundTask, injector: Injecting | None = None) -> None:
        """Refuse, in `add_task`, a task that cannot be carried; take note of others."""
        self.check(task, injector)
        self.added(task)

    def check(self, task: BackgroundTask, injector: Injecting | None = None) -> None:
        """Refuse, in `add_task`, a task that its executor or injector cannot carry."""
        if task.injected and not hasattr(task, "_injector"):
            injecting(injector or self.injector).accept(task)
        for look in self._looks:
            look(task)
        executor = self.executor_of(task)
        executor.check(task)
        if executor.durable:  # it may be known from the task's options alone
            self.holds = True

    def invoke(self, task: BackgroundTask, around: Around = unlimited) -> Any:
        """Make the call of a task that takes more than a call; see `TaskHost.invoke`."""
        injector = injecting(getattr(task, "_injector", self.injector))
        return injector.invoke(task, around, self.surroundings)

    # -------------------------------------------------------------- the end of a request
    def hold(self, tasks: BackgroundTasks, outcome: Outcome = RETURNED) -> None:
        """Have durable executors store what the request collected, before the first byte.

        Raises:
            Exception: an executor could not store it; the client must not be told it was.
        """
        if not all(observer.holds for observer in observers):
            return
        wanted = [
            task for task in tuple(tasks.tasks) if task not in tasks.held and outcome.lets(task)
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
            # PERF: as `give` does, written out: 0.06 µs a request.
            tasks.host = self
            tasks.executor = executor
            if self.watched:
                tasks.given = monotonic()
            try:
                if executor not in self._started:
                    self._start(executor)
                executor.submit(tasks)
            except Exception as error:  # noqa: BLE001 (told of each task)
                self._not_taken(tasks, executor, error)
            return
        sink = tasks.sink  # what a task adds is looked at as in the request
        left = seal(tasks)
        batches = self._sorted(self.applicable(left, outcome, tasks.held), sink)
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
            batch.generation = tasks.generation
            self.give(batch, executor)

    def give(self, batch: BackgroundTasks, executor: Executor) -> None:
        """Give a batch to its executor."""
        if self.surroundings:
            batch.has_options = True
        batch.host = self
        batch.executor = executor
        if self.watched:
            batch.given = monotonic()
        try:
            if observers:
                executor = executor_for(batch)
            if executor not in self._started:
                self._start(executor)
            executor.submit(batch)
        except Exception as error:  # noqa: BLE001 (told of each task)
            self._not_taken(batch, executor, error)

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
        kept = [task for task in tasks if outcome.lets(task)]
        dropped = [task for task in tasks if not outcome.lets(task)]
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
        self._ledger.follow(manager._ledger)
        left = seal(tasks)
        for task in self.applicable(left, outcome, tasks.held):
            task.context.run(source_var.set, outer)
            options = task.options
            if options is not None and options.when == "error":
                # It was asked how this request ended; the one around it may well succeed.
                task._options = replace(options, when="always")
            try:
                outer.adopt_all([task])
                self._ledger.leave(task)
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
        if reason := endless(batch, _attempt.MAX_ADDED):
            report(self, "lost", task, reason)
            return True
        apart = request_collector(batch.sink)
        apart.generation = batch.generation + 1
        apart.tasks.append(task)
        apart.has_options = True
        self.submit(apart, outcome)
        return True

    def _not_taken(self, batch: BackgroundTasks, executor: Executor, error: Exception) -> None:
        """Tell of a batch that its executor refused, and leave what waits for its tasks."""
        log.error("%r did not take a batch of tasks.", executor, exc_info=error)
        for task in seal(batch):
            report(self, "lost", task, f"its executor failed ({error!r})", attempt_of(task, batch))
        batch.retried = None
        leave_batch(batch)
