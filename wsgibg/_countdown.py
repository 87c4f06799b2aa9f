"""A function that is called when others have ended."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

__all__ = ["Countdown"]


class Countdown:
    """Calls a function when it was itself called a number of times."""

    def __init__(self, count: int, after: Callable[[], None]) -> None:
        self._left = count
        self._after = after
        self._lock = Lock()

    def __call__(self) -> None:
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last:
            self._after()
