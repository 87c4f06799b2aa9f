"""One pass over a batch: order, failures, async tasks, interruptions."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import signal
import sys
import threading
import time

import pytest

from tests.support import client
from wsgibg import (
    App,
    BackgroundTasks,
    InlineExecutor,
    TaskManager,
    current_task,
)
from wsgibg.background import request_collector

COLOUR = contextvars.ContextVar("colour", default="none")


class Batch:
    """A collector and its manager, outside any request."""

    def __init__(self, after_task_error="continue"):
        self.events = []
        self.manager = TaskManager(InlineExecutor(), after_task_error=after_task_error)
        self.manager.on_task(lambda event: self.events.append((event.kind, event.task.name)))
        self.tasks = request_collector(self.manager)
        self.add = self.tasks.add_task

    def run(self):
        self.manager.submit(self.tasks)

    def kinds(self, kind):
        return [name.rpartition(".")[2] for each, name in self.events if each == kind]


@pytest.fixture(name="batch")
def _batch():
    return Batch()


@pytest.fixture(name="stopping")
def _stopping():
    return Batch("stop")


def fail():
    raise ValueError("bad")


async def fail_async():
    raise ValueError("bad")


# --- order ---------------------------------------------------------------------------------


def test_first_in_first_out(batch):
    """Sync and async tasks keep one order."""
    calls = []

    async def later(number):
        await asyncio.sleep(0)
        calls.append(number)

    for number in range(20):
        batch.add(later if number % 3 else calls.append, number)
    batch.run()

    assert calls == list(range(20))


def test_what_a_task_adds_comes_last(batch):
    """Also what an async task adds, and what those add."""
    calls = []

    async def last():
        calls.append("last")

    async def adding():
        batch.add(last)

    batch.add(lambda: batch.add(adding))
    batch.add(calls.append, "second")
    batch.run()

    assert calls == ["second", "last"]


def test_a_batch_that_ran_is_empty_and_closed(batch):
    """Nothing keeps its tasks."""
    batch.add(print, end="")
    batch.run()

    assert batch.tasks.tasks == []
    with pytest.raises(TypeError, match="came after its request"):
        batch.add(print)


def test_each_task_has_a_context_of_its_own(batch):
    """A variable that a task sets is not seen by the next one, nor afterwards."""
    seen = []

    def change(colour):
        seen.append(COLOUR.get())
        COLOUR.set(colour)

    async def change_async(colour):
        change(colour)

    for func in (change, change_async, change_async, change):
        batch.add(func, func.__name__)
    batch.run()

    assert seen == ["none"] * 4
    assert COLOUR.get() == "none"


# --- failures ------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", [fail, fail_async])
def test_a_failing_task_is_logged_and_the_others_run(batch, failing, caplog):
    """With traceback and id, on the logger of the background tasks."""
    calls = []
    batch.add(calls.append, 1)
    made = batch.add(failing)
    batch.add(calls.append, 2)
    batch.run()

    assert calls == [1, 2]
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("wsgibg.background", "ERROR")
    assert record.task_id == made.id
    assert made.id in record.getMessage()
    assert record.exc_info[0] is ValueError
    assert batch.kinds("failed") == [failing.__name__]


@pytest.mark.parametrize("failing", [fail, fail_async])
@pytest.mark.parametrize("before", ["nothing", "sync", "async"])
@pytest.mark.parametrize("after", ["sync", "async"])
def test_stop_drops_what_comes_after_a_failure(stopping, failing, before, after, caplog):
    """Whatever kind of task comes before and after it."""
    calls = []

    async def later(word):
        calls.append(word)

    if before != "nothing":
        stopping.add(calls.append if before == "sync" else later, "before")
    stopping.add(failing)
    stopping.add(calls.append if after == "sync" else later, "after")
    stopping.add(calls.append, "last")
    stopping.run()

    assert calls == ["before"] * (before != "nothing")
    assert len(stopping.kinds("dropped")) == 2
    dropped = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(dropped) == 2
    assert all(record.exc_info is None and record.task_id for record in dropped)
    assert f"{failing.__name__} failed before it" in caplog.text


def test_a_tasks_own_exit_is_its_failure(batch, caplog):
    """`sys.exit()` and `KeyboardInterrupt` of a task do not leave the pass."""
    calls = []

    async def leave():
        sys.exit("async")

    def interrupt():
        raise GeneratorExit

    batch.add(sys.exit, 1)
    batch.add(leave)
    batch.add(interrupt)
    batch.add(calls.append, "went on")
    batch.run()

    assert calls == ["went on"]
    assert batch.kinds("failed") == ["exit", "leave", "interrupt"]


def through(func):
    """A decorator that hides what kind of function it calls."""

    @functools.wraps(func)
    def call():
        return func()

    return call


def lines():
    yield


async def lines_async():
    yield


@pytest.mark.parametrize("func", [lines, lines_async])
@pytest.mark.parametrize("disguise", [through, lambda func: lambda: func()])
def test_a_generator_that_nobody_runs_is_a_failure(batch, func, disguise, caplog):
    """The call gave one although the function is none: not a line of it would run."""
    calls = []
    batch.add(disguise(func))
    batch.add(calls.append, "went on")
    batch.run()

    assert calls == ["went on"]
    assert len(batch.kinds("failed")) == 1
    assert "returned a generator, and nothing of it ran. Pass a function" in caplog.text


def test_a_generator_that_ran_is_a_result_like_any_other(batch):
    """The task has done what it was to do."""

    def finish():
        made = lines()
        list(made)
        return made

    batch.add(finish)
    batch.run()

    assert batch.kinds("succeeded") == ["finish"]


# --- async ---------------------------------------------------------------------------------


def test_consecutive_async_tasks_share_one_hop(batch):
    """One asyncio task steps them all, each in its own context."""
    seen = []

    async def note(word):
        await asyncio.sleep(0)
        seen.append((asyncio.current_task(), threading.current_thread().name, word))

    for word in "abc":
        batch.add(note, word)
    batch.run()

    assert len({id(each) for each, _, _ in seen}) == 1
    assert {name for _, name, _ in seen} == {"wsgibg-loop"}
    assert [word for _, _, word in seen] == ["a", "b", "c"]


def test_an_async_task_that_cannot_suspend_borrows_the_loop(batch):
    """It runs in the batch's thread, with the loop as the running one, and needs no hop."""
    seen = []

    async def note(word):
        seen.append((asyncio.get_running_loop(), threading.current_thread(), word))

    batch.add(note, "a")
    batch.add(note, "b")
    batch.run()

    assert len({id(loop) for loop, _, _ in seen}) == 1
    assert {thread for _, thread, _ in seen} == {threading.current_thread()}
    assert [word for _, _, word in seen] == ["a", "b"]


