"""The `TaskManager` of a Django project, made from its settings."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, ParamSpec
from weakref import WeakSet

from django.core.signals import setting_changed

from wsgibg._calling import Calling, Injecting
from wsgibg._forwarding import HasTasks
from wsgibg._injector import Injector
from wsgibg._overrides import Overridable, Overrides
from wsgibg._report import report
from wsgibg.background import (
    BackgroundTask,
    BackgroundTasks,
    TaskOptions,
    current_tasks,
    request_collector,
    source_var,
)
from wsgibg.exception_handlers import ExceptionHandlers
from wsgibg.executors import Executor
from wsgibg.integrations.django._settings import Options, read_options
from wsgibg.integrations.django._surroundings import (
    lend_thread,
    remember_thread,
    surround,
)
from wsgibg.integrations.django._transactions import (
    Parked,
    settled,
    using_var,
    verdict_on,
    wait_for_commit,
    waits_of,
)
from wsgibg.manager import AfterTaskError, TaskHook, TaskManager
from wsgibg.records import RETURNED, Outcome

__all__ = ["CommitTasks", "DjangoTaskManager", "Project", "on_commit", "project", "task_manager"]

P = ParamSpec("P")
log = logging.getLogger("wsgibg.background")


class DjangoTaskManager(TaskManager):
    """A `TaskManager` whose tasks wait for the transactions that they were added in.

    Args:
        executor: where tasks run that name no executor.
        executors: further executors, by name.
        after_task_error: ``"continue"`` or ``"stop"`` when a task fails.
    """

    def __init__(
        self,
        executor: Executor,
        *,
        executors: dict[str, Executor] | None = None,
        after_task_error: AfterTaskError = "continue",
    ) -> None:
        super().__init__(executor, executors=executors, after_task_error=after_task_error)
        carried_by(self)

    # -------------------------------------------------------------- adding
    def check(self, task: BackgroundTask, injector: Injecting | None = None) -> None:
        """Refuse a task that cannot be carried; have others wait for their transactions."""
        super().check(task, injector)
        remember_thread(task)
        wait_for_commit(task)

    # -------------------------------------------------------------- the end of a request
    def hold(self, tasks: BackgroundTasks, outcome: Outcome = RETURNED) -> None:
        """Have durable executors store what was committed; see `TaskManager.hold`."""
        self._settle(tasks, outcome)
        super().hold(tasks, outcome)

    def submit(
        self,
        tasks: BackgroundTasks,
        outcome: Outcome = RETURNED,
        after: Callable[[], None] | None = None,
    ) -> None:
        """Hand over what was committed; see `TaskManager.submit`."""
        self._settle(tasks, outcome)
        super().submit(tasks, outcome, after)

    def give_outwards(
        self, tasks: BackgroundTasks, outcome: Outcome, outer: BackgroundTasks, manager: TaskManager
    ) -> None:
        """Leave what was committed to the request around; see `TaskManager.give_outwards`."""
        self._settle(tasks, outcome)
        super().give_outwards(tasks, outcome, outer, manager)

    def reroute(self, batch: BackgroundTasks, task: BackgroundTask) -> bool:
        """Pass over a task that another task has added, and whose transaction came to nothing."""
        if waits_of(task) and not self._goes_on(task, batch.outcome, batch):
            batch.ended = task
            return True
        return super().reroute(batch, task)

    def _settle(self, tasks: BackgroundTasks, outcome: Outcome) -> None:
        """Take out of a collector what was rolled back, and what is not committed yet."""
        for task in tuple(tasks.tasks):
            if waits_of(task) and not self._goes_on(task, outcome, tasks):
                tasks.tasks.remove(task)

    def _goes_on(self, task: BackgroundTask, outcome: Outcome, tasks: BackgroundTasks) -> bool:
        """Whether a task is to go on with the others; if not, it is dropped here, or parked."""
        waits = waits_of(task)
        verdict, alias = verdict_on(waits)
        reason = f"its transaction on the database {alias!r} was rolled back"
        if verdict == "open" and outcome.lets(task):
            Parked(task, waits, self._submit_alone, partial(self._drop, reason=reason))
            return False
        settled(task)
        if verdict != "rolled back" or outcome.failure:
            return True
        if not self.applicable([task], Outcome(reason, outcome.delivered), tasks.held):
            return False
        # It is for errors, and the request itself is well.
        task._options = replace(task.options or TaskOptions(), when="always")
        return True

    def _submit_alone(self, task: BackgroundTask) -> None:
        """Hand over a task whose transaction has outlasted its request."""
        apart = request_collector(self, asks=True)
        apart.tasks.append(task)
        apart.has_options = True
        task.context.run(source_var.set, apart)
        lend_thread(task)
        super().submit(apart)

    def _drop(self, task: BackgroundTask, reason: str) -> None:
        """Report a task whose transaction was rolled back after its request."""
        report(self, "dropped", task, reason)

    def warn_of_two(self, message: str) -> None:
        """Say once that a project collects its tasks in two places."""
        if not self._told:
            self._told = True
            log.warning(message)


# ------------------------------------------------------------------ the project's own
class Project(Calling, HasTasks, Overridable):
    """Who owns the requests of a Django project, as an `App` owns its own; see `project`.

    Args:
        options: what the setting says.
    """

    def __init__(self, options: Options) -> None:
        self.manager: DjangoTaskManager = DjangoTaskManager(
            options.executor,
            executors=options.executors,
            after_task_error=options.after_task_error,
        )
        self.tasks: TaskManager = self.manager
        self._overrides = Overrides(self._forget_plans)
        self.injector: Injector = Injector(self, self._overrides)
        self.tasks.injector = self.injector
        self.tasks.strict = options.strict
        self.handlers: ExceptionHandlers = ExceptionHandlers()
        self.debug: bool = False
        self.strict: bool = options.strict

    def _forget_plans(self) -> None:
        self.injector.forget()


#: The one of this process, until its settings change.
_current: dict[str, Project] = {}
#: Everybody who carries tasks of the project, and what is to hear of them.
_carriers: WeakSet[TaskManager] = WeakSet()
_hooks: list[TaskHook] = []


def project() -> Project:
    """The project's counterpart of an `App`, made from its settings on first use.

    Returns:
        It has ``tasks`` (what `task_manager` gives), ``call()``, ``drain()``, ``shutdown()`` and
        ``dependency_overrides``.

    Raises:
        ImproperlyConfigured: the setting ``WSGIBG`` is wrong.
    """
    # Of two that two threads make at the same moment, one is kept.
    return _current.get("project") or _current.setdefault("project", Project(read_options()))


def task_manager() -> TaskManager:
    """The project's `TaskManager`, for hooks, records and draining.

    Returns:
        The one that the settings describe; it is made on first use.

    Raises:
        ImproperlyConfigured: the setting ``WSGIBG`` is wrong.
    """
    return project().tasks


def manager_of(tasks: BackgroundTasks) -> TaskManager:
    """Who carries what is added to a collector: of a request, or of a batch that is running."""
    sink: Any = tasks.sink
    manager: TaskManager = sink.owner.tasks if hasattr(sink, "owner") else sink
    return manager


def carried_by(manager: TaskManager) -> None:
    """Have tasks that a manager runs find what Django gives requests, and the hooks hear."""
    if manager not in _carriers:
        _carriers.add(manager)
        manager.around_task(surround)
        for hook in _hooks:
            manager.on_task(hook)


def hear(hook: TaskHook) -> None:
    """Have a hook hear of the project's tasks, whoever carries them."""
    if hook not in _hooks:
        _hooks.append(hook)
        for manager in tuple(_carriers):
            manager.on_task(hook)


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "WSGIBG":
        _current.clear()


