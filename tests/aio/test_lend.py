"""Code without `await` behaves the same lent (in the server thread) as hopped (on the loop)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.aio.support import fresh_context, loop_threads
from tests.support import wait_for
from wsgibg._aio import can_suspend, lend, run, shutdown

user: ContextVar[str] = ContextVar("user", default="nobody")

Way = Callable[..., Any]


def lent(coroutine: Any, context: Context | None = None) -> Any:
    """As a route does whose steps cannot suspend."""
    return (context or fresh_context()).run(lend, coroutine)


def hopped(coroutine: Any, context: Context | None = None) -> Any:
    """As a route does of which one step can."""
    return run(coroutine, context or fresh_context())


both = pytest.mark.parametrize("way", [lent, hopped])


async def the_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


async def wait_until(event: asyncio.Event) -> bool:
    async with asyncio.timeout(5):
        return await event.wait()


async def result_of(future: asyncio.Future[Any]) -> Any:
    async with asyncio.timeout(5):
        return await future


# --- the same either way ----------------------------------------------------------------------


@both
def test_the_running_loop_is_the_shared_one(way):
    """`get_running_loop()` and `get_event_loop()` give the loop that every hop runs on."""

    async def ask() -> list[Any]:
        return [asyncio.get_running_loop(), asyncio.get_event_loop()]

    shared = run(the_loop(), Context())
    assert way(ask()) == [shared, shared]


@both
def test_a_task_made_here_runs_on_the_loop(way):
    """And its done callback is called."""
    called = threading.Event()

    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    async def make() -> asyncio.Task[int]:
        task = asyncio.create_task(work())
        task.add_done_callback(lambda _: called.set())
        return task

    task = way(make())
    assert called.wait(5)
    assert task.result() == 7


@both
def test_a_task_can_be_cancelled_here(way):
    """By another such function."""

    async def make() -> asyncio.Task[None]:
        return asyncio.create_task(asyncio.sleep(60))

    async def cancel(task: asyncio.Task[None]) -> bool:
        return task.cancel()

    task = way(make())
    assert way(cancel(task))
    wait_for(task.cancelled)


@both
def test_a_sync_helper_may_use_the_loop(way):
    """What it finds is the loop of its caller."""

    def helper() -> asyncio.Future[int]:
        return asyncio.ensure_future(asyncio.sleep(0, 5))

    async def call() -> asyncio.Future[int]:
        return helper()

    assert run(result_of(way(call())), Context()) == 5


@both
def test_call_soon_and_call_later_are_called(way):
    """In time, although the loop was idle and had no timer before."""
    begin, soon, later = time.monotonic(), threading.Event(), []

    async def schedule() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(soon.set)
        loop.call_later(0.02, lambda: later.append(time.monotonic() - begin))

    way(schedule())
    assert soon.wait(5)
    wait_for(lambda: later)
    assert 0.02 <= later[0] < 1


@both
def test_run_in_executor_works(way):
    """Its result comes back to the loop."""

    async def submit() -> asyncio.Future[int]:
        return asyncio.get_running_loop().run_in_executor(None, lambda: 11)

    assert run(result_of(way(submit())), Context()) == 11


@both
def test_futures_made_here_are_awaited_later(way):
    """`Future()` and `gather()` belong to the shared loop."""

    async def make() -> list[asyncio.Future[Any]]:
        future: asyncio.Future[int] = asyncio.Future()
        future.set_result(1)
        return [future, asyncio.gather(asyncio.sleep(0, 2), asyncio.sleep(0, 3))]

    future, gathered = way(make())
    assert run(result_of(future), Context()) == 1
    assert run(result_of(gathered), Context()) == [2, 3]


@both
def test_a_waiter_on_the_loop_is_woken_at_once(way):
    """`Event.set()` here wakes a coroutine that waits there."""
    event = asyncio.Event()

    async def set_it() -> None:
        event.set()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(run, wait_until(event), Context())
        wait_for(lambda: bool(event._waiters))
        begin = time.monotonic()
        way(set_it())
        assert waiting.result(5)
        assert time.monotonic() - begin < 0.5


@both
@pytest.mark.parametrize(
    "make", [asyncio.Lock, asyncio.Semaphore, asyncio.Condition], ids=lambda make: make.__name__
)
def test_locks_made_here_are_used_later(make, way):
    """As a module's lock that a handler makes at the first request."""

    async def create() -> Any:
        return make()

    async def use(lock: Any) -> bool:
        async with lock:
            return True

    assert run(use(way(create())), Context())


