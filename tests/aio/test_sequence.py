"""`sequence` runs background tasks one after the other, in one hop and as one task."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, ContextVar
from typing import Any

import pytest

from tests.aio.support import LOOP_THREAD, fresh_context, loop_threads
from tests.support import wait_for
from wsgibg._aio import LoopShutdown, run, sequence, shutdown

user: ContextVar[str] = ContextVar("user", default="nobody")

Coroutines = Iterable[Coroutine[Any, Any, Any]]


def outcomes(coroutines: Coroutines) -> list[BaseException | None]:
    """Run each in a context of its own; what `done` was told, in order."""
    told: list[BaseException | None] = []
    sequence(((fresh_context(), one) for one in coroutines), told.append)
    return told


async def nap(seconds: float = 0) -> None:
    await asyncio.sleep(seconds)


def test_they_run_in_order_one_after_the_other():
    """The next begins when the one before has ended, and `done` is called in between."""
    log: list[str] = []

    async def work(name: str) -> None:
        log.append(f"begin {name}")
        await asyncio.sleep(0)
        log.append(f"end {name}")

    def jobs() -> Iterator[tuple[Context, Coroutine[Any, Any, None]]]:
        for name in "ab":
            log.append(f"take {name}")
            yield Context(), work(name)

    sequence(jobs(), lambda error: log.append(f"done {error}"))
    assert log == [
        *("take a", "begin a", "end a", "done None"),
        *("take b", "begin b", "end b", "done None"),
    ]


def test_everything_happens_on_the_loop_s_thread_in_one_task():
    """The iterator and `done` are called there as well."""
    names: set[str] = set()
    tasks: set[Any] = set()

    async def work() -> None:
        await asyncio.sleep(0)
        names.add(threading.current_thread().name)
        tasks.add(asyncio.current_task())

    def jobs() -> Iterator[tuple[Context, Coroutine[Any, Any, None]]]:
        for _ in range(3):
            names.add(threading.current_thread().name)
            yield Context(), work()

    sequence(jobs(), lambda _: names.add(threading.current_thread().name))
    assert names == {LOOP_THREAD}
    assert len(tasks) == 1


def test_each_is_in_its_own_context():
    """Before and after it waits; and the caller may be inside any other context."""
    seen: list[str] = []

    async def work(name: str) -> None:
        seen.append(user.get())
        user.set(name)
        await asyncio.sleep(0)
        seen.append(user.get())

    shared = Context()
    jobs = [(shared, work("ann")), (Context(), work("bob")), (shared, work("eve"))]
    fresh_context().run(sequence, iter(jobs), lambda _: None)
    assert seen == ["nobody", "ann", "nobody", "bob", "ann", "eve"]


def test_an_empty_sequence_ends():
    """There may be nothing to do."""
    assert outcomes([]) == []


def test_a_failing_coroutine_does_not_stop_the_others():
    """`done` gets its error, and the next one runs."""
    error = ValueError("no")

    async def fail() -> None:
        await asyncio.sleep(0)
        raise error

    assert outcomes([nap(), fail(), nap()]) == [None, error, None]


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError()])
def test_what_would_end_a_thread_is_that_coroutine_s_failure(error):
    """The loop's thread lives on, and so does the sequence."""
    run(nap(), Context())
    threads = loop_threads()

    async def at_once() -> None:
        raise error

    async def later() -> None:
        await asyncio.sleep(0)
        raise error

    assert outcomes([at_once(), later(), nap()]) == [error, error, None]
    assert loop_threads() == threads


def test_a_coroutine_that_cancels_its_task_fails_alone():
    """Whether it waits for the cancellation or leaves it behind for the next one."""

    async def cancel_and_wait() -> None:
        asyncio.current_task().cancel()
        await asyncio.sleep(60)

    async def cancel_and_leave() -> None:
        asyncio.current_task().cancel()

    async def count() -> None:
        await asyncio.sleep(0)
        assert asyncio.current_task().cancelling() == 0

    told = outcomes([cancel_and_wait(), count(), cancel_and_leave(), count()])
    assert isinstance(told[0], asyncio.CancelledError)
    assert told[1:] == [None, None, None]


