"""A collector for any WSGI application, in one line around it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from werkzeug.wsgi import FileWrapper

from wsgibg._calling import Calling
from wsgibg._ending import is_whole
from wsgibg._foreign import ForeignEnding, ForeignTasks, WatchedEnding, chunks_of, drop_tasks
from wsgibg._forwarding import HasTasks, check_options
from wsgibg._inject import ViewValidationError, inject
from wsgibg._injector import Injector
from wsgibg._overrides import Overridable, Overrides
from wsgibg._signature import place_of
from wsgibg.background import source_var
from wsgibg.exception_handlers import ExceptionHandlers
from wsgibg.executors import Executor
from wsgibg.executors.inline import InlineExecutor
from wsgibg.manager import AfterTaskError, TaskManager

__all__ = [
    "ViewValidationError",
    "WrappedApp",
    "drop_tasks",
    "inject",
    "wrap",
]

log: logging.Logger = logging.getLogger("wsgibg.app")

WSGIApp = Callable[..., Any]
#: Where bare WSGI code finds the collector.
_KEY = "wsgibg.tasks"
#: How many classes of bodies a wrapped application remembers.
_MAX_CLASSES = 100
_new = object.__new__
_set, _reset = source_var.set, source_var.reset


class WrappedApp(Calling, HasTasks, Overridable):
    """A WSGI application whose requests have a collector; made by `wrap`.

    Args:
        app: the application.
        tasks: who carries its tasks.
        strict: see `wrap`.
    """

    def __init__(self, app: WSGIApp, tasks: TaskManager, *, strict: bool = False) -> None:
        self.app = app
        self.tasks = tasks
        self._overrides = Overrides(self._forget_plans)
        self.injector: Injector = Injector(self, self._overrides)
        self.tasks.injector = self.tasks.injector or self.injector
        self.handlers: ExceptionHandlers = ExceptionHandlers()
        self.debug: bool = False
        self.strict: bool = strict
        self.tasks.strict = self.tasks.strict or strict
        self._told = False
        #: By the class of a body, whether no code of the application runs while it is sent.
        self._kinds: dict[type, bool] = {list: True, tuple: True, FileWrapper: True}

    def _forget_plans(self) -> None:
        self.injector.forget()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Answer a request (PEP 3333)."""
        tasks = _new(ForeignTasks)
        tasks.environ = environ
        tasks.app = self
        tasks._sink = None
        if _KEY in environ:
            outer = environ[_KEY]
            if isinstance(outer, ForeignTasks) and outer.environ is not None:
                return self._wrapped_again(environ, start_response)
            tasks.outer = outer
        environ[_KEY] = tasks
        # In the application's own context, and taken back: one thread may serve several
        # responses by turns, and Django keeps caches in it.
        token = _set(tasks)
        body: Any = None
        try:
            body = self.app(environ, start_response)
            try:
                # PERF: most bodies are of a class that is known by then: 0.4 µs.
                whole = self._kinds[type(body)]
            except KeyError:
                whole = self._is_whole(body, environ)
            if whole:
                tasks.environ = None
                if tasks._sink is None or not self._is_left(tasks):
                    return body
                iterator = chunks_of(body)
            else:
                iterator = iter(body)
                if tasks._sink is not None:
                    self._is_left(tasks)
            ending = _new(ForeignEnding if tasks._sink is None else WatchedEnding)
            ending._body = body
            ending._iterator = iterator
            ending._tasks = tasks
            return ending
        except BaseException as error:
            self._fail(body, tasks, error)
            raise
        finally:
            _reset(token)

    def _wrapped_again(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Answer a request of an application around this one, which carries the tasks."""
        if not self._told:
            self._told = True
            log.warning(
                "%s is wrapped twice: the outermost wrap() carries its tasks, and this one's"
                " executors, hooks and overrides are not used. Drop one of the two.",
                place_of(self.app),
            )
        return self.app(environ, start_response)

    def _is_whole(self, body: Any, environ: dict[str, Any]) -> bool:
        """Whether no code of the application runs any more; the class is noted."""
        if isinstance(body, _NO_BODIES) or not _can_be_iterated(body):
            raise TypeError(f"{place_of(self.app)} returned {_why_not(body)}") from None
        whole = is_whole(body, environ)
        if len(self._kinds) < _MAX_CLASSES:
            self._kinds[type(body)] = whole
        return whole

    def _is_left(self, tasks: ForeignTasks) -> bool:
        """Whether something is left to do after a body; what must be safe before, is."""
        scope = tasks.scope
        if scope is None:
            return False
        if tasks.tasks:
            if self.tasks.holds:
                self.tasks.hold(tasks)
            return True
        if scope.exits is not None:
            return True
        if tasks.environ is None:
            scope.forget()
        return False

    def _fail(self, body: Any, tasks: ForeignTasks, error: BaseException) -> None:
        try:
            if hasattr(body, "close"):
                body.close()
        finally:
            tasks.environ = None
            scope = tasks.scope
            if scope is not None:
                scope.fail(error)
                scope.end_foreign(delivered=False, error=error)


#: What people return by mistake; text and bytes can be iterated, but give no chunks.
_NO_BODIES = (str, bytes, bytearray)


def _can_be_iterated(body: Any) -> bool:
    return hasattr(body, "__iter__") or hasattr(body, "__getitem__")


def _why_not(body: Any) -> str:
    """What is wrong with what an application returned, and what to do."""
    if body is None:
        return "None instead of an iterable of bytes. Does it lack a `return`?"
    if isinstance(body, str):
        return "text. Return a list of bytes: [text.encode()]."
    if isinstance(body, _NO_BODIES):
        return "bytes, which are iterated by numbers. Put them into a list: [body]."
    return f"{body!r}, which is no iterable of bytes. Return a list of bytes."


def wrap(
    app: WSGIApp,
    *,
    executor: Executor | None = None,
    executors: Mapping[str, Executor] | None = None,
    tasks: TaskManager | None = None,
    after_task_error: AfterTaskError = "continue",
    strict: bool = False,
) -> WrappedApp:
    """Give the requests of any WSGI application a collector of background tasks.

    In the application `current_tasks` is the collector of its request, from a view, a model or
    a library; bare WSGI code finds it as ``environ["wsgibg.tasks"]``.

    Args:
        app: the application (Flask's, Django's, Pyramid's, Bottle's or any other).
        executor: where tasks run; by default in the response's ``close()``.
        executors: further executors, by name.
        tasks: a `TaskManager` instead of the options above, to share one.
        after_task_error: ``"continue"`` or ``"stop"`` when a task fails.
        strict: whether what is only warned of raises instead.

    Returns:
        A WSGI application with ``tasks``, ``call()``, ``drain()`` and ``shutdown()``.

    Raises:
        TypeError: something that was given is not what it should be.

    Example:
        >>> from wsgibg import current_tasks, wrap
        >>> def hello(environ, start_response):
        ...     current_tasks().add_task(print, "after the response")
        ...     start_response("200 OK", [("Content-Type", "text/plain")])
        ...     return [b"hello"]
        >>> app = wrap(hello)
    """
    if not callable(app) or isinstance(app, type):
        msg = f"wrap({app!r}): it takes a WSGI application, such as Flask's app.wsgi_app."
        raise TypeError(msg)
    check_options(tasks, strict)
    if tasks is None:
        tasks = TaskManager(
            executor or InlineExecutor(), executors=executors, after_task_error=after_task_error
        )
    return WrappedApp(app, tasks, strict=strict)
