"""The backend that has Django's own tasks run by this project's executors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import iscoroutinefunction
from types import new_class
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured

from wsgibg._options import task as with_options
from wsgibg.background import CLOSED, BackgroundTask, BackgroundTasks, request_collector, source_var
from wsgibg.exceptions import TaskRefused
from wsgibg.integrations.django._manager import carried_by, hear, manager_of, task_manager
from wsgibg.integrations.django._results import Entry, new_result, results
from wsgibg.integrations.django._surroundings import lend_thread
from wsgibg.integrations.django._tasks_api import (
    BaseTaskBackend,
    TaskContext,
    available,
    normalize_json,
    signals,
)

__all__ = ["MISSING", "TasksBackend"]

B = TypeVar("B", bound=type)

MISSING = (
    "wsgibg.integrations.django.TasksBackend needs Django's tasks. They come with Django 6; before"
    " that, install the package django-tasks and import `task` from django_tasks."
)


class _Call:
    """The call of a Django task; logs name it like the task's own function."""

    entry: Entry

    def __init__(self, task: Any) -> None:
        self.task = task
        self.__module__ = task.func.__module__
        self.__name__ = task.func.__name__
        self.__qualname__ = task.func.__qualname__

    def stands_for(self) -> tuple[Any, Any, Any]:
        """The function and the arguments that it calls it with, for a test that asks."""
        result = self.entry.result
        return self.task.func, result.args, result.kwargs

    def made(self) -> Any:
        """What the function returns when it is called."""
        result = self.entry.result
        context = [TaskContext(task_result=result)] if self.task.takes_context else []
        return self.task.func(*context, *result.args, **result.kwargs)

    def __call__(self) -> Any:
        try:
            self.entry.returned(normalize_json(self.made()))
        except BaseException as error:
            self.entry.raised(error)
            raise


class _AsyncCall(_Call):
    """The same for an async function."""

    async def __call__(self) -> None:
        try:
            self.entry.returned(normalize_json(await self.made()))
        except BaseException as error:
            self.entry.raised(error)
            raise


def _current() -> BackgroundTasks | None:
    """The collector of the request or batch at hand, if one takes tasks."""
    source = source_var.get()
    tasks = None if source is None else source.collector()
    while tasks is not None and tasks.forward is not None:
        tasks = tasks.forward
    return None if tasks is None or tasks.sink is CLOSED else tasks


def _derived(ours: B) -> B:
    """Derive a class from Django's own as well, which has no types and need not be there."""
    named = {name: getattr(ours, name) for name in ("__doc__", "__module__", "__qualname__")}
    made: Any = new_class(
        ours.__name__, (ours, BaseTaskBackend), exec_body=lambda names: names.update(named)
    )
    derived: B = made
    return derived


@_derived
class TasksBackend:
    """Runs the tasks of ``django.tasks`` in this process, by the executors of ``WSGIBG``.

    In a request a task joins the request's collector: it runs after the response, and waits for
    the transaction that it was enqueued in. Outside one it goes to its executor at once or, inside
    ``atomic``, when that is committed. Results are kept in the process, those of tasks that have
    ended for the last thousand.

    ``OPTIONS`` are the options of `wsgibg.task` for every task of the backend, such as
    ``{"executor": "mail", "retries": 3}``.

    Args:
        alias: the backend's name in the setting ``TASKS``.
        params: what that says of it.

    Raises:
        ImproperlyConfigured: an option is wrong, or Django has no tasks: before Django 6 they
            are in the package django-tasks.
    """

    supports_async_task: bool = True
    supports_get_result: bool = True
    alias: str
    options: dict[str, Any]
    #: Django's own.
    validate_task: Callable[[Any], None]

    def __init__(self, alias: str, params: Mapping[str, Any]) -> None:
        if not available:
            raise ImproperlyConfigured(MISSING)
        super().__init__(alias, params)  # type: ignore[call-arg]  # (Django's)
        try:
            with_options(print, **self.options)
        except (TaskRefused, TypeError) as error:
            msg = f'TASKS[{alias!r}]["OPTIONS"] are not options of a task: {error}'
            raise ImproperlyConfigured(msg) from error
        hear(results.hear)

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Have a task run: after the response or, outside a request, now.

        Args:
            task: a ``django.tasks.Task``.
            args: its positional arguments, which JSON can express.
            kwargs: its keyword arguments.

        Returns:
            A ``TaskResult``; ``refresh()`` brings it up to date.

        Raises:
            InvalidTask: the task asks for what this backend cannot do.
            TaskRefused: the executor cannot carry it.
        """
        self.validate_task(task)
        call = _AsyncCall(task) if iscoroutinefunction(task.func) else _Call(task)
        made = BackgroundTask(with_options(call, **self.options) if self.options else call)
        entry = Entry(new_result(task, made.id, args, kwargs, self.alias), type(self))
        call.entry = entry
        tasks = _current()
        alone = tasks is None
        if tasks is None:
            tasks = request_collector(task_manager(), asks=True)
        manager = manager_of(tasks)
        carried_by(manager)
        results.put(made.id, entry)
        try:
            tasks.adopt(made)
        except BaseException:
            results.forget(made.id)
            raise
        signals.task_enqueued.send(type(self), task_result=entry.result)
        if alone:
            for added in tasks.tasks:
                lend_thread(added)
            tasks.has_options = True  # (what is around the project's tasks is around this one)
            manager.submit(tasks)
        return entry.snapshot()

    def get_result(self, result_id: str) -> Any:
        """The result of a task that was enqueued in this process.

        Args:
            result_id: its id, which is that of the background task as well.

        Raises:
            TaskResultDoesNotExist: it is not known here (any more).
        """
        return results.get(result_id)
