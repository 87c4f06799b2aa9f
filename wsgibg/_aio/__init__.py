"""Runs coroutines for threads that have no event loop of their own."""

from __future__ import annotations

import asyncio
import dis
import inspect
import sys
import threading
import types
from asyncio import CancelledError, _get_running_loop, _set_running_loop
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextvars import Context
from time import monotonic
from typing import Any, NoReturn, TypeVar

from wsgibg._aio._coroutines import describe, discard
from wsgibg._aio._lending import lending_possible
from wsgibg._aio._loop import Call, LoopShutdown, Portal, nothing, process
from wsgibg._aio._threads import hear_of_uwsgi_forks

__all__ = [
    "LoopShutdown",
    "can_suspend",
    "drive",
    "hop",
    "lend",
    "lending_possible",
    "limited",
    "run",
    "sequence",
    "shutdown",
    "step",
    "when_forked",
    "when_main_ends",
]

T = TypeVar("T")
Job = tuple[Context, Coroutine[Any, Any, Any]]

_SEND = dis.opmap.get("SEND")
_ASYNC = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR

# A sequence of tasks that never suspend lets the loop look at its other work this often.
_BREATH = 0.005


def can_suspend(func: Callable[..., Any]) -> bool:
    """Tell whether calling ``func`` can give something that suspends.

    A coroutine function or asynchronous generator function whose code has no ``SEND``
    instruction cannot: ``await``, ``async for`` and ``async with`` are the only ways to suspend,
    and each compiles to it. Everything unusual (a callable object, a partial, a wrapper that is
    not itself such a function) counts as "can", which is always safe.

    Args:
        func: a handler, dependency or task, as the user passed it; nothing is unwrapped.

    Example:
        >>> async def read_item(): return {"id": 1}
        >>> can_suspend(read_item)
        False
    """
    code = getattr(func, "__code__", None)
    if type(func) not in (types.FunctionType, types.MethodType) or type(code) is not types.CodeType:
        return True
    if _SEND is None or not code.co_flags & _ASYNC:
        return True
    return _SEND in code.co_code[::2]  # instruction, argument, instruction, ...; caches are zero


class _Hop:
    """What ``hop`` hands to the driver."""

    __slots__ = ("awaitable",)

    def __init__(self, awaitable: Awaitable[Any]) -> None:
        self.awaitable = awaitable


@types.coroutine
def hop(awaitable: Awaitable[T]) -> Generator[_Hop, T, T]:
    """Run ``awaitable`` on the loop, from code that ``drive`` runs: ``await hop(coroutine)``."""
    return (yield _Hop(awaitable))


def drive(code: Coroutine[Any, Any, T], context: Context) -> T:
    """Run ``code`` in this thread and in ``context``; what it hops runs on the loop.

    Args:
        code: a coroutine that awaits nothing but ``hop(...)``. Where it awaits nothing at all it
            ends in one step, and the loop is neither started nor touched.
        context: the request's; this thread must be outside it. Each awaitable is a task of its
            own in it, and meanwhile this thread is outside, so variables and tokens behave as if
            everything ran in one thread.

    Returns:
        What ``code`` returns.

    Raises:
        LoopShutdown: the loop was shut down under a hop.
        BaseException: what ``code`` raises; an interruption of this thread while it waited
            (``SystemExit``, ``KeyboardInterrupt``) is thrown into ``code``, so its exits run.
    """
    try:
        wanted = context.run(code.send, None)
        while True:
            value, error, context = _answer(wanted, context)
            if error is None:
                wanted = context.run(code.send, value)
                continue
            try:
                wanted = context.run(code.throw, error)
            finally:
                del error  # its traceback may keep this frame
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


def _answer(wanted: object, context: Context) -> tuple[Any, BaseException | None, Context]:
    """Run what the driven code waits for: its value, its error, and the context to go on in."""
    if type(wanted) is not _Hop:
        message = (
            f"{wanted!r} was awaited in code that runs in a server thread, where no event loop "
            f"runs: await hop(...) instead"
        )
        return None, RuntimeError(message), context
    try:
        portal = _waitable("drive")
    except RuntimeError as refused:
        discard(wanted.awaitable)
        return None, refused.with_traceback(None), context
    call = Call(portal, wanted.awaitable, context)
    error = call.wait()
    # A coroutine that refuses to be cancelled may enter the context at any time.
    return call.value, error, context if call.ended else context.copy()


