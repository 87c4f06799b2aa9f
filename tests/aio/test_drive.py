"""`drive`, `hop`, `run` and `step`: code in a server thread, and what it awaits on the loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, ContextVar
from typing import Any

import anyio
import pytest

from tests.aio.support import LOOP_THREAD, fresh_context, loop_threads
from tests.support import wait_for
from wsgibg._aio import drive, hop, run, sequence, shutdown, step

user: ContextVar[str] = ContextVar("user", default="nobody")


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return number * 2


async def fail(message: str = "no") -> None:
    await asyncio.sleep(0)
    raise ValueError(message)


async def set_user(name: str) -> None:
    await asyncio.sleep(0)
    user.set(name)


async def thread_name() -> str:
    await asyncio.sleep(0)
    return threading.current_thread().name


# --- values and errors ------------------------------------------------------------------------


def test_driven_code_gets_what_it_hops_for():
    """`await hop(coroutine)` gives the coroutine's value, any number of times."""

    async def code() -> list[int]:
        return [await hop(double(number)) for number in range(5)]

    assert drive(code(), fresh_context()) == [0, 2, 4, 6, 8]


def test_driven_code_stays_in_the_server_thread():
    """Only what is hopped runs on the loop's thread."""

    async def code() -> list[str]:
        here = threading.current_thread().name
        return [here, await hop(thread_name()), threading.current_thread().name]

    here = threading.current_thread().name
    assert drive(code(), fresh_context()) == [here, LOOP_THREAD, here]


def test_code_that_does_not_hop_never_touches_the_loop():
    """It ends in one step, and no thread is started for it."""
    shutdown(1)

    async def code() -> str:
        return "done"

    assert drive(code(), fresh_context()) == "done"
    wait_for(lambda: loop_threads() == [])


def test_an_error_of_a_hop_is_raised_where_it_was_awaited():
    """So `try` around `await hop(...)` works, and its traceback names both functions."""

    async def code() -> str:
        try:
            await hop(fail())
        except ValueError as error:
            return "".join(traceback.format_exception(error))
        return ""

    text = drive(code(), fresh_context())
    assert "in code" in text
    assert "in fail" in text


def test_an_error_that_nobody_catches_leaves_drive():
    """The traceback goes from the server thread's code into the coroutine."""

    async def code() -> None:
        await hop(fail("outer"))

    with pytest.raises(ValueError, match="outer") as caught:
        drive(code(), fresh_context())

    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names.index("code") < names.index("fail")


def test_code_goes_on_after_an_error_of_a_hop():
    """What it raises later does not look as if it came from the error it has dealt with."""

    async def code() -> int:
        with contextlib.suppress(ValueError):
            await hop(fail())
        number = await hop(double(4))
        raise LookupError(number)

    with pytest.raises(LookupError, match="8") as caught:
        drive(code(), fresh_context())

    assert caught.value.__context__ is None


def test_any_awaitable_can_be_hopped():
    """A step of an async generator, or an object with `__await__`."""

    class Answer:
        def __await__(self) -> Any:
            return double(21).__await__()

    async def numbers() -> Any:
        yield await double(1)

    async def code() -> list[int]:
        made = numbers()
        found = [await hop(Answer()), await hop(anext(made))]
        with contextlib.suppress(StopAsyncIteration):
            await hop(anext(made))
            found.append(0)
        return found

    assert drive(code(), fresh_context()) == [42, 2]


def test_a_bare_await_is_refused_in_the_code_that_awaits():
    """Without a loop nothing would ever wake it; the error says what to do instead."""

    async def code() -> None:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match=r"await hop\(\.\.\.\) instead"):
        drive(code(), fresh_context())


def test_run_gives_the_value_or_raises():
    """`run` is one hop for sync code."""
    assert run(double(3), fresh_context()) == 6
    with pytest.raises(ValueError, match="no"):
        run(fail(), fresh_context())


