"""A Flask application inside of its own collector."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from typing import Any

from flask import Flask, current_app
from werkzeug.exceptions import HTTPException

from wsgibg._foreign import ForeignTasks, current_scope
from wsgibg._injector import Injector
from wsgibg.background import BackgroundTasks, ask_always
from wsgibg.embedding import WrappedApp
from wsgibg.exception_handlers import text_of
from wsgibg.integrations.flask._context import carry
from wsgibg.manager import TaskManager

__all__ = ["ServedFlask"]

_KEY = "wsgibg.tasks"


class ServedFlask(WrappedApp):
    """A Flask application whose requests have a collector, and which is wrapped in place.

    Args:
        flask: the application.
        tasks: who carries its tasks.
        strict: see `wsgibg.wrap`.
    """

    def __init__(self, flask: Flask, tasks: TaskManager, *, strict: bool) -> None:
        super().__init__(flask.wsgi_app, tasks, strict=strict)
        injector = _InContext(self, self._overrides)
        if tasks.injector is self.injector:
            tasks.injector = injector
        self.injector = injector
        self.flask = injector.flask = flask
        carry(tasks, flask)
        flask.wsgi_app = self  # type: ignore[method-assign]
        for name in ("handle_user_exception", "handle_exception"):
            setattr(flask, name, _giving_up(getattr(flask, name)))

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Answer a request; where an application around this one has it, that one runs tasks."""
        if _KEY in environ:
            self._join(environ[_KEY])
        return super().__call__(environ, start_response)

    def _join(self, outer: BackgroundTasks) -> None:
        """Have the manager of the application around this one run tasks in their contexts, too."""
        app = outer.app if isinstance(outer, ForeignTasks) else getattr(outer.sink, "owner", None)
        if app is not None:
            carry(app.tasks, self.flask)
            ask_always(outer)  # it may have been made before that


class _InContext(Injector):
    """Calls functions in a context of the application, if there is none yet."""

    flask: Flask

    def call(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function at once; see `wsgibg._calling.Calling.call`."""
        with nullcontext() if current_app == self.flask else self.flask.app_context():
            return super().call(func, args, kwargs)


def _giving_up(handle: Callable[..., Any]) -> Callable[..., Any]:
    """A method of Flask that answers for an error, and drops the tasks of what has failed."""

    @wraps(handle)
    def giving_up(*args: Any) -> Any:
        error = args[-1]  # Flask 3.2 passes its context first
        scope = current_scope()
        if scope is not None and _is_failure(error):
            scope.give_up(f"its request failed ({text_of(error)})")
        return handle(*args)

    return giving_up


def _is_failure(error: BaseException) -> bool:
    """Whether it is an error; a redirect can be raised as well."""
    if not isinstance(error, HTTPException):
        return True
    code = error.code if error.response is None else error.response.status_code
    return code is None or code >= 400
