"""Coroutines as objects: named in messages, guarded, given up."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

__all__ = ["Outcome", "describe", "discard", "guarded"]

T = TypeVar("T")
Outcome = tuple[T | None, BaseException | None]


async def guarded(awaitable: Awaitable[T]) -> Outcome[T]:
    """Run to the end and return value and error.

    No error gets into the task itself: ``SystemExit`` would end the loop's thread. It is a plain
    function, because an error's traceback keeps this frame with all that it refers to.
    """
    try:
        return await awaitable, None
    except BaseException as error:  # noqa: BLE001 - returned, and raised by the waiting thread
        return None, error


def describe(awaitable: object) -> str:
    """Name a coroutine and its place: ``get_user() (shop/api.py:31)``."""
    code = getattr(awaitable, "cr_code", None)
    name = getattr(awaitable, "__qualname__", None) or type(awaitable).__qualname__
    return f"{name}() ({code.co_filename}:{code.co_firstlineno})" if code is not None else name


def discard(awaitable: object) -> None:
    """Close a coroutine that will not be run, so that it does not warn."""
    close = getattr(awaitable, "close", None)
    if close is not None:
        close()