def test_timeouts_and_task_groups_work_inside():
    """They begin and end in one coroutine, so one task for all is no limit."""

    async def too_slow() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.sleep(0.01))
            tasks.create_task(asyncio.sleep(0))

    async def failing_group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(too_slow())
            await asyncio.sleep(60)

    told = outcomes([too_slow(), group(), failing_group(), nap()])
    assert isinstance(told[0], TimeoutError)
    assert told[1] is None
    assert isinstance(told[2], ExceptionGroup)
    assert told[3] is None


def test_a_context_that_somebody_is_inside_of_is_that_coroutine_s_failure():
    """The coroutine is closed and does not warn."""
    context, told = Context(), []

    def inside() -> None:
        sequence(iter([(context, nap()), (Context(), nap())]), told.append)

    context.run(inside)
    assert "already entered" in str(told[0])
    assert told[1] is None


def test_coroutines_that_never_wait_let_the_loop_breathe():
    """A batch of many short blocking tasks does not stop all other async code until its end."""
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            ticks.append(time.monotonic())
            await asyncio.sleep(0.001)

    async def start() -> asyncio.Task[None]:
        return asyncio.create_task(tick())

    async def stop(task: asyncio.Task[None]) -> None:
        task.cancel()

    async def block() -> None:
        time.sleep(0.006)  # noqa: ASYNC251 - a mistake that users make

    ticking = run(start(), Context())
    before = len(ticks)
    assert outcomes(block() for _ in range(20)) == [None] * 20
    assert len(ticks) - before >= 4
    run(stop(ticking), Context())


def test_an_error_of_done_ends_the_sequence():
    """It must not raise; where it does, the caller sees why."""

    def done(_: BaseException | None) -> None:
        raise LookupError("done")

    with pytest.raises(LookupError, match="done"):
        sequence(iter([(Context(), nap())]), done)


def test_a_shutdown_cancels_the_running_one_and_takes_no_more(caplog):
    """`done` and the caller are told that it was the shutdown; the log names the coroutine."""
    told: list[BaseException | None] = []
    begun = threading.Event()
    never_taken = nap()

    async def endless() -> None:
        begun.set()
        await asyncio.sleep(60)

    with ThreadPoolExecutor(1) as pool:
        jobs = iter([(Context(), nap()), (Context(), endless()), (Context(), never_taken)])
        running = pool.submit(sequence, jobs, told.append)
        assert begun.wait(5)
        (cancelled,) = shutdown(0)
        with pytest.raises(LoopShutdown, match="endless"):
            running.result(5)

    assert "endless" in cancelled
    assert told[0] is None
    assert isinstance(told[1], LoopShutdown)
    assert len(told) == 2
    assert "endless" in caplog.text
    assert "was cancelled" in caplog.text
    never_taken.close()


def test_a_shutdown_between_two_coroutines_takes_no_more():
    """Also where none of them ever waits."""
    told: list[BaseException | None] = []

    async def block() -> None:
        time.sleep(0.006)  # noqa: ASYNC251 - a mistake that users make

    def jobs() -> Iterator[tuple[Context, Coroutine[Any, Any, None]]]:
        while True:
            yield Context(), block()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(sequence, jobs(), told.append)
        wait_for(lambda: told)
        shutdown(0)
        with pytest.raises(LoopShutdown):
            running.result(5)


def test_sequences_leave_no_cycles():
    """After 1 000 coroutines, failing ones too, the collector finds nothing to do."""

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError

    async def fail_by_another_task() -> None:
        await asyncio.create_task(fail())

    def jobs(number: int) -> Iterator[tuple[Context, Coroutine[Any, Any, None]]]:
        for _ in range(number):
            yield Context(), nap()
            yield Context(), fail()
            yield Context(), fail_by_another_task()

    sequence(jobs(1), lambda _: None)
    gc.collect()
    gc.disable()
    try:
        sequence(jobs(350), lambda _: None)
        assert gc.collect() == 0
    finally:
        gc.enable()
