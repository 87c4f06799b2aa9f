"""What an application is, and who carries its tasks."""

from __future__ import annotations

from typing import Any

from wsgibg.app import App
from wsgibg.embedding import WrappedApp
from wsgibg.manager import TaskManager

__all__ = ["kind_of", "tasks_of"]


def kind_of(app: Any) -> str:
    """The name of an application's kind, with its package unless it is ours.

    Args:
        app: a WSGI application.

    Example:
        >>> kind_of(App())
        'App'
    """
    if isinstance(app, App):
        return type(app).__name__
    if isinstance(app, WrappedApp):
        return f"wrap({kind_of(app.app)})"
    kind = app if hasattr(app, "__code__") else type(app)
    package = kind.__module__.partition(".")[0]
    inner = getattr(app, "wsgi_app", None)
    name = f"{package}.{kind.__qualname__}"
    return f"{name}, wrapped" if isinstance(inner, WrappedApp) else name


def tasks_of(app: Any) -> TaskManager | None:
    """The manager of an application's tasks; none, if it has no background tasks of ours.

    Args:
        app: a WSGI application, or an object that has one as ``wsgi_app`` (Flask's).
    """
    for each in (app, getattr(app, "wsgi_app", None)):
        manager = getattr(each, "tasks", None)
        if isinstance(manager, TaskManager):
            return manager
    return None
