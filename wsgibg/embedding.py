"""A collector for any WSGI application, in one line around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from io import IOBase
from threading import RLock
from typing import Any

from werkzeug.wsgi import ClosingIterator, FileWrapper

from wsgibg._calling import Calling
from wsgibg._ending import is_whole, rescue
from wsgibg._forwarding import HasTasks
from wsgibg._injector import Injector
from wsgibg._scope import RequestScope
from wsgibg.background import BackgroundTask, BackgroundTasks, TaskSink, seal, source_var
from wsgibg.exception_handlers import ExceptionHandlers, text_of
from wsgibg.executors import Executor
from wsgibg.executors.inline import InlineExecutor
from wsgibg.manager import AfterTaskError, TaskManager

__all__ = ["WrappedApp", "wrap"]

WSGIApp = Callable[..., Any]
_CHUNK_SIZE = 64 * 1024
#: Where bare WSGI code finds the collector.
_KEY = "wsgibg.tasks"
#: How many classes of bodies a wrapped application remembers.
_MAX_CLASSES = 100
_END: Any = object()
#: What takes the place of an iterator that has come to its end.
_SPENT: Iterator[bytes] = iter(())
_new = object.__new__
_set, _reset = source_var.set, source_var.reset
#: Reentrant: a signal's handler may ask for the same collector.
_making = RLock()


class _List:
    """The list of a collector until it is there; then the instance's own is found first."""

    def __get__(self, tasks: ForeignTasks, kind: object) -> list[BackgroundTask]:
        tasks.sink  # noqa: B018 (makes it)
        return tasks.tasks


class ForeignTasks(BackgroundTasks):
    """The collector of a request of an application that is not ours, and what leads to it.

    Most requests add no task. So this is all that is made for one; its scope, its list and who
    is asked about tasks come when somebody looks for them.
    """

    # PERF: what each request sets and reads has slots: 0.15 µs.
    __slots__ = ("_sink", "app", "environ")

    #: The request; None when it was over before anybody had asked. (Its environ has this
    #: collector: together they would be a cycle.)
    environ: dict[str, Any] | None
    #: Who wraps its application.
    app: WrappedApp
    #: The collector of the request around this one.
    outer: BackgroundTasks | None = None
    tasks = _List()
    # Asked about the first task, it says whether it wants to be asked about others.
    asks = True
    _sink: TaskSink | None

    @property
    def sink(self) -> TaskSink:
        """The request's scope, until the request is over."""
        return self._sink or self._open()

    @sink.setter
    def sink(self, sink: TaskSink) -> None:
        self._sink = sink

    @property
    def scope(self) -> ForeignScope | None:
        """The request's scope, if anybody has asked for it, and the request is not over."""
        return self._sink if isinstance(self._sink, ForeignScope) else None

    def _open(self) -> TaskSink:
        with _making:
            if self._sink is None:
                self.tasks = []
                self.asks = self.app.tasks.checks
                self._sink = ForeignScope(self)
                # Whoever ends the request says so, then looks here; this is the other way round.
                if self.environ is None:
                    seal(self)
        return self._sink


del ForeignTasks.__del__  # type: ignore[attr-defined]  # (a request watches over it)


class ForeignScope(RequestScope):
    """A request of an application that is not ours, about whose tasks somebody has asked."""

    def __init__(self, tasks: ForeignTasks) -> None:
        self.tasks = tasks
        self.environ = tasks.environ or {}
        self.owner = tasks.app
        self.outer = tasks.outer

    def fail(self, error: BaseException) -> None:
        """Note that the application failed, or could not be answered for."""
        self.failure = f"its request failed ({text_of(error)})"

    def end_foreign(self, *, delivered: bool) -> None:
        """Hand the tasks over; the application has ended its own request by now."""
        if not self.ended:
            self.ended = True
            self.hand_over(delivered=delivered)


class ForeignEnding(ClosingIterator):
    """A foreign application's body; closing it closes the body, then ends the request.

    Args:
        body: what the application returned.
        iterator: its iterator.
        tasks: the request's collector, which is the current one whenever the body's code runs.
    """

    # PERF: made where it is returned, with no __init__ and none of the base's lists: 0.6 µs.
    __slots__ = ("_body", "_iterator", "_tasks")

    _body: Any
    _iterator: Iterator[bytes]
    #: None once it is closed.
    _tasks: ForeignTasks | None

    __init__ = object.__init__

    # PERF: so the end of the body is no exception that passes through Python, 0.3 µs.
    def __iter__(self) -> Iterator[bytes]:  # type: ignore[override]
        return iter(self._step, _END)

    def __next__(self) -> bytes:
        chunk: bytes = self._step()
        if chunk is _END:
            raise StopIteration
        return chunk

    def _step(self) -> Any:
        """The next chunk, or what says that there is none."""
        tasks = self._tasks
        if tasks is None:
            return _END
        token = _set(tasks)
        try:
            chunk = next(self._iterator, _END)
        finally:
            _reset(token)
        if tasks._sink is not None:
            self.__class__ = _WatchedEnding
        if chunk is _END:
            self._iterator = _SPENT
        return chunk

    def close(self) -> None:
        """Close the body, then hand the tasks over, once."""
        tasks, self._tasks = self._tasks, None
        if tasks is None:
            return
        token = _set(tasks)
        try:
            if (close := getattr(self._body, "close", None)) is not None:
                close()
        finally:
            _reset(token)
            tasks.environ = None
            if tasks._sink is not None and (scope := tasks.scope) is not None:
                scope.end_foreign(delivered=_is_spent(self._iterator))


class _WatchedEnding(ForeignEnding):
    """One with tasks, which are not lost with it. PERF: others need no finalizer, 0.1 µs."""

    __slots__ = ()

    def __del__(self) -> None:
        if self._tasks is not None and (scope := self._tasks.scope) is not None:
            rescue(scope, self.close)


def _chunks(body: Any) -> Iterator[bytes]:
    if isinstance(body, IOBase):  # a bare file is iterated by lines, however short or long
        return iter(partial(body.read, _CHUNK_SIZE), b"")
    return iter(body)


def _is_spent(iterator: Any) -> bool:
    """Whether an iterator has given everything, as far as it tells; a list's does."""
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
        #: By the class of a body, whether no code of the application runs while it is sent.
        self._kinds: dict[type, bool] = {list: True, tuple: True, FileWrapper: True}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Answer a request (PEP 3333)."""
        tasks = _new(ForeignTasks)
        tasks.environ = environ
        tasks.app = self
        tasks._sink = None
        if _KEY in environ:
            outer = environ[_KEY]
            if isinstance(outer, ForeignTasks) and outer.environ is not None:
                return self.app(environ, start_response)  # wrapped twice: the outer carries them
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
                iterator = _chunks(body)
            else:
                iterator = iter(body)
                if tasks._sink is not None:
                    self._is_left(tasks)
            ending = _new(ForeignEnding if tasks._sink is None else _WatchedEnding)
            ending._body = body
            ending._iterator = iterator
            ending._tasks = tasks
            return ending
        except BaseException as error:
            self._fail(body, tasks, error)
            raise
        finally:
            _reset(token)

    def _is_whole(self, body: Any, environ: dict[str, Any]) -> bool:
        """Whether no code of the application runs any more; the class is noted."""
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
        if tasks.environ is None:
            scope.forget()
        return False

    def _fail(self, body: Any, tasks: ForeignTasks, error: BaseException) -> None:
        if hasattr(body, "close"):
            body.close()
        tasks.environ = None
        scope = tasks.scope
        if scope is not None:
            scope.fail(error)
            scope.end_foreign(delivered=False)


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
