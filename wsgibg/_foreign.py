"""A request of an application that is not ours: its collector, its scope, and its end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from io import IOBase
from threading import RLock
from typing import Any

from werkzeug.wsgi import ClosingIterator

from wsgibg._attempt import raised_by_signal
from wsgibg._ending import rescue
from wsgibg._exits import Exit, leave_sync
from wsgibg._scope import Owner, RequestScope
from wsgibg.background import (
    BackgroundTask,
    BackgroundTasks,
    TaskSink,
    seal,
    source_var,
)
from wsgibg.exception_handlers import text_of
from wsgibg.records import Outcome

__all__ = [
    "ForeignEnding",
    "ForeignScope",
    "ForeignTasks",
    "WatchedEnding",
    "chunks_of",
    "current_scope",
    "drop_tasks",
]

log: logging.Logger = logging.getLogger("wsgibg.app")

_CHUNK_SIZE = 64 * 1024
_END: Any = object()
#: What takes the place of an iterator that has come to its end.
_SPENT: Iterator[bytes] = iter(())
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
    app: Owner
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
    """A request of an application that is not ours, about whose tasks somebody has asked.

    It has the exits of what `inject` has entered, too. Whoever drives one calls `broke` when the
    body raises, and `end_foreign` once, when the body is closed or the application has raised.
    """

    exits: list[Exit] | None = None
    late: list[Exit] | None = None
    failure: str = ""
    #: Whether a part of the application has failed, of which the rest makes an answer.
    gave_up: bool = False

    def __init__(self, tasks: ForeignTasks) -> None:
        self.tasks = tasks
        self.environ = tasks.environ or {}
        self.owner = tasks.app
        self.outer = tasks.outer

    def inside(self, step: Callable[..., Any], *args: Any) -> Any:
        """Run a step of the application with this as its request.

        The variable is set in the application's own context, and taken back: one thread may
        serve several responses by turns, and Django keeps caches in it.
        """
        token = _set(self.tasks)
        try:
            return step(*args)
        finally:
            _reset(token)

    def accept(self, task: BackgroundTask) -> None:
        """Look at a task as it is added; one for errors runs where there was one already."""
        super().accept(task)
        if self.gave_up:
            _keep(task)

    def give_up(self, reason: str) -> None:
        """Drop the tasks of what has failed, though the application goes on to make an answer.

        Those that wait for an error run, whatever the answer is, and what is added from now on
        is the answer's.

        Args:
            reason: what has failed.
        """
        self.gave_up = True
        self.drop(reason)

    def drop(self, reason: str, since: int = 0) -> None:
        """Drop the tasks of a part that has failed, but for those that wait for an error.

        Args:
            reason: what has failed.
            since: how many tasks were there before, which stay.
        """
        tasks = self.collector()
        added = tasks.tasks[since:]
        if added:
            del tasks.tasks[since : since + len(added)]
            kept = self.owner.tasks.applicable(added, Outcome(reason), tasks.held)
            for task in kept:
                _keep(task)
            tasks.tasks += kept

    def fail(self, error: BaseException) -> None:
        """Note that the application failed, or could not be answered for."""
        self.failure = f"its request failed ({text_of(error)})"

    def broke(self, error: BaseException) -> None:
        """Note that the body has raised, and show it to what was entered."""
        self.failure = f"its response broke ({text_of(error)})"
        if self.exits is not None:
            self._leave_foreign(error)

    def end_foreign(self, *, delivered: bool, error: BaseException | None = None) -> None:
        """Leave what was entered, then hand the tasks over; the application itself has ended.

        Args:
            delivered: whether the body was sent to its end.
            error: what the application has raised.

        Raises:
            BaseException: only what a signal handler raised during an exit, which is the server's.
        """
        after = left = None
        try:
            if self.exits is not None or self._request is not None:
                left = self._leave_foreign(error)
                after = self._after(copy_context())
            self.ended = True
            self.hand_over(delivered=delivered, after=after)
            if left is not None and not isinstance(left, Exception) and raised_by_signal(left):
                raise left
        except Exception as failure:  # noqa: BLE001 (told, with each task)
            self.end_failed(failure)
        finally:
            del error, left  # a traceback may keep this frame

    def _leave_foreign(self, error: BaseException | None) -> BaseException | None:
        """Run the exits that wait for the end of the response, or all that see an error; once.

        Returns:
            What an exit has raised.
        """
        exits, self.exits = self.exits or [], []
        if error is not None:
            exits, self.late = [*(self.late or ()), *exits], []
        left: BaseException | None = self.inside(leave_sync, exits, error)
        try:
            if left is None or left is error:
                return None
            log.error("An exit raised %s after the response.", text_of(left), exc_info=left)
            self.failure = self.failure or f"an exit of its request raised {text_of(left)}"
            return left
        finally:
            del error, left  # a traceback may keep this frame


def current_scope() -> ForeignScope | None:
    """The wrapped request that is being handled here, if there is one."""
    tasks = source_var.get()
    sink = tasks.sink if isinstance(tasks, ForeignTasks) else None
    return sink if isinstance(sink, ForeignScope) and not sink.ended else None


def drop_tasks(reason: str) -> None:
    """Drop the tasks that a wrapped request has collected so far, because its work was undone.

    For applications that make an answer of what has failed, so that `wrap` does not see it: when
    a transaction was rolled back, for example. Each task is dropped and logged, unless its
    ``when`` says ``"error"`` or ``"always"``. What is added later is not touched.

    Args:
        reason: what has happened, for the log.

    Raises:
        RuntimeError: no request of a wrapped application is being handled here.

    Example:
        >>> from wsgibg import current_tasks, wrap
        >>> from wsgibg.embedding import drop_tasks
        >>> def pay(environ, start_response):
        ...     current_tasks().add_task(print, "receipt")
        ...     drop_tasks("the card was refused")
        ...     start_response("402 Payment Required", [("Content-Type", "text/plain")])
        ...     return [b"sorry"]
        >>> app = wrap(pay)
    """
    scope = current_scope()
    if scope is None:
        msg = (
            "drop_tasks() was called where no wrapped request is being handled. Call it in an"
            " application inside wsgibg.wrap(); in an App raise an exception instead."
        )
        raise RuntimeError(msg)
    scope.give_up(reason)


def _keep(task: BackgroundTask) -> None:
    """Have a task that waits for an error run, whatever the answer is."""
    options = task.options
    if options is not None and options.when == "error":
        task._options = replace(options, when="always")


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
            if tasks._sink is not None:
                self._watch(tasks)
        except BaseException as error:
            self._broke(tasks, error)
            raise
        finally:
            _reset(token)
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
            self._close_body()
        finally:
            _reset(token)
            tasks.environ = None
            if tasks._sink is not None and (scope := tasks.scope) is not None:
                scope.end_foreign(delivered=_is_spent(self._iterator))

    def _close_body(self) -> None:
        body, self._body = self._body, None
        if (close := getattr(body, "close", None)) is not None:
            close()

    def _watch(self, tasks: ForeignTasks) -> None:
        """See that tasks are not lost, be it by a server or by the end of the process."""
        self.__class__ = WatchedEnding
        manager = tasks.app.tasks
        if manager.holds and tasks.tasks:
            manager.hold(tasks)  # before the chunk is sent; a generator begins with the first

    def _broke(self, tasks: ForeignTasks, error: BaseException) -> None:
        scope = tasks.scope
        if scope is None:
            return
        self.__class__ = WatchedEnding
        try:
            self._close_body()
        except Exception:
            log.exception("A body that had broken could not be closed.")
        finally:
            scope.broke(error)


class WatchedEnding(ForeignEnding):
    """One with tasks, which are not lost with it. PERF: others need no finalizer, 0.1 µs."""

    __slots__ = ()

    def __del__(self) -> None:
        if self._tasks is not None and (scope := self._tasks.scope) is not None:
            rescue(scope, self.close)


def chunks_of(body: Any) -> Iterator[bytes]:
    """What is to be sent of a body of which no code of the application runs any more."""
    if isinstance(body, IOBase):  # a bare file is iterated by lines, however short or long
        return iter(partial(body.read, _CHUNK_SIZE), b"")
    return iter(body)


def _is_spent(iterator: Any) -> bool:
    """Whether an iterator has given everything, as far as it tells; a list's does."""
    hint = getattr(iterator, "__length_hint__", None)
    return hint is not None and hint() == 0