def test_run_passes_the_end_of_an_async_generator_on():
    """`StopAsyncIteration` comes out as itself, so a streamed body can be read by `run`."""

    async def body() -> Any:
        yield await double(1)
        yield 5

    made, context = body(), fresh_context()
    assert [run(anext(made), context), run(anext(made), context)] == [2, 5]
    with pytest.raises(StopAsyncIteration):
        run(anext(made), context)


def test_many_threads_wait_at_the_same_time():
    """50 coroutines of 0.1 s take about 0.1 s, not 5."""
    with ThreadPoolExecutor(50) as pool:
        run(double(1), fresh_context())
        begin = time.perf_counter()
        list(pool.map(lambda _: run(asyncio.sleep(0.1), Context()), range(50)))
        taken = time.perf_counter() - begin

    assert 0.1 <= taken < 1.5


# --- the request's context --------------------------------------------------------------------


def test_variables_are_seen_on_both_sides():
    """What the code sets is seen by the hop, and the other way round; the caller sees neither."""

    async def read_and_set() -> str:
        await asyncio.sleep(0)
        seen = user.get()
        user.set("bob")
        return seen

    async def code() -> list[str]:
        user.set("ann")
        return [await hop(read_and_set()), user.get()]

    assert drive(code(), fresh_context()) == ["ann", "bob"]
    assert user.get() == "nobody"


def test_each_hop_of_a_request_is_in_the_same_context():
    """Two hops by `drive` and `run` with one context see each other's variables."""
    context = fresh_context()

    async def read() -> str:
        return user.get()

    async def code() -> None:
        await hop(set_user("eve"))

    drive(code(), context)
    assert run(read(), context) == "eve"
    assert run(read(), fresh_context()) == "nobody"


def test_a_token_can_be_reset_in_the_second_half_of_a_yield_dependency():
    """`reset(token)` works where both halves hop, because they share one `Context`."""

    async def dependency() -> Any:
        token = user.set("carol")
        await asyncio.sleep(0)
        yield user.get()
        await asyncio.sleep(0)
        user.reset(token)

    async def code() -> list[str]:
        made = dependency()
        during = [await hop(anext(made)), user.get()]
        with contextlib.suppress(StopAsyncIteration):
            await hop(anext(made))
        return [*during, user.get()]

    assert drive(code(), fresh_context()) == ["carol", "carol", "nobody"]


def test_waiting_inside_the_context_is_refused_at_once():
    """The task could never enter it: without the check the thread would wait forever."""
    context = fresh_context()

    with pytest.raises(RuntimeError, match="already entered"):
        context.run(run, double(1), context)

    assert run(double(1), context) == 2


def test_the_thread_is_outside_the_context_while_it_waits():
    """Which is what lets the loop's thread run the task in it."""
    context, seen = fresh_context(), threading.Event()

    async def enter_from_elsewhere() -> bool:
        await asyncio.sleep(0)
        # The task's steps are callbacks: between them nobody is inside.
        loop = asyncio.get_running_loop()
        loop.call_soon(context.run, seen.set, context=Context())
        await asyncio.sleep(0.01)
        return seen.is_set()

    assert run(enter_from_elsewhere(), context)


def test_a_task_group_works_inside_one_hop():
    """As does everything that begins and ends inside it."""

    async def grouped() -> list[int]:
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            tasks = [group.create_task(double(number)) for number in range(3)]
        return [task.result() for task in tasks]

    assert run(grouped(), fresh_context()) == [0, 2, 4]


def test_a_task_group_cannot_be_held_open_across_a_yield():
    """The price of one task per step: anyio says so itself."""

    async def dependency() -> Any:
        async with anyio.create_task_group():
            yield 1

    made, context = dependency(), fresh_context()
    assert run(anext(made), context) == 1
    with pytest.raises(RuntimeError, match="different task"):
        run(anext(made), context)


