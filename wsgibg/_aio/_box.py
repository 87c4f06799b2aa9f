"""Callbacks that other threads leave for the event loop's thread."""

from __future__ import annotations

import os
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable
from io import FileIO
from typing import Any

__all__ = ["Box"]


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
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        # As objects: a descriptor's bare number may be another file's once it is closed.
        self.reader, self.writer = FileIO(reader), FileIO(writer, "w")
        loop.add_reader(reader, self.empty)

    def put(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        """Have a callback called on the loop's thread; it must not raise.

        Raises:
            ValueError: the box is closed.
        """
        self.left.append((callback, args))
        # Every time, although one byte would do: who was to write it may have been interrupted.
        # (If the pipe is full, nothing is written, and need not be.)
        self.writer.write(b"\0")

    def empty(self) -> None:
        """Call what is there."""
        self.reader.read(4096)
        while self.left:
            callback, args = self.left.popleft()
            callback(*args)

    def close(self) -> None:
        """Take nothing more; the loop is closed by now."""
        self.reader.close()
        self.writer.close()
