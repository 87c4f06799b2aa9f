"""A collector for any WSGI application, in one line around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from io import IOBase
from typing import Any, Self

from werkzeug.wsgi import ClosingIterator

from wsgibg._ending import rescue
from wsgibg._scope import RequestScope
from wsgibg.background import BackgroundTask, source_var
from wsgibg.exception_handlers import ExceptionHandlers
from wsgibg.executors import Executor
from wsgibg.executors.inline import InlineExecutor
from wsgibg.manager import AfterTaskError, TaskManager

__all__ = ["WrappedApp", "wrap"]

WSGIApp = Callable[..., Any]
_CHUNK_SIZE = 64 * 1024


class _ForeignScope(RequestScope):
    """A request of an application that is not ours: a collector, and nothing else."""

    def end_foreign(self, *, delivered: bool) -> None:
        """Hand the tasks over; the application has ended its own request by now."""
        if self.ended:
            return
        self.ended = True
        self.hand_over(delivered=delivered)


class ForeignEnding(ClosingIterator):
    """A foreign application's body; closing it closes the body, then ends the request."""

    def __init__(self, body: Iterable[bytes], scope: _ForeignScope) -> None:
        self._scope: _ForeignScope | None = None  # the response is not yet answered for
        self._body = body
        chunks: Iterable[bytes] = body
        if isinstance(body, IOBase):  # a bare file is iterated by lines, however short or long
            chunks = iter(partial(body.read, _CHUNK_SIZE), b"")
        self._iterator = iter(chunks)
        self._scope = scope
        self._exhausted = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._iterator)
        except StopIteration:
            self._exhausted = True
            raise

    def close(self) -> None:
        """Close the body, then hand the tasks over, once."""
        scope, self._scope = self._scope, None
        if scope is None:
            return
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            _leave(scope)
            scope.end_foreign(delivered=self._exhausted or _is_spent(self._iterator))

    def __del__(self) -> None:
        if self._scope is not None:
            rescue(self._scope, self.close)


def _is_spent(iterator: Any) -> bool:
    """Whether the iterator of a list or tuple has given everything."""
    hint = getattr(iterator, "__length_hint__", None)
    return hint is not None and hint() == 0


def _leave(scope: _ForeignScope) -> None:
    if source_var.get() is scope:
        source_var.set(scope.outer)


class WrappedApp:
    """A WSGI application whose requests have a collector; made by `wrap`.

    Args:
        app: the application.
        tasks: who carries its tasks.
    """

    def __init__(self, app: WSGIApp, tasks: TaskManager) -> None:
        self.app = app
        self.tasks = tasks
        self.handlers: ExceptionHandlers = ExceptionHandlers()
        self.debug: bool = False

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Answer a request (PEP 3333)."""
        outer = source_var.get()
        if isinstance(outer, _ForeignScope) and outer.environ is environ and not outer.ended:
            return self.app(environ, start_response)  # wrapped twice: the outer one carries them
        if isinstance(outer, _ForeignScope) and outer.ended:
            outer = None  # a request that nobody closed left its variable behind
        scope = _ForeignScope()
        scope.environ = environ
        scope.owner = self
        scope.outer = outer
        # The one variable that is set in the application's own context, and taken back.
        source_var.set(scope)
        environ["wsgibg.tasks"] = scope.collector()
        try:
            body = self.app(environ, start_response)
            tasks = scope.collector()
            if not tasks.tasks and _is_whole(body, environ):
                _leave(scope)
                scope.forget()
                return body
            if self.tasks.holds and tasks.tasks:
                self.tasks.hold(tasks)
            return ForeignEnding(body, scope)
        except BaseException as error:
            _leave(scope)
            scope.failure = f"its request failed ({type(error).__name__}: {error})"
            scope.end_foreign(delivered=False)
            raise

    def drain(self, timeout: float = 25.0) -> list[BackgroundTask]:
        """Wait for the tasks that were handed to executors; see `TaskManager.drain`."""
        return self.tasks.drain(timeout)


def _is_whole(body: Any, environ: Mapping[str, Any]) -> bool:
    """Whether no code of the application runs any more while the body is sent."""
    if type(body) in (list, tuple) or isinstance(body, IOBase):  # uWSGI's wrapper is the file
        return True
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(body, wrapper)


def wrap(
    app: WSGIApp,
    *,
    executor: Executor | None = None,
    executors: Mapping[str, Executor] | None = None,
    tasks: TaskManager | None = None,
    after_task_error: AfterTaskError = "continue",
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

    Returns:
        A WSGI application with ``tasks`` and ``drain()``.

    Example:
        >>> from wsgibg import current_tasks, wrap
        >>> def hello(environ, start_response):
        ...     current_tasks().add_task(print, "after the response")
        ...     start_response("200 OK", [("Content-Type", "text/plain")])
        ...     return [b"hello"]
        >>> app = wrap(hello)
    """
    if tasks is None:
        tasks = TaskManager(
            executor or InlineExecutor(), executors=executors, after_task_error=after_task_error
        )
    return WrappedApp(app, tasks)