@both
def test_events_and_queues_made_here_are_used_later(way):
    """Filled by one way, read by another."""

    async def create() -> tuple[asyncio.Event, asyncio.Queue[int]]:
        event, queue = asyncio.Event(), asyncio.Queue()
        event.set()
        queue.put_nowait(4)
        return event, queue

    async def use(event: asyncio.Event, queue: asyncio.Queue[int]) -> int:
        await event.wait()
        return await queue.get()

    assert run(use(*way(create())), Context()) == 4


@both
def test_an_object_may_keep_its_loop(way):
    """As aiohttp's `ClientSession` and SQLAlchemy's engine do: it is the loop they run on later."""

    class Session:
        def __init__(self) -> None:
            self.loop = asyncio.get_running_loop()

        async def get(self) -> int:
            assert asyncio.get_running_loop() is self.loop
            return await self.loop.create_task(asyncio.sleep(0, 200))

    async def create() -> Session:
        return Session()

    assert run(way(create()).get(), Context()) == 200


@both
def test_httpx_clients_made_here_are_used_later(way):
    """An `AsyncClient` binds to the loop of its first request."""
    httpx = pytest.importorskip("httpx")

    async def create() -> Any:
        return httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(204)))

    async def use(client: Any) -> int:
        async with client:
            return (await client.get("http://localhost/")).status_code

    assert run(use(way(create())), Context()) == 204


@both
def test_anyio_streams_and_events_made_here_are_used_later(way):
    """The library anyio finds its backend through the running loop."""

    async def create() -> tuple[anyio.Event, Any, Any]:
        event = anyio.Event()
        event.set()
        send, receive = anyio.create_memory_object_stream(1)
        send.send_nowait(9)
        return event, send, receive

    async def use(event: anyio.Event, send: Any, receive: Any) -> int:
        await event.wait()
        with send, receive:
            return await receive.receive()

    assert run(use(*way(create())), Context()) == 9


@both
def test_readers_registered_here_are_called(way):
    """A descriptor may be registered while the loop's own thread waits in `select()`."""
    reading, writing = os.pipe()
    got = threading.Event()

    async def register() -> None:
        asyncio.get_running_loop().add_reader(reading, seen)

    def seen() -> None:
        os.read(reading, 1)
        got.set()

    async def unregister() -> bool:
        return asyncio.get_running_loop().remove_reader(reading)

    way(register())
    os.write(writing, b"x")
    assert got.wait(5)
    assert way(unregister())
    os.close(reading)
    os.close(writing)


@both
def test_variables_come_out_again(way):
    """What the function sets in the request's context stays set there."""

    async def set_it() -> None:
        user.set("ann")

    context = fresh_context()
    way(set_it(), context)
    assert context[user] == "ann"
    assert user.get() == "nobody"


@both
def test_a_token_can_be_reset_in_the_second_half_of_a_yield_dependency(way):
    """Both halves are in one context, and the end of the generator is its own exception."""

    async def dependency() -> Any:
        token = user.set("carol")
        yield user.get()
        user.reset(token)

    made, context = dependency(), fresh_context()
    assert way(anext(made), context) == "carol"
    assert context[user] == "carol"
    with pytest.raises(StopAsyncIteration):
        way(anext(made), context)
    assert context.run(user.get) == "nobody"