def test_whatever_can_be_awaited_is_awaited(batch):
    """A coroutine that a lambda returns, an object with `__await__`, an async `__call__`."""
    calls = []

    async def note(word):
        calls.append(word)

    class Awaitable:
        def __await__(self):
            return note("object").__await__()

    class Callable:
        async def __call__(self):
            calls.append("callable")

    batch.add(lambda: note("lambda"))
    batch.add(Awaitable)
    batch.add(note, "plain")
    batch.add(Callable())
    batch.add(functools.partial(note, "partial"))
    batch.add(lambda: note("again"))
    batch.run()

    assert calls == ["lambda", "object", "plain", "callable", "partial", "again"]
    assert len(batch.kinds("succeeded")) == 6


def test_a_call_that_fails_while_the_next_coroutine_is_made(batch, stopping, caplog):
    """It is that task's failure; those behind it run, or are dropped."""
    calls = []

    async def note(word):
        await asyncio.sleep(0)
        calls.append(word)

    for each in (batch, stopping):
        each.add(note, "first")
        each.add(note, "argument").args = ()
        each.add(note, "last")
        each.run()

    assert calls == ["first", "last", "first"]
    for each in (batch, stopping):
        assert each.events[2:4] == [
            ("started", batch.events[0][1]),
            ("failed", batch.events[0][1]),
        ]
    assert len(batch.kinds("succeeded")) == 2
    assert len(stopping.kinds("dropped")) == 1
    assert "missing 1 required positional argument" in caplog.text


def test_an_async_task_cannot_wait_for_the_loop_that_it_runs_on(batch, caplog):
    """A request that it serves there has its async tasks reported, and nothing hangs."""
    app = App()
    statuses = []

    async def later():
        await asyncio.sleep(0)

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(later)
        tasks.add_task(print)

    async def call():
        await asyncio.sleep(0)
        statuses.append(client(app).get("/").status_code)

    batch.add(call)
    batch.run()

    assert statuses == [200]
    assert batch.kinds("succeeded") == ["call"]
    told = [each.getMessage() for each in caplog.records if hasattr(each, "task_id")]
    assert ["interrupted" in told[0], "lost" in told[1]] == [True, True]


def test_a_result_is_of_no_interest(batch):
    """What a task returns is thrown away."""
    batch.add(lambda: 7)
    batch.run()

    assert len(batch.kinds("succeeded")) == 1


# --- current_task --------------------------------------------------------------------------


def test_current_task_in_sync_and_async_tasks(batch):
    """Its id is the task's; async helpers and threads of asyncio see it as well."""
    seen = []

    def note():
        seen.append(current_task())

    async def note_async():
        note()
        await asyncio.to_thread(note)

    ids = [batch.add(note).id, batch.add(note_async).id, batch.add(note).id]
    batch.run()

    assert [each.id for each in seen] == [ids[0], ids[1], ids[1], ids[2]]
    assert seen[0].attempt == 1
    assert ids[0] in repr(seen[0])


def test_current_task_of_a_task_that_an_async_task_added(batch):
    """The context that it was added in belongs to another task."""
    seen = []

    def note():
        seen.append(current_task().id)

    async def add():
        seen.append(batch.add(note).id)

    batch.add(add)
    batch.run()

    assert seen[0] == seen[1]


