"""The second halves of ``yield`` dependencies, run last in, first out."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextvars import Context
from typing import Any

from wsgibg._aio import hop, lend
from wsgibg._calling import Around, unlimited
from wsgibg.exceptions import FastAPIError

__all__ = ["Exit", "enterable", "leave", "leave_sync", "swallowed", "thrown"]

#: A generator that stands at its ``yield``, and what it yielded.
Exit = tuple[Any, Any]
_END = object()


async def leave(
    exits: list[Exit], error: BaseException | None, *, lent: bool, around: Around = unlimited
) -> BaseException | None:
    """Run every exit; each sees the error that the one before left behind.

    Args:
        exits: the generators that were entered, in order; the list is emptied.
        error: what the request failed with, thrown into each; nothing if it succeeded.
        lent: whether async exits are stepped on the lent loop instead of by a hop.
        around: puts something around what they await.

    Returns:
        The error that is left: the given one, one that an exit raised instead, or nothing if
        there was none, or if an exit swallowed it.
    """
    try:
        while exits:
            if hasattr(exits[-1][0], "__anext__"):
                try:
                    error = await _leave_async(exits.pop()[0], error, lent, around)
                except BaseException as other:  # noqa: BLE001 (the caller decides about it)
                    error = other
            else:
                error = leave_sync([exits.pop()], error)
        return error
    finally:
        error = None  # a frame that holds its own exception is a cycle


def leave_sync(exits: list[Exit], error: BaseException | None = None) -> BaseException | None:
    """`leave` where every exit is sync, as most are: it needs no coroutine."""
    try:
        while exits:
            generator = exits.pop()[0]
            try:
                if error is None:
                    # PERF: the default spares the StopIteration, 0.15 µs an exit.
                    if next(generator, _END) is _END:
                        continue
                else:
                    generator.throw(error)
                generator.close()
                error = _second_yield(generator)
            except StopIteration as stop:
                # A StopIteration thrown in comes out again as itself: it was not swallowed.
                error = error if stop is error else None
            except RuntimeError as other:
                # PEP 479: a StopIteration thrown in comes out as the cause of a RuntimeError.
                error = error if error is not None and other.__cause__ is error else other
            except BaseException as other:  # noqa: BLE001 (the caller decides what becomes of it)
                error = other
        return error
    finally:
        error = None


async def _leave_async(
    generator: AsyncGenerator[Any, None], error: BaseException | None, lent: bool, around: Around
) -> BaseException | None:
    try:
        step = generator.__anext__() if error is None else thrown(generator, error)
        try:
            if lent:
                lend(step)
            else:
                await hop(around(step, leaving=True))
        except StopAsyncIteration as stop:
            return error if stop is error else None
        except RuntimeError as other:
            return error if error is not None and other.__cause__ is error else other
        if lent:
            lend(generator.aclose())
        else:
            await hop(around(generator.aclose(), leaving=True))
        return _second_yield(generator)
    finally:
        del error, step  # a frame that holds its own exception is a cycle


async def thrown(generator: AsyncGenerator[Any, None], error: BaseException) -> None:
    """`athrow` as a coroutine that lets go of the error: the bare awaitable would hold it."""
    try:
        await generator.athrow(error)
    finally:
        del error


def _second_yield(generator: Any) -> FastAPIError:
    name = getattr(generator, "__qualname__", repr(generator))
    return FastAPIError(f"The dependency {name}() yielded twice. It must yield exactly once.")


def swallowed(error: BaseException) -> FastAPIError:
    """What a request failed with when a dependency swallowed the reason."""
    failure = FastAPIError(
        f"The request is raising an exception and a dependency with yield swallows it, so there is"
        f" no response to send ({error!r}). Raise it again there, or raise an HTTPException."
    )
    failure.__cause__ = error
    return failure


def enterable(context: Context) -> Context:
    """A request's context, or a copy where a coroutine that will not end is still inside it."""
    try:
        context.run(bool)
    except RuntimeError:
        return context.copy()
    return context