@both
def test_an_error_can_be_thrown_into_a_yield_dependency(way):
    """`athrow()` and `aclose()` work as `__anext__()` does."""
    seen = []

    async def dependency() -> Any:
        try:
            yield 1
        except LookupError as error:
            seen.append(error)
        yield 2

    made, context, error = dependency(), fresh_context(), LookupError()
    way(anext(made), context)
    assert way(made.athrow(error), context) == 2
    assert seen == [error]
    assert way(made.aclose(), context) is None


@both
def test_asyncio_run_is_refused_inside(way):
    """As in FastAPI: there is a running loop."""

    async def wrong() -> None:
        coroutine = asyncio.sleep(0)
        try:
            asyncio.run(coroutine)
        finally:
            coroutine.close()

    with pytest.raises(RuntimeError, match="running event loop"):
        way(wrong())


@both
def test_read_modify_write_from_several_threads_loses_nothing(way):
    """Code without `await` is atomic, as it is in FastAPI."""
    numbers = [0]

    async def add() -> None:
        read = numbers[0]
        time.sleep(0)  # noqa: ASYNC251 - another thread may run here
        numbers[0] = read + 1

    with ThreadPoolExecutor(3) as pool:
        for _ in pool.map(lambda _: way(add()), range(900)):
            pass

    assert numbers == [900]


@pytest.fixture(name="debugging")
def _debugging() -> Iterator[asyncio.AbstractEventLoop]:
    """The shared loop in debug mode."""

    async def set_debug(on: bool) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        loop.set_debug(on)
        return loop

    yield run(set_debug(True), Context())
    run(set_debug(False), Context())


@both
def test_debug_mode_knows_who_the_loop_is(way, debugging):
    """Scheduling is allowed to the thread that borrows it, and still refused to any other."""

    async def schedule() -> asyncio.Task[int]:
        asyncio.get_running_loop().call_later(0.001, print)
        return asyncio.create_task(asyncio.sleep(0.001, 3))

    assert run(result_of(way(schedule())), Context()) == 3
    with pytest.raises(RuntimeError, match="Non-thread-safe"):
        debugging.call_soon(print)


def test_asyncio_asks_what_debug_mode_overrides():
    """The one private name that lending needs: if it is gone, `Loop._check_thread` goes too."""
    assert callable(asyncio.BaseEventLoop._check_thread)
    assert {"_get_running_loop", "_set_running_loop"} <= set(asyncio.__all__)


# --- what differs -----------------------------------------------------------------------------


def test_there_is_no_current_task_while_lending():
    """No task runs: `current_task()` is None, where a hop has one."""

    async def ask() -> bool:
        return asyncio.current_task() is None

    assert lent(ask())
    assert not hopped(ask())


@pytest.mark.parametrize(
    "use",
    [anyio.get_current_task, lambda: anyio.move_on_after(1).__enter__()],
    ids=["task", "scope"],
)
def test_anyio_needs_a_task(use):
    """Scopes of anyio belong to a task, so they are refused while lending."""

    async def ask() -> None:
        use()

    assert not can_suspend(ask)
    with pytest.raises((RuntimeError, AttributeError, TypeError)):
        lent(ask())


def test_the_thread_is_the_server_s():
    """Lent code runs in the thread that serves the request, hopped code in the loop's."""

    async def ask() -> int:
        return threading.get_ident()

    assert lent(ask()) == threading.get_ident()
    assert hopped(ask()) == loop_threads()[0].ident


# --- lending itself ---------------------------------------------------------------------------


def test_values_and_errors_come_out():
    """Including what would end the loop's thread, were it raised there."""

    async def give() -> int:
        return 3

    async def leave() -> None:
        raise SystemExit(4)

    assert lend(give()) == 3
    with pytest.raises(SystemExit):
        lend(leave())
    assert lend(give()) == 3


