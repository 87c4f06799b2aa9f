"""The application context that each attempt of a task runs in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from typing import Any
from weakref import WeakSet

from flask import Flask, has_request_context

from wsgibg.background import BackgroundTask, BackgroundTasks, source_var
from wsgibg.integrations.flask._snapshot import RequestSnapshot, snapshot_var, snapshots_of
from wsgibg.manager import TaskManager

__all__ = ["carry"]

#: Flask's own variables. Their names are older than their places, and outlast them.
_APP, _REQUEST = "flask.app_ctx", "flask.request_ctx"
#: The application that a task was added in.
_app_var: ContextVar[Flask | None] = ContextVar("wsgibg.flask.app", default=None)


class _AppContexts:
    """Pushes a context of a task's application, and pops it: what is torn down then, is."""

    def __init__(self) -> None:
        #: The applications whose tasks the manager carries.
        self.apps: WeakSet[Flask] = WeakSet()

    @contextmanager
    def __call__(self, task: BackgroundTask) -> Iterator[None]:
        """Surround an attempt; a task that does not know its application has the only one."""
        del task
        app = _app_var.get()
        if app is None and len(self.apps) == 1:
            (app,) = self.apps
        if app is None:
            yield
        else:
            with app.app_context():
                yield


def carry(manager: TaskManager, app: Flask | None = None) -> None:
    """Have the tasks that a manager carries run in contexts of their Flask applications.

    Args:
        manager: the manager.
        app: an application whose tasks it carries.
    """
    found = [each for each in manager.surroundings if isinstance(each, _AppContexts)]
    if found:
        contexts = found[0]
    else:
        contexts = _AppContexts()
        manager.around_task(contexts)
        manager.prepare_task(detach)
    if app is not None:
        contexts.apps.add(app)


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