def run(awaitable: Awaitable[T], context: Context) -> T:
    """Run one awaitable on the loop, as a task in ``context``, and wait for it.

    Args:
        awaitable: a coroutine, or what ``__anext__()`` gave.
        context: the request's; this thread must be outside it.

    Returns:
        What the awaitable returns.

    Raises:
        LoopShutdown: the loop was shut down meanwhile.
        RuntimeError: this thread is inside ``context``, or is the loop's; or the awaitable was
            cancelled from inside (``CancelledError`` would escape every server's error handling).
        BaseException: what the awaitable raises, or what interrupted this thread.
    """
    try:
        portal = _waitable("run")
        context.run(nothing)  # inside the context this raises; the task could never enter it
    except RuntimeError:
        discard(awaitable)
        raise
    return Call(portal, awaitable, context).result()


def step(code: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that does not suspend, without any loop.

    Raises:
        RuntimeError: it suspended all the same (it is closed).
    """
    try:
        code.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    code.close()
    raise RuntimeError(f"{describe(code)} awaits something where it has to end in one step")


def sequence(jobs: Iterator[Job], done: Callable[[BaseException | None], None]) -> None:
    """Run coroutines one after the other on the loop, in one hop and as one task.

    Args:
        jobs: pairs of a context and the coroutine to run in it. The next pair is taken on the
            loop's thread when the one before has ended. The calling thread may be inside any
            context but one of these.
        done: called on the loop's thread after each, with its error or None. It must not raise.

    Raises:
        LoopShutdown: the loop was shut down; the running coroutine was cancelled, no more taken.
        BaseException: what interrupted this thread, likewise.
    """
    call: Call[None] = Call(_waitable("sequence"), _in_turn(jobs, done, lambda: call), Context())
    call.result()


@types.coroutine
def _in_turn(
    jobs: Iterator[Job],
    done: Callable[[BaseException | None], None],
    whose: Callable[[], Call[None]],
) -> Generator[Any, Any, None]:
    """Run the coroutines inside the one task that runs this generator."""
    call, breath = whose(), monotonic()
    for context, code in jobs:
        call.subject = code
        error = yield from _stepped(context, code)
        if call.why is not None:
            _stop(done, error, call.why)
        done(error)
        del error  # its traceback leads back to this frame
        if call.task is not None and call.task.cancelling():
            yield from _calm(call, call.task)
        if monotonic() - breath > _BREATH:
            yield
            breath = monotonic()


def _stepped(
    context: Context, code: Coroutine[Any, Any, Any]
) -> Generator[Any, Any, BaseException | None]:
    """Step a coroutine in a context of its own to its end, and return its error."""
    move: Callable[[Any], Any] = code.send
    value = wanted = None
    try:
        while True:
            wanted = context.run(move, value)
            try:
                move, value = code.send, (yield wanted)
            except BaseException as thrown:  # noqa: BLE001 - thrown into the coroutine
                move, value = code.throw, thrown
    except StopIteration:
        return None
    except BaseException as error:  # noqa: BLE001 - reported by `done`
        code.close()  # it has not begun where somebody else is inside its context
        return error
    finally:
        del value, wanted  # an error's traceback keeps this frame


def _stop(
    done: Callable[[BaseException | None], None], error: BaseException | None, why: BaseException
) -> NoReturn:
    """End a sequence that was cancelled while a coroutine of it ran."""
    done(None if error is None else why)
    try:
        raise (why if error is None else CancelledError()) from error
    finally:
        del error, why  # the traceback keeps this frame


def _calm(call: Call[None], task: asyncio.Task[Any]) -> Generator[None, None, None]:
    """Undo a cancellation that a coroutine of the sequence asked for and did not wait for."""
    while task.cancelling():
        task.uncancel()
    try:
        yield
    except CancelledError:  # before 3.13 it comes all the same
        if call.why is not None:
            raise


def lend(code: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that cannot suspend in this thread, which for that moment *is* the loop.

    The running loop is the real one, and nothing else runs on it meanwhile; but
    ``current_task()`` is None and the thread's identity is this thread's.

    Args:
        code: a coroutine, or what an asynchronous generator's ``__anext__()``, ``athrow()`` or
            ``aclose()`` gave. It runs in the current context, which is the request's.

    Returns:
        What the coroutine returns.

    Raises:
        RuntimeError: it suspended all the same (it is closed), or the loop cannot be lent.
        BaseException: what the coroutine raises, ``StopAsyncIteration`` included.
    """
    # PERF: 0.8 to 1.1 us in all, against 21 to 33 of a hop (Python 3.11 to 3.13).
    portal = process.portal or process.start()
    outer = _get_running_loop()
    if outer is portal.loop:  # it is the loop's thread already, or has borrowed the loop
        return step(code)
    if not portal.lock.locked():
        return _borrow(portal, outer, code)
    turn = portal.turn()
    try:
        turn.wait()
        return _borrow(portal, outer, code)
    except BaseException:
        code.close()  # it has not begun where the wait was interrupted
        raise
    finally:
        turn.back.release()


def _borrow(
    portal: Portal, outer: asyncio.AbstractEventLoop | None, code: Coroutine[Any, Any, T]
) -> T:
    """Be the loop for one step.

    A signal handler may raise after any call, so what has to be undone is undone by ``with`` and
    ``finally``, each by a single call.
    """
    loop = portal.loop
    with portal.lock:
        loop.noted = False
        try:
            _set_running_loop(loop)
            code.send(None)
            code.close()
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        finally:
            try:
                _set_running_loop(outer)
            finally:
                if loop.noted:
                    loop.call_soon_threadsafe(nothing, context=portal.context)
    raise RuntimeError(f"{describe(code)} awaits something although its code has no await")


async def limited(awaitable: Awaitable[T], deadline: float) -> T:
    """Await something for so long, in a coroutine that runs on the loop.

    Args:
        awaitable: what is awaited.
        deadline: until when, by `time.monotonic`.

    Raises:
        TimeoutError: it was cancelled at the deadline.
    """
    async with asyncio.timeout_at(deadline):  # the loop's clock is `monotonic`
        return await awaitable


def shutdown(timeout: float) -> list[str]:
    """Stop the loop: let calls finish, then cancel; a later call starts a new one.

    Args:
        timeout: seconds that the calls have to end by themselves.

    Returns:
        A description of each call that was cancelled.
    """
    portal = process.portal
    if portal is None:
        return []
    _waitable("shutdown")
    return portal.shutdown(timeout)


def when_main_ends(callback: Callable[[], object]) -> None:
    """Have ``callback`` called once the main thread has ended, before the loop is stopped.

    For whoever has threads that are not daemons, and to whose work the loop may belong. To give
    the same callback again, or after a fork, does no harm and makes sure that it is called.
    """
    hear_of_uwsgi_forks(process.forked)
    process.main_end.add(callback)
    # Python 3.12 starts no thread any more once the main one has ended, and the work may be async.
    if (
        sys.version_info[:2] == (3, 12)
        and not process.portal
        and threading.main_thread().is_alive()
    ):
        process.start()


def when_forked(callback: Callable[[], object]) -> None:
    """Have ``callback`` called in every forked child, before anything else is run there.

    uWSGI, which forks in C, is heard of as well (see `hear_of_uwsgi_forks`); another hook of its
    may have come in between, so `when_main_ends` and the loop see to it again.
    """
    hear_of_uwsgi_forks(process.forked)
    process.fork_callbacks.append(callback)


def _waitable(name: str) -> Portal:
    """Give the portal to a thread that will wait for it."""
    portal = process.portal or process.start()
    if _get_running_loop() is portal.loop:
        raise _refused(name)
    return portal


def _refused(name: str) -> RuntimeError:
    return RuntimeError(
        f"{name}() was called by code that runs on wsgibg's event loop, which would wait for "
        f"itself: await the coroutine there, or run the sync code by asyncio.to_thread()"
    )