def test_nothing_is_running_afterwards():
    """A thread with a loop of its own has that one again."""

    async def own() -> bool:
        mine = asyncio.get_running_loop()
        shared = lend(the_loop())
        return shared is not mine and asyncio.get_running_loop() is mine

    lend(the_loop())
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()
    assert asyncio.run(own())


def test_a_coroutine_that_suspends_all_the_same_is_closed_and_named():
    """It says which; its `finally` blocks run while the loop is still lent."""
    closed = []

    async def waits() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            closed.append(asyncio.get_running_loop())

    with pytest.raises(RuntimeError, match=r"waits\(\) \(.*test_lend.py:\d+\)"):
        lend(waits())

    assert closed == [run(the_loop(), Context())]


def test_lent_code_may_not_wait_for_the_loop():
    """It is the loop: a hop would wait for itself."""

    async def hops() -> None:
        run(the_loop(), Context())

    with pytest.raises(RuntimeError, match="would wait for itself"):
        lent(hops())


def test_the_loop_itself_need_not_borrow_the_loop():
    """Lent code, and code on the loop's thread, step another coroutine at once."""

    async def nested() -> object:
        return lend(the_loop())

    assert lent(nested()) is run(nested(), Context()) is run(the_loop(), Context())


def test_a_busy_loop_is_lent_all_the_same():
    """A loop that is never idle hands itself over, in the order of asking."""
    begun, stop = threading.Event(), threading.Event()

    async def spin() -> None:
        begun.set()
        while not stop.is_set():  # noqa: ASYNC110 - the loop has to be busy
            await asyncio.sleep(0)

    def several(_: int) -> None:
        for _ in range(50):
            lend(the_loop())

    with ThreadPoolExecutor(5) as pool:
        spinning = pool.submit(run, spin(), Context())
        assert begun.wait(5)
        begin = time.monotonic()
        list(pool.map(several, range(4)))
        taken = time.monotonic() - begin
        stop.set()
        spinning.result(5)

    assert taken < 5


def test_a_blocking_callback_makes_lenders_wait():
    """While the loop's own thread runs code, no other thread is the loop."""
    order: list[str] = []
    begun = threading.Event()

    async def block() -> None:
        begun.set()
        time.sleep(0.05)  # noqa: ASYNC251 - a mistake that users make
        order.append("loop")

    async def append() -> None:
        order.append("lent")

    with ThreadPoolExecutor(1) as pool:
        blocking = pool.submit(run, block(), Context())
        assert begun.wait(5)
        lend(append())
        blocking.result(5)

    assert order == ["loop", "lent"]


def test_the_loop_goes_on_while_threads_lend():
    """Timers are late by milliseconds, not starved."""
    stop = threading.Event()

    def keep_lending() -> None:
        while not stop.is_set():
            lend(the_loop())

    async def tick() -> list[float]:
        late = []
        for _ in range(20):
            begin = time.monotonic()
            await asyncio.sleep(0.005)
            late.append(time.monotonic() - begin - 0.005)
        return late

    with ThreadPoolExecutor(3) as pool:
        for _ in range(3):
            pool.submit(keep_lending)
        try:
            late = run(tick(), Context())
        finally:
            stop.set()

    assert sorted(late)[10] < 0.5


def test_lending_starts_the_loop():
    """And after a shutdown it starts a new one."""
    shutdown(1)
    first = lend(the_loop())
    shutdown(1)
    assert lend(the_loop()) is not first


def test_lending_leaves_no_cycles():
    """After 1 000 lends, failing ones too, the collector finds nothing to do."""

    async def fail() -> None:
        raise ValueError

    lend(the_loop())
    gc.collect()
    gc.disable()
    try:
        for _ in range(500):
            lend(the_loop())
            with contextlib.suppress(ValueError):
                lend(fail())
        assert gc.collect() == 0
    finally:
        gc.enable()
