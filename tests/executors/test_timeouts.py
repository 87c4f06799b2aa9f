"""The timeout of a task that has dependencies: it holds for all that an attempt awaits."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from tests.support import client, wait_for
from wsgibg import App, BackgroundTasks, Depends, current_task, task
from wsgibg._alarm import alarm
from wsgibg._trial import Trial
from wsgibg.background import BackgroundTask


@pytest.fixture(name="notes")
def _notes():
    return []


@pytest.fixture(name="run")
def _run(executor, notes):
    """Runs tasks, each with a timeout, after a request; gives the hooks' events."""
    app = App(executor=executor)
    events = []

    @app.tasks.on_task
    def hear(event):
        if event.kind not in ("added", "started"):
            events.append((event.kind, event.error.partition(":")[0]))

    def run(*funcs, **options):
        @app.get("/")
        def read(tasks: BackgroundTasks):
            for func in funcs:
                tasks.add_task(task(func, **{"timeout": 0.15, "backoff": 0.01, **options}))

        client(app).get("/")
        assert app.drain(20) == []
        return events

    return run


def is_watched():
    entries = [*alarm().fresh.values(), *(each for _, _, each in alarm().heap)]
    return any(getattr(each.call, "__func__", None) is Trial._late for each in entries)


async def hang(notes, what):
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        notes.append(f"{what} cancelled")
        raise


def opened(notes, name):
    """A dependency whose exit awaits something."""

    async def dependency():
        try:
            yield name
        finally:
            await asyncio.sleep(0)
            notes.append(f"{name} left")

    return dependency


def test_a_dependency_that_is_awaited_too_long_is_cancelled(run, notes):
    """The task is not called, what was open is left, and the next task comes."""

    async def slow():
        await hang(notes, "dependency")

    def work(a=Depends(opened(notes, "first")), b=Depends(slow)):
        notes.append("called")

    assert run(work, lambda: notes.append("next")) == [
        ("failed", "TimeoutError"),
        ("succeeded", ""),
    ]
    assert notes == ["dependency cancelled", "first left", "next"]


def test_so_is_one_that_comes_to_no_yield(run, notes):
    """An async ``yield`` dependency; there is nothing to leave."""

    async def slow():
        await hang(notes, "dependency")
        yield

    def work(a=Depends(slow)):
        notes.append("called")

    assert run(work) == [("failed", "TimeoutError")]
    assert notes == ["dependency cancelled"]


def test_the_time_of_an_attempt_is_one(run, notes):
    """What follows a dependency that took too long, and could not be stopped, is cancelled."""

    def blocking():
        wait_for(lambda: monotonic_is_past(current_task().deadline), 10, "the deadline")

    async def work(a=Depends(blocking)):
        await hang(notes, "task")

    assert run(work) == [("failed", "TimeoutError")]
    assert notes == ["task cancelled"]


def monotonic_is_past(moment):
    return time.monotonic() > moment


def test_exits_after_the_deadline_can_do_their_work(run, notes, caplog):
    """Those that await something as well; they see the timeout."""

    async def session():
        try:
            yield
        except TimeoutError:
            await asyncio.sleep(0)
            notes.append("rolled back")
            raise

    async def work(a=Depends(opened(notes, "outer")), b=Depends(session)):
        await hang(notes, "task")

    assert run(work) == [("failed", "TimeoutError")]
    assert notes == ["task cancelled", "rolled back", "outer left"]
    assert "runs for longer" not in caplog.text


def test_an_exit_is_cancelled_at_the_deadline(run, notes):
    """It began before: the attempt has failed, and the exits that are left have their time."""

    async def commit():
        yield
        await hang(notes, "commit")

    def work(a=Depends(opened(notes, "outer")), b=Depends(commit)):
        notes.append(current_task().attempt)

    assert run(work, retries=1) == [("retried", "TimeoutError"), ("failed", "TimeoutError")]
    assert notes == [1, "commit cancelled", "outer left", 2, "commit cancelled", "outer left"]


def test_an_exit_after_the_deadline_has_as_long_again(run, notes):
    """One that hangs does not hold a thread for ever, and those behind it have their own time."""
    begin = time.monotonic()

    async def stuck():
        try:
            yield
        finally:
            await hang(notes, "exit")

    async def work(a=Depends(opened(notes, "outer")), b=Depends(stuck)):
        await hang(notes, "task")

    assert run(work) == [("failed", "TimeoutError")]
    assert notes == ["task cancelled", "exit cancelled", "outer left"]
    assert time.monotonic() - begin >= 0.3


def test_an_exit_that_nobody_can_cancel_is_reported(run, notes, caplog):
    """It runs in a thread: when it takes as long again after the deadline, and when it ends."""

    def blocking():
        try:
            yield
        finally:
            wait_for(lambda: "runs for longer than its timeout" in caplog.text, 10, "a report")

    async def work(a=Depends(blocking)):
        await hang(notes, "task")

    assert run(work) == [("failed", "TimeoutError")]
    assert notes == ["task cancelled"]
    assert "came to its end after" in caplog.text


def test_what_is_in_time_is_not_reported(run, notes, caplog):
    """Nor is it watched any more."""

    async def work(a=Depends(opened(notes, "session"))):
        await asyncio.sleep(0)

    assert run(work, timeout=60) == [("succeeded", "")]
    assert notes == ["session left"]
    assert caplog.records == []
    assert not is_watched()


def test_an_attempt_that_ends_at_its_deadline_is_watched_no_longer():
    """It ends while the alarm's thread finds that its await is being cancelled."""
    trial = Trial(BackgroundTask(print), 60)
    trial.limit(threading.Event()).close()
    trial.end()
    trial._late()
    assert trial.entry is None
    assert not is_watched()