# --- what would end a thread ------------------------------------------------------------------


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt("stop")])
def test_exits_of_a_coroutine_reach_the_waiting_thread_and_the_loop_lives(error):
    """`sys.exit()` in a handler must not end the loop for the whole process."""
    run(double(1), fresh_context())
    threads = loop_threads()

    async def leave() -> None:
        await asyncio.sleep(0)
        raise error

    with pytest.raises(type(error)) as caught:
        run(leave(), fresh_context())

    assert caught.value is error
    assert run(double(1), fresh_context()) == 2
    assert loop_threads() == threads


def test_cancelled_error_becomes_a_plain_error():
    """It is a `BaseException`, which would escape every server's error handling."""

    async def cancel_itself() -> None:
        raise asyncio.CancelledError

    async def be_cancelled() -> None:
        asyncio.current_task().cancel()
        await asyncio.sleep(1)

    for function in [cancel_itself, be_cancelled]:
        with pytest.raises(RuntimeError, match=function.__name__) as caught:
            run(function(), fresh_context())
        assert isinstance(caught.value.__cause__, asyncio.CancelledError)


def test_a_task_cancelled_before_its_first_step_is_closed():
    """Its coroutine does not warn that it was never awaited."""
    armed = threading.Event()

    async def cancel_the_next_task() -> None:
        loop, before = asyncio.get_running_loop(), asyncio.all_tasks()
        found = loop.create_future()

        def look() -> None:
            if new := asyncio.all_tasks() - before:
                found.set_result(new.pop().cancel())
            else:
                loop.call_soon(look)

        look()
        armed.set()
        await found

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(run, cancel_the_next_task(), Context())
        armed.wait(5)
        with pytest.raises(RuntimeError, match="double"):
            run(double(1), fresh_context())
        other.result()


# --- refusals on the loop's thread ------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda: run(double(1), Context()),
        lambda: drive(hopping(), Context()),
        lambda: sequence(iter([]), print),
        lambda: shutdown(1),
    ],
    ids=["run", "drive", "sequence", "shutdown"],
)
def test_a_call_from_the_loop_is_refused_with_a_remedy(call):
    """A coroutine that waits for its own loop would wait forever."""

    async def wrong() -> None:
        await asyncio.sleep(0)
        call()

    with pytest.raises(RuntimeError, match=r"await .* or .* asyncio\.to_thread\(\)"):
        run(wrong(), fresh_context())


async def hopping() -> None:
    await hop(double(1))


def test_the_remedy_works():
    """Sync code that waits for the loop may be called by `asyncio.to_thread()`."""

    async def right() -> int:
        return await asyncio.to_thread(run, double(2), Context())

    assert run(right(), fresh_context()) == 4


def test_a_thread_that_has_a_loop_of_its_own_may_wait():
    """For example a test that is `async def` and calls the app."""

    async def own() -> int:
        found = run(double(2), Context())
        await asyncio.sleep(0)
        return found

    assert asyncio.run(own()) == 4


# --- step -------------------------------------------------------------------------------------


def test_step_runs_code_that_does_not_wait():
    """One step, in this thread, without any loop."""

    async def code() -> str:
        return threading.current_thread().name

    assert step(code()) == threading.current_thread().name


def test_step_names_code_that_waits_all_the_same():
    """And closes it, so that its `finally` blocks run."""
    closed = []

    async def waits() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            closed.append(True)

    with pytest.raises(RuntimeError, match=r"waits\(\) \(.*test_drive.py:\d+\)"):
        step(waits())

    assert closed == [True]


# --- memory -----------------------------------------------------------------------------------


def test_hops_leave_no_cycles():
    """After 1 000 hops, failing ones too, the collector finds nothing to do."""

    async def code() -> None:
        await hop(double(1))
        with contextlib.suppress(ValueError):
            await hop(fail())
        await hop(fail())

    def one(context: Context) -> None:
        with contextlib.suppress(ValueError):
            drive(code(), context)
        run(double(1), context)
        with contextlib.suppress(ValueError):
            run(fail(), context)

    one(fresh_context())
    gc.collect()
    gc.disable()
    try:
        for _ in range(200):
            one(fresh_context())
        assert gc.collect() == 0
    finally:
        gc.enable()
