"""The application context that each attempt of a task runs in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from typing import Any

from flask import Flask, has_request_context

from wsgibg.background import BackgroundTask, BackgroundTasks, source_var
from wsgibg.integrations.flask._snapshot import RequestSnapshot, snapshot_var, snapshots_of
from wsgibg.manager import TaskManager

__all__ = ["carry"]

#: Flask's own variables. Their names are older than their places, and outlast them.
_APP, _REQUEST = "flask.app_ctx", "flask.request_ctx"
#: The application that a task was added in.
_app_var: ContextVar[Flask | None] = ContextVar("wsgibg.flask.app", default=None)


def carry(manager: TaskManager) -> None:
    """Have the tasks that a manager carries run in contexts of their Flask applications."""
    if in_app_context not in manager.surroundings:
        manager.around_task(in_app_context)
        manager.prepare_task(detach)


@contextmanager
def in_app_context(task: BackgroundTask) -> Iterator[None]:
    """Push a context of the task's application, and pop it: what is torn down then, is."""
    del task
    app = _app_var.get()
    if app is None:
        yield
    else:
        with app.app_context():
            yield


def detach(task: BackgroundTask) -> None:
    """Take the request's contexts out of a task, and note what it may know of them.

    They are popped when the request is over: `request` and `g` would still be there, and be
    stale, and a waiting task would keep all that they refer to.
    """
    variables = dict(task.context.items())
    own = {each.name: variables.pop(each) for each in tuple(variables) if _is_flasks(each)}
    app = own[_APP].app if _APP in own else _served()
    if app is None:
        return
    wanted = snapshots_of(app)
    snapshot = wanted.take() if wanted is not None and has_request_context() else None
    task.context = _context_with(variables, app, snapshot)


def _is_flasks(variable: ContextVar[Any]) -> bool:
    return variable.name in (_APP, _REQUEST)


def _served() -> Flask | None:
    """The application of a request whose contexts are not there: a body that is being sent."""
    tasks = source_var.get()
    found = getattr(getattr(tasks, "app", None), "flask", None)
    return found if isinstance(tasks, BackgroundTasks) and isinstance(found, Flask) else None


def _context_with(
    variables: dict[ContextVar[Any], Any], app: Flask, snapshot: RequestSnapshot | None
) -> Context:
    """A context with these values; what is in one cannot be taken out again."""

    def fill() -> None:
        for variable, value in variables.items():
            variable.set(value)
        _app_var.set(app)
        if snapshot is not None:
            snapshot_var.set(snapshot)

    context = Context()
    context.run(fill)
    return context
