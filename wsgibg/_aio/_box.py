"""Callbacks that other threads leave for the event loop's thread."""

from __future__ import annotations

import contextlib
import os
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable
from typing import Any

__all__ = ["Box"]


class _Pipe:
    """Both ends of a pipe, which are closed when nobody has this any more.

    Not before: a thread that is just writing has it, and the number of a descriptor that is closed
    may be another file's a moment later.
    """

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(self.writer, False)

    def fill(self) -> None:
        """Make it readable; where it is full, it is that."""
        with contextlib.suppress(BlockingIOError):
            os.write(self.writer, b"\0")

    def empty(self) -> None:
        """Read what is there."""
        os.read(self.reader, 4096)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:  # (os may be gone)
        close(self.reader)
        close(self.writer)


class Box:
    """A queue of callbacks, and a pipe by which the loop is woken to empty it.

    PERF: asyncio's own way, `call_soon_threadsafe`, makes a handle, reads its socket until that
    raises, and gets to the callback's work one round later: a hop takes 34 µs of the processor's
    time with it and 29 without.

    Args:
        loop: must have readers; this is called in its thread.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.left: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self.pipe: _Pipe | None = _Pipe()
        loop.add_reader(self.pipe.reader, self.empty, self.pipe)

    def put(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        """Have a callback called on the loop's thread; it must not raise.

        Raises:
            ValueError: the box is closed.
        """
        self.left.append((callback, args))
        pipe = self.pipe
        if pipe is None:
            msg = "the box is closed"
            raise ValueError(msg)
        # Every time, although one byte would do: who was to write it may have been interrupted.
        pipe.fill()

    def empty(self, pipe: _Pipe) -> None:
        """Call what is there."""
        pipe.empty()
        while self.left:
            callback, args = self.left.popleft()
            callback(*args)

    def close(self) -> None:
        """Take nothing more; the loop is closed by now."""
        self.pipe = None
