"""The response iterable of a request that has something left to do when it is sent."""

from __future__ import annotations

import _thread
import atexit
import logging
import sys
from collections.abc import Callable, Mapping
from contextvars import Context
from io import IOBase
from itertools import repeat
from operator import length_hint
from typing import Any, Protocol, Self

from werkzeug.wsgi import ClosingIterator, FileWrapper

from wsgibg._aio import run

__all__ = ["Ending", "StreamEnding", "is_whole", "rescue"]

log: logging.Logger = logging.getLogger("wsgibg.app")


def is_whole(body: Any, environ: Mapping[str, Any]) -> bool:
    """Whether no code of the application runs any more while a body is sent."""
    if type(body) in (list, tuple) or isinstance(body, (FileWrapper, IOBase)):
        return True  # (uWSGI's own wrapper gives the bare file)
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(body, wrapper)


class Endable(Protocol):
    """What is to be ended when the response is over."""

    def end(self, *, delivered: bool) -> None:
        """End the request; nothing but a signal's exception may come out."""

    def stream_failed(self, error: BaseException, context: Context) -> None:
        """The body broke: end what hangs on it before the server is told."""

    def rescued(self, close: Callable[[], None]) -> None:
        """Close a response that was thrown away, which ends the request."""


def rescue(scope: Endable, close: Callable[[], None]) -> None:
    """Close a response from a thread of its own; called where it is collected.

    Nothing may run in ``__del__`` itself: it can fire under anybody's lock, and
    ``threading.Thread.start`` takes some.

    Args:
        scope: the request.
        close: the response's own method, which keeps the response for as long as it takes.
    """
    if not sys.is_finalizing():
        done = _thread.allocate_lock()
        done.acquire()
        _rescues.append(done)
        try:
            _thread.start_new_thread(_rescue, (scope, close, done))
        except RuntimeError:  # the process has as many threads as it may have
            _rescues.remove(done)
        else:
            return
    scope.rescued(close)


def _rescue(scope: Endable, close: Callable[[], None], done: _thread.LockType) -> None:
    try:
        scope.rescued(close)
    finally:
        done.release()
        _rescues.remove(done)


#: A held lock for each rescue that is under way: the process waits for them before it ends.
_rescues: list[_thread.LockType] = []


def _wait_for_rescues(seconds: float = 25.0) -> None:
    for done in tuple(_rescues):
        done.acquire(timeout=seconds)


atexit.register(_wait_for_rescues)


_repeat: Any = repeat.__new__


class Ending(repeat, ClosingIterator):  # type: ignore[type-arg]  # (not when it runs)
    """One chunk (or none), and the end of its request as the one callback of ``close()``.

    It is Werkzeug's `ClosingIterator`, never a list: granian does not close those. And it is a
    `repeat` of its chunk, one time: whoever iterates without closing keeps it alive meanwhile,
    and it tells how much of it is left.

    Args:
        chunks: the body.
        scope: the request.
    """

    _scope: Endable | None = None

    # PERF: iterating runs no Python, 0.1 µs less than an __iter__ of ours.
    def __new__(cls, chunks: tuple[bytes, ...], scope: Endable) -> Self:
        """Make one, without the base's lists of callbacks."""
        ending: Self = _repeat(cls, chunks[0] if chunks else b"", len(chunks))
        ending._scope = scope
        return ending

    __init__ = object.__init__

    def close(self) -> None:
        """End the request, once."""
        scope, self._scope = self._scope, None
        if scope is not None:
            scope.end(delivered=length_hint(self) == 0)

    def __del__(self) -> None:
        if self._scope is not None:
            rescue(self._scope, self.close)


class StreamEnding(ClosingIterator):
    """A body that is made while it is sent, step by step in the request's context.

    Args:
        body: a sync or async iterable of bytes, or of text.
        scope: the request.
        context: its context.
        length: the promised ``Content-Length``, if there is one.
    """

    def __init__(self, body: Any, scope: Endable, context: Context, length: int | None) -> None:
        self._body = body
        self._scope: Endable | None = scope
        self._context: Context | None = context
        self._left = length
        self._exhausted = False
        self._asynchronous = hasattr(body, "__aiter__")
        self._iterator: Any = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        context = self._context
        if context is None or self._exhausted:
            raise StopIteration
        try:
            chunk = self._step(context)
        except (StopIteration, StopAsyncIteration):
            self._exhausted = True
            raise StopIteration from None
        except BaseException as error:
            scope = self._scope
            if scope is not None:
                try:
                    self._close_body()
                except Exception:
                    log.exception("A body that had broken could not be closed.")
                finally:
                    scope.stream_failed(error, context)
            raise
        if self._left is not None:
            self._left -= len(chunk)
        return chunk

    def _step(self, context: Context) -> bytes:
        if self._asynchronous:
            if self._iterator is None:
                self._iterator = self._body.__aiter__()
            chunk = run(self._iterator.__anext__(), context)
        else:
            if self._iterator is None:
                self._iterator = context.run(iter, self._body)
            chunk = context.run(next, self._iterator)
        return chunk.encode() if isinstance(chunk, str) else bytes(chunk)

    def close(self) -> None:
        """Close the body, then end the request, once."""
        scope, self._scope = self._scope, None
        if scope is None:
            return
        try:
            self._close_body()
        finally:
            self._context = self._body = self._iterator = None
            scope.end(delivered=self._exhausted or self._left == 0)

    def _close_body(self) -> None:
        body, self._body = self._body, None
        context = self._context
        if body is None or context is None:
            return
        if self._asynchronous:
            if hasattr(body, "aclose"):
                run(body.aclose(), context)
        elif hasattr(body, "close"):
            context.run(body.close)

    def __del__(self) -> None:
        if self._scope is not None:
            rescue(self._scope, self.close)