setting_changed.connect(_forget, dispatch_uid="wsgibg")


# ------------------------------------------------------------------ which transaction
class CommitTasks:
    """Adds tasks that wait for chosen transactions; made by `on_commit`."""

    def __init__(self, using: tuple[str, ...]) -> None:
        self._using = using

    def add_task(self, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> BackgroundTask:
        """Add a call to the request's collector; see `wsgibg.BackgroundTasks.add_task`."""
        tasks = current_tasks()
        knows_transactions = isinstance(manager_of(tasks), DjangoTaskManager)
        if not knows_transactions:
            msg = (
                f"on_commit({', '.join(map(repr, self._using))}) needs the middleware"
                ' "wsgibg.integrations.django.BackgroundTasksMiddleware", first in MIDDLEWARE.'
            )
            raise RuntimeError(msg)
        before = using_var.set(self._using)
        try:
            return tasks.add_task(func, *args, **kwargs)
        finally:
            using_var.reset(before)


def on_commit(using: str | Iterable[str] = "default") -> CommitTasks:
    """Choose the transactions that tasks wait for.

    Without this a task waits for every database that is inside ``atomic`` when it is added.

    Args:
        using: the alias of a database, or several. A database that is not inside ``atomic`` is
            not waited for, and with none at all the task runs whatever becomes of the
            transactions.

    Returns:
        Something with the method ``add_task``.

    Raises:
        RuntimeError: (from ``add_task``) this is no request that has the middleware.
        ConnectionDoesNotExist: (from ``add_task``) there is no such database.

    Example:
        >>> from wsgibg.integrations.django import on_commit
        >>> def pay(request, invoice):
        ...     on_commit(using="billing").add_task(print, "paid", invoice)
    """
    return CommitTasks((using,) if isinstance(using, str) else tuple(using))
