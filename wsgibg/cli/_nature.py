"""What an application is, and who carries its tasks."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from wsgibg.app import App
from wsgibg.embedding import WrappedApp
from wsgibg.manager import TaskManager

__all__ = ["Carrier", "carrier_of", "kind_of"]


#: The integrations, which are looked for and never imported here.
_FLASK = "wsgibg.integrations.flask"
_DJANGO = "wsgibg.integrations.django"


class Carrier(NamedTuple):
    """Who carries an application's tasks.

    Args:
        way: how the application has them: ``App``, ``wrap``, ``wsgi_app`` (that is wrapped),
            ``Flask`` or ``Django`` (by the integration).
        tasks: the manager.
    """

    way: str
    tasks: TaskManager


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


def carrier_of(app: Any) -> Carrier | None:
    """Who carries an application's tasks; none, if it has no background tasks of ours.

    Args:
        app: a WSGI application, or an object that has one as ``wsgi_app`` (Flask's).
    """
    inner = getattr(app, "wsgi_app", None)
    if isinstance(app, App):
        return Carrier("App", app.tasks)
    if isinstance(app, WrappedApp):
        return Carrier("wrap", app.tasks)
    if isinstance(inner, WrappedApp):
        ours = type(inner).__module__.startswith(_FLASK)
        return Carrier("Flask" if ours else "wsgi_app", inner.tasks)
    # Whoever has our middleware in the settings has loaded the module by now.
    django = sys.modules.get(_DJANGO)
    if django is not None and type(app).__module__.startswith("django."):
        return Carrier("Django", django.task_manager())
    return None
