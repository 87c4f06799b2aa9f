"""Context managers that each attempt of each task runs inside of."""

from __future__ import annotations

import threading
from asyncio import sleep
from contextlib import closing, contextmanager, suppress
from contextvars import ContextVar
from types import SimpleNamespace

import pytest

from tests.support import client, wait_for
from wsgibg import (
    App,
    BackgroundTask,
    BackgroundTasks,
    Depends,
    ThreadExecutor,
    current_task,
    current_tasks,
    task,
    wrap,
)

COLOUR = ContextVar("colour", default="none")


@pytest.fixture(name="notes")
def _notes():
    return []


@pytest.fixture(name="surrounded")
def _surrounded(notes):
    """An app each attempt of whose tasks is between two notes."""
    app = App()

    @app.tasks.around_task
    @contextmanager
    def note(each):
        COLOUR.set("inside")
        notes.append(f"enter {each.args[0]}")
        try:
            yield
        finally:
            notes.append(f"leave {each.args[0]}")

    return app


def test_each_attempt_runs_inside_of_context_managers(surrounded, notes):
    """Sync or async, added by hand or by a task; in the context of the attempt."""

    def sync(word):
        notes.append(f"{word} {COLOUR.get()} {current_task().attempt}")
        if word == "a":
            current_tasks().add_task(sync, "added")

    async def quick(word):
        notes.append(f"{word} {COLOUR.get()}")

    async def hopping(word):
        await sleep(0)
        notes.append(f"{word} {COLOUR.get()} {current_task().attempt}")

    @surrounded.get("/")
    def read(tasks: BackgroundTasks):
        for func, word in ((sync, "a"), (quick, "b"), (hopping, "c")):
            tasks.add_task(func, word)

    client(surrounded).get("/")

    said = ["a inside 1", "b inside", "c inside 1", "added inside 1"]
    assert notes == [
        each
        for line in said
        for each in (f"enter {line.split()[0]}", line, f"leave {line.split()[0]}")
    ]
    assert COLOUR.get() == "none"


def test_the_first_surrounding_is_the_outermost(surrounded, notes):
    """And dependencies are resolved inside of all of them."""

    def dependency():
        notes.append("dependency")
        yield
        notes.append("exit")

    def work(word, found=Depends(dependency)):
        notes.append(word)

    surrounded.tasks.around_task(
        lambda each: closing(SimpleNamespace(close=lambda: notes.append("inner")))
    )
    surrounded.call(lambda: current_tasks().add_task(work, "task"))

    assert notes == ["enter task", "dependency", "task", "exit", "inner", "leave task"]


@pytest.mark.parametrize("swallows", [True, False])
def test_a_surrounding_cannot_undo_a_failure(surrounded, notes, caplog, swallows):
    """It sees the error; what failed is logged as failed, and tried again in a new one."""
    events = []
    surrounded.tasks.on_task(lambda event: events.append(event.kind))
    if swallows:
        surrounded.tasks.around_task(lambda each: suppress(ValueError))

    @surrounded.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(task(int, retries=1, backoff=0), "x")

    client(surrounded).get("/")
    wait_for(lambda: "failed" in events)

    assert notes == ["enter x", "leave x"] * 2
    assert events == ["added", "started", "retried", "started", "failed"]
    assert "invalid literal" in caplog.text


def test_a_surrounding_that_raises_fails_the_task(notes, caplog):
    """Going in or out; the other tasks run."""
    app = App()

    @app.tasks.around_task
    @contextmanager
    def failing(each):
        if each.args[0] == "in":
            raise LookupError("no way in")
        yield
        if each.args[0] == "out":
            raise LookupError("no way out")

    @app.get("/")
    def read(tasks: BackgroundTasks):
        for word in ("in", "out", "fine"):
            tasks.add_task(notes.append, word)

    client(app).get("/")

    assert notes == ["out", "fine"]
    assert caplog.text.count("LookupError: no way") == 2


def test_surroundings_hold_for_wrapped_applications_and_pools(notes):
    """Also where a collector has been adopted, and where the pool's thread runs the task."""
    executor = ThreadExecutor()

    def view(environ, start_response):
        environ["wsgibg.tasks"].add_task(lambda: notes.append(COLOUR.get()))
        environ["wsgibg.tasks"].adopt(
            BackgroundTasks([BackgroundTask(lambda: notes.append(COLOUR.get()))])
        )
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"hello"]

    wrapped = wrap(view, executor=executor)

    @wrapped.tasks.around_task
    @contextmanager
    def colour(each):
        COLOUR.set(threading.current_thread().name)
        yield

    client(wrapped).get("/")

    assert wrapped.shutdown() == []
    assert len(notes) == 2
    assert notes[0].startswith("wsgibg-task-")
    assert notes[0] == notes[1]


def test_what_makes_no_surrounding_is_refused():
    """Where it is given."""
    with pytest.raises(TypeError, match="was given 1, which cannot be called"):
        App().tasks.around_task(1)
