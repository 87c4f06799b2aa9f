"""Coroutines as objects: how messages name one, how one is given up."""

from __future__ import annotations

__all__ = ["describe", "discard"]


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