def test_current_task_outside_a_task():
    """A RuntimeError, also after a pass."""
    batch = Batch()
    batch.add(current_task)
    batch.run()

    with pytest.raises(RuntimeError, match="outside a background task"):
        current_task()


def test_a_task_may_serve_a_request(batch):
    """The inner request's tasks are a pass of their own, in which one is again oneself."""
    app = App()
    seen = []

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(lambda: seen.append(current_task().id))

    def call():
        before = current_task().id
        client(app).get("/")
        seen.append(current_task().id)
        seen.append(before)

    made = batch.add(call)
    batch.run()

    assert seen[1] == seen[2] == made.id != seen[0]


# --- interruptions -------------------------------------------------------------------------


@pytest.fixture(name="alarm")
def _alarm():
    """`alarm(handler)`: have a signal come in 50 ms."""
    before = signal.getsignal(signal.SIGALRM)

    def set_alarm(handler):
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.05)

    yield set_alarm
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def leave(number, frame):
    """What gunicorn's worker does when it took too long."""
    sys.exit(1)


class Worker:
    def leave(self, number, frame):
        raise SystemExit(1)


def wait_sync():
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        pass


async def wait_async():
    await asyncio.sleep(5)


async def wait_stubbornly():
    try:
        await asyncio.sleep(5)
    except asyncio.CancelledError:
        raise LookupError("while it was cancelled") from None


@pytest.mark.parametrize("waiting", [wait_sync, wait_async, wait_stubbornly])
@pytest.mark.parametrize("handler", [leave, Worker().leave], ids=["function", "method"])
def test_what_a_signal_handler_raises_is_the_servers(batch, alarm, waiting, handler, caplog):
    """The running task is reported as interrupted, the others as lost; it is raised again."""
    calls = []
    batch.add(calls.append, 1)
    interrupted = batch.add(waiting)
    lost = batch.add(calls.append, 2)

    alarm(handler)
    with pytest.raises(SystemExit):
        batch.run()

    assert calls == [1]
    assert batch.kinds("interrupted") == [waiting.__name__]
    assert batch.kinds("lost") == ["append"]
    assert batch.kinds("failed") == []
    told = {record.task_id: record for record in caplog.records if hasattr(record, "task_id")}
    assert set(told) == {interrupted.id, lost.id}
    assert all(record.levelname == "ERROR" for record in told.values())


def test_a_task_that_ends_although_it_was_cancelled_succeeded(batch, alarm, caplog):
    """The others are lost, and the server has its exception."""

    async def finish():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(5)

    batch.add(finish)
    batch.add(print)

    alarm(leave)
    with pytest.raises(SystemExit):
        batch.run()

    assert batch.kinds("succeeded") == ["finish"]
    assert batch.kinds("lost") == ["print"]
    assert batch.kinds("interrupted") == []


@pytest.mark.parametrize("waiting", [wait_sync, wait_async])
def test_control_c_is_the_servers(batch, alarm, waiting, caplog):
    """Python's own handler leaves no frame in the traceback."""
    batch.add(waiting)

    alarm(signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        batch.run()

    assert batch.kinds("interrupted") == [waiting.__name__]
    assert batch.kinds("failed") == []


@pytest.mark.parametrize("kind", ["started", "succeeded", "failed"])
def test_a_signal_while_a_hook_runs_loses_no_task(batch, alarm, kind, caplog):
    """A task that had not ended is interrupted, the others are lost; both are reported."""
    func = fail if kind == "failed" else print
    first = batch.add(func)
    second = batch.add(func)

    @batch.manager.on_task
    def hook(event):
        if event.kind == kind:
            signal.raise_signal(signal.SIGALRM)

    alarm(leave)
    signal.setitimer(signal.ITIMER_REAL, 0)
    with pytest.raises(SystemExit):
        batch.run()

    told = {each.task_id: each.getMessage() for each in caplog.records if hasattr(each, "task_id")}
    assert ("was interrupted" in told.get(first.id, "")) is (kind == "started")
    assert "was lost" in told[second.id]


def test_an_interrupted_pass_calls_what_waits_for_it(batch, alarm, caplog):
    """The exits of the scope "tasks" run, so that nothing stays open."""
    calls = []
    batch.add(wait_sync)

    alarm(leave)
    with pytest.raises(SystemExit):
        batch.manager.submit(batch.tasks, after=lambda: calls.append("after"))

    assert calls == ["after"]


def test_a_keyboard_interrupt_in_another_thread_is_the_tasks_own(batch, caplog):
    """Signal handlers run on the main thread only."""

    def interrupt():
        raise KeyboardInterrupt

    batch.add(interrupt)
    thread = threading.Thread(target=batch.run)
    thread.start()
    thread.join()

    assert batch.kinds("failed") == ["interrupt"]


def test_a_request_ends_with_the_servers_exception(alarm, caplog):
    """`close()` hands it to the server, whose it is."""
    app = App()

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(wait_sync)

    body = app({"PATH_INFO": "/", "REQUEST_METHOD": "GET"}, lambda *args: None)
    list(body)
    alarm(leave)
    with pytest.raises(SystemExit):
        body.close()

    assert "was interrupted" in caplog.text
