"""A collector for any WSGI application, in one line around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from io import IOBase
from typing import Any, Self

from werkzeug.wsgi import ClosingIterator

from wsgibg._calling import Calling
from wsgibg._ending import is_whole, rescue
from wsgibg._forwarding import HasTasks
from wsgibg._injector import Injector
from wsgibg._scope import RequestScope
from wsgibg.background import source_var
from wsgibg.exception_handlers import ExceptionHandlers, text_of
from wsgibg.executors import Executor
from wsgibg.executors.inline import InlineExecutor
from wsgibg.manager import AfterTaskError, TaskManager

__all__ = ["WrappedApp", "wrap"]

WSGIApp = Callable[..., Any]
_CHUNK_SIZE = 64 * 1024


class _ForeignScope(RequestScope):
    """A request of an application that is not ours: a collector, and nothing else."""

    def inside(self, step: Callable[..., Any], *args: Any) -> Any:
        """Run a step of the application with this as its request.

        The variable is set in the application's own context, and taken back: one thread may serve
        several responses by turns.
        """
        before = source_var.get()
        source_var.set(self)
        try:
            return step(*args)
        finally:
            source_var.set(before)

    def end_foreign(self, *, delivered: bool) -> None:
        """Hand the tasks over; the application has ended its own request by now."""
        if not self.ended:
            self.ended = True
            self.hand_over(delivered=delivered)


class ForeignEnding(ClosingIterator):
    """A foreign application's body; closing it closes the body, then ends the request."""

    def __init__(self, body: Iterable[bytes], scope: _ForeignScope) -> None:
        self._body = body
        chunks: Iterable[bytes] = body
        if isinstance(body, IOBase):  # a bare file is iterated by lines, however short or long
            chunks = iter(partial(body.read, _CHUNK_SIZE), b"")
        self._iterator = scope.inside(iter, chunks)
        self._scope: _ForeignScope | None = scope
        self._exhausted = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        if self._scope is None:
            raise StopIteration
        try:
            chunk: bytes = self._scope.inside(next, self._iterator)
        except StopIteration:
            self._exhausted = True
            raise
        return chunk

    def close(self) -> None:
        """Close the body, then hand the tasks over, once."""
        scope, self._scope = self._scope, None
        if scope is None:
            return
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                scope.inside(close)
        finally:
            scope.end_foreign(delivered=self._exhausted or _is_spent(self._iterator))

    def __del__(self) -> None:
        # (a body that cannot be iterated fails before there is a scope)
        if getattr(self, "_scope", None) is not None and self._scope is not None:
            rescue(self._scope, self.close)


def _is_spent(iterator: Any) -> bool:
    """Whether the iterator of a list or tuple has given everything."""
    hint = getattr(iterator, "__length_hint__", None)
    return hint is not None and hint() == 0


class WrappedApp(Calling, HasTasks):
    """A WSGI application whose requests have a collector; made by `wrap`.

    Args:
        app: the application.
        tasks: who carries its tasks.
        strict: see `wrap`.
    """

    def __init__(self, app: WSGIApp, tasks: TaskManager, *, strict: bool = False) -> None:
        self.app = app
        self.tasks = tasks
        self.injector: Injector = Injector(self)
        self.tasks.injector = self.tasks.injector or self.injector
        self.handlers: ExceptionHandlers = ExceptionHandlers()
        self.debug: bool = False
        self.strict: bool = strict
        self.tasks.strict = self.tasks.strict or strict

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Answer a request (PEP 3333)."""
        outer = environ.get("wsgibg.tasks")
        if outer is not None and isinstance(outer.sink, _ForeignScope):
            return self.app(environ, start_response)  # wrapped twice: the outer one carries them
        scope = _ForeignScope()
        scope.environ = environ
        scope.owner = self
        tasks = environ["wsgibg.tasks"] = scope.collector()
        scope.outer = outer
        body: Any = None
        try:
            body = scope.inside(self.app, environ, start_response)
            if not tasks.tasks and is_whole(body, environ):
                scope.forget()
                return body
            if self.tasks.holds and tasks.tasks:
                self.tasks.hold(tasks)
            return ForeignEnding(body, scope)
        except BaseException as error:
            scope.failure = f"its request failed ({text_of(error)})"
            if hasattr(body, "close"):
                scope.inside(body.close)
            scope.end_foreign(delivered=False)
            raise


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
    return WrappedApp(app, tasks, strict=strict)
