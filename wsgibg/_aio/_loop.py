"""The one event loop of this process, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
from asyncio import CancelledError, _get_running_loop
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any, Generic, TypeVar, TypeVarTuple

from wsgibg._aio._box import Box
from wsgibg._aio._coroutines import Outcome, describe, discard, guarded
from wsgibg._aio._lending import LendingSelector, Turn, lending_possible
from wsgibg._aio._threads import (
    MainEnd,
    Wake,
    hear_of_uwsgi_forks,
    held_lock,
    make_wake,
    start_native,
)

if sys.platform == "win32":
    from asyncio import ProactorEventLoop as PlatformLoop
else:
    from asyncio import SelectorEventLoop as PlatformLoop

__all__ = ["Call", "LoopShutdown", "Portal", "nothing", "process"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

logger = logging.getLogger("wsgibg.loop")

# How long an interrupted thread, and a shutdown, wait for a cancelled coroutine to end.
# gunicorn kills a worker about one second after it has interrupted it.
GRACE = 0.5

# How long other threads may go on after the main one has ended; gunicorn's own limit is 30.
EXIT_TIMEOUT = 25.0

LOOP = "wsgibg-loop"


class LoopShutdown(RuntimeError):
    """The event loop was shut down before a coroutine ran on it, or while it did."""


def nothing() -> None:
    """Do nothing."""


class Loop(PlatformLoop):
    """An event loop that notes whether something was scheduled.

    A thread that borrowed the loop must then wake the loop's own thread, which asyncio does in
    ``call_soon_threadsafe`` only.
    """

    noted = False

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Schedule as the base class does."""
        handle = super().call_soon(callback, *args, context=context)
        self.noted = True
        return handle

    def call_at(
        self, when: float, call: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Schedule as the base class does (``call_later`` comes through here)."""
        handle = super().call_at(when, call, *args, context=context)
        self.noted = True
        return handle

    async def shutdown_default_executor(self, *timeout: float | None) -> None:
        """Join the executor's workers as the base class does, unless the process ends.

        Then they have been joined, and Python 3.12 would refuse the thread that is to do it.
        """
        with contextlib.suppress(RuntimeError):
            await super().shutdown_default_executor(*timeout)

    def _check_thread(self) -> None:
        """Debug mode's check: is this thread the loop, be it only for a moment?

        The one private name that lending needs; nothing but debug mode calls it.
        """
        if self.is_running() and _get_running_loop() is not self:
            raise RuntimeError(
                "Non-thread-safe operation: another thread uses loop.call_soon_threadsafe()"
            )


class Call(Generic[T]):
    """One awaitable that is run on the loop, and the thread that waits for it.

    ``value`` and ``error`` are the outcome. ``ended`` tells whether the coroutine is out of
    ``context`` for good. ``why`` is the error on whose behalf it was cancelled, ``subject`` what
    messages name.
    """

    def __init__(self, portal: Portal, awaitable: Awaitable[T], context: Context) -> None:
        self.portal, self.context = portal, context
        self.awaitable = self.subject = awaitable
        self.wake = portal.make_wake()
        self.task: asyncio.Task[Outcome[T]] | None = None
        self.value: T | None = None
        self.error: BaseException | None = None
        self.why: BaseException | None = None
        self.ended = True

    def wait(self) -> BaseException | None:
        """Submit the call, wait for its end, and give the error or what interrupted this thread.

        The calling thread must be outside ``context``, or the task can never enter it.
        """
        try:
            self.portal.submit(self)
            self.wake.acquire()
        except BaseException as why:  # noqa: BLE001 - returned
            return self.abandon(why)
        error, self.error = self.error, None
        return error

    def abandon(self, why: BaseException) -> BaseException:
        """Cancel the coroutine, because the waiting thread was interrupted."""
        try:
            self.portal.post(self.cancel, why)
            self.ended = self.wake.acquire(timeout=GRACE)
        except LoopShutdown:
            self.ended = True
        except BaseException as again:  # noqa: BLE001 - returned
            self.ended = False
            return again
        return why

    def result(self) -> T:
        """Wait, then return the value or raise the error."""
        error = self.wait()
        if error is None:
            return self.value  # type: ignore[return-value]
        try:
            raise error
        finally:
            del error  # its traceback keeps this frame

    # What follows runs on the loop's thread.

    def start(self) -> None:
        """Make the task."""
        if self.portal.closing:
            self.refuse()
            return
        task = self.portal.loop.create_task(guarded(self.awaitable), context=self.context)
        # In a context of ours: until the task's last step has left `context`, the waiting thread
        # cannot enter it, so that step itself must not wake the thread.
        task.add_done_callback(self.finish, context=self.portal.context)
        self.task = task

    def finish(self, task: asyncio.Task[Outcome[T]]) -> None:
        """Take the outcome."""
        self.task = None
        if task.cancelled():  # before its first step
            discard(self.awaitable)
            self.error = CancelledError()
        else:
            self.value, self.error = task.result()
        if self.why is not None:
            self.report(self.why)
        if isinstance(self.error, CancelledError):
            self.error = self.translated(self.error)
        self.why = None
        self.end()

    def translated(self, cancelled: CancelledError) -> BaseException:
        """Give a plain error for ``CancelledError``, which no server catches."""
        name = describe(self.subject)
        if self.portal.closing:
            error: RuntimeError = LoopShutdown(f"the event loop was shut down while {name} ran")
        else:
            error = RuntimeError(f"{name} was cancelled by code of its own")
        error.__cause__ = cancelled
        return error

    def cancel(self, why: BaseException) -> None:
        """Cancel the task, on behalf of an interrupted thread or of a shutdown."""
        if self.task is None:
            self.report(why)
        else:
            self.why = self.why or why
            self.task.cancel()

    def refuse(self) -> None:
        """Do not run it: the loop is being shut down, or has been."""
        if self.task is None:
            discard(self.awaitable)
        name = describe(self.subject)
        self.error = LoopShutdown(f"{name} cannot run: the event loop is shut down")
        self.end()

    def end(self) -> None:
        """Wake the waiting thread, once."""
        with contextlib.suppress(KeyError):
            self.portal.live.remove(self)
            self.wake.release()

    def report(self, why: BaseException) -> None:
        """Log what became of a coroutine that nobody waits for any more, and where it was."""
        if isinstance(self.error, CancelledError):
            became = "was cancelled"
        elif self.error is None or self.error is why:
            became = "finished all the same"
        else:
            became = f"raised {type(self.error).__name__}"
        name, error = describe(self.subject), self.error
        logger.error("%r interrupted the wait for %s, which %s", why, name, became, exc_info=error)


class Portal:
    """A running loop, and its thread."""

    def __init__(self) -> None:
        self.make_wake = make_wake()
        self.lends = lending_possible()
        self.lock = held_lock()  # the selector's; where nothing is lent it stays held
        self.context = Context()  # of our own callbacks
        self.live: set[Call[Any]] = set()
        self.turns: set[Turn] = set()
        self.closers: list[Wake] = []
        self.closing = False
        self.cancelled: list[str] = []
        self.failure: BaseException | None = None
        self.box: Box | None = None  # where the selector is our own
        self.loop: Loop
        self.stop: asyncio.Future[float]

    def main(self, ready: threading.Lock) -> None:
        """Run the loop for its whole life."""
        try:
            with asyncio.Runner(loop_factory=self.make_loop) as runner:
                runner.get_loop()
                runner.run(self.serve(ready))
        except BaseException as error:  # e.g. a callback's SystemExit; no descriptor is left
            self.failure = error
            logger.critical("the event loop's thread ends", exc_info=error)
        self.end(ready)

    def make_loop(self) -> Loop:
        """Make the loop, in its own thread: gevent's selector belongs to that thread's hub."""
        if self.lends:
            self.loop = Loop(LendingSelector(self.lock))
            self.box = Box(self.loop)
        else:
            self.loop = Loop()
        return self.loop

    async def serve(self, ready: threading.Lock) -> None:
        """Be there until a shutdown, then see the calls off."""
        self.stop = self.loop.create_future()
        process.portal = self
        ready.release()
        try:
            timeout = await self.stop
        except BaseException:  # a callback's error ends the loop; the next call starts another
            self.closing, process.portal = True, None
            raise
        await self.until_idle(timeout)
        for call in list(self.live):
            if call.task is not None and not call.task.done():
                name = describe(call.subject)
                self.cancelled.append(name)
                call.cancel(LoopShutdown(f"the event loop was shut down while {name} ran"))
        await self.until_idle(GRACE)

    async def until_idle(self, seconds: float) -> None:
        """Wait for the calls that have started."""
        if tasks := [call.task for call in list(self.live) if call.task is not None]:
            await asyncio.wait(tasks, timeout=seconds)

    def end(self, ready: threading.Lock) -> None:
        """Wake everyone who waits for the loop, now that it is closed."""
        if process.portal is self:
            process.portal = None  # the next call starts another
        if self.box is not None:
            self.box.close()  # before the calls are looked through: what comes later is refused
        for call in list(self.live):
            call.refuse()
        for turn in list(self.turns):
            turn.go.release()
        for wake in self.closers:
            wake.release()
        if self.lends:
            self.lock.release()
        if ready.locked():
            ready.release()

    def post(self, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Have ``callback`` called on the loop's thread; LoopShutdown where it is closed."""
        try:
            if self.box is not None:
                self.box.put(callback, args)
            else:
                self.loop.call_soon_threadsafe(callback, *args, context=self.context)
        except (RuntimeError, ValueError):
            raise LoopShutdown("the event loop of this process is closed") from None

    def turn(self) -> Turn:
        """Give a turn of the busy loop to a thread that wants to borrow it."""
        if not self.lends:
            raise RuntimeError("lend() needs lending_possible(); elsewhere use hop() or run()")
        return Turn(self.post, self.lock, self.turns)

    def submit(self, call: Call[Any]) -> None:
        """Hand over a call; it is refused where the loop is closed."""
        # Into the set first: the thread's last act is to wake everyone whom it finds there.
        self.live.add(call)
        try:
            self.post(call.start)
        except LoopShutdown:
            call.refuse()

    def begin_stop(self, timeout: float) -> None:
        """Accept no more calls, on the loop's thread."""
        self.closing = True
        if not self.stop.done():
            self.stop.set_result(timeout)

    def shutdown(self, timeout: float) -> list[str]:
        """Stop the loop and name the calls that had to be cancelled."""
        wake = self.make_wake()
        self.closers.append(wake)  # before the loop is asked, as in `submit`
        try:
            self.post(self.begin_stop, timeout)
        except LoopShutdown:
            return []
        wake.acquire(timeout=timeout + 2 * GRACE)
        return self.cancelled if wake is self.closers[0] else []


class Process:
    """What there is one of in a process: the portal, and the watcher of the main thread."""

    def __init__(self) -> None:
        self.portal: Portal | None = None
        self.inherited: object = None
        self.main_end = MainEnd(self.shutdown, LOOP, EXIT_TIMEOUT)
        self.fork_callbacks: list[Callable[[], object]] = []
        self.starting = threading.Lock()

    def start(self) -> Portal:
        """Give the portal, started if need be."""
        with self.starting:
            portal = self.portal
            if portal is None:
                self.main_end.watch()
                hear_of_uwsgi_forks(self.forked)
                portal = Portal()
                start_native(portal.main, LOOP)
                if portal.failure is not None:
                    raise RuntimeError("the event loop cannot be started") from portal.failure
                if self.main_end.over:  # a daemon's first use, too late for the watcher
                    portal.shutdown(0)
            return portal

    def forked(self) -> None:
        """In a forked child: the loop, its thread and the locks are the parent's."""
        # Kept: to collect the parent's loop would close it, and both share its epoll object.
        self.inherited, self.portal = (self.inherited, self.portal), None
        self.main_end.forget()
        self.starting = threading.Lock()
        for callback in self.fork_callbacks:
            callback()

    def shutdown(self) -> None:
        """Stop the loop at the end of the process: who could wait for it has ended, or hangs."""
        if self.portal is not None:
            self.portal.shutdown(0)


process = Process()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=process.forked)
