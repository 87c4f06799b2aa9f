"""`wsgibg._observers`: watching the tasks of every manager in the process, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support import client
from wsgibg import (
    App,
    BackgroundTask,
    BackgroundTasks,
    Executor,
    HTTPException,
    InlineExecutor,
    TaskManager,
    task,
)
from wsgibg._observers import Observer, observe, observers, unobserve
from wsgibg.background import request_collector


@contextmanager
def watching(observer: Observer) -> Iterator[None]:
    """Have an observer watch in this block."""
    observe(observer)
    try:
        yield
    finally:
        unobserve(observer)


class Notes(Observer):
    """Notes what it hears."""

    every = True

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def task_added(self, host: Any, task: BackgroundTask) -> None:
        self.heard.append(("added", host, task.name))

    def failed(self, task: BackgroundTask, error: BaseException) -> None:
        self.heard.append(("failed", type(error), task.name))

    def not_run(self, host: Any, kind: str, task: BackgroundTask, reason: str) -> None:
        self.heard.append((kind, host, task.name))


def make_app(**options: Any) -> App:
    """An application whose one handler adds two tasks, and may fail after that."""
    app = App(**options)

    @app.get("/")
    def add(tasks: BackgroundTasks, fails: bool = False) -> None:
        tasks.add_task(int, "1")
        tasks.add_task(int, "x")
        if fails:
            raise HTTPException(401)

    return app


def test_nobody_watches():
    """What a server has: an empty list, and plain tasks that are shown to nobody."""
    app = make_app()
    client(app).get("/")

    assert observers == []
    assert app.tasks.checks is False


def test_an_application_that_was_there_before():
    """Its compiled routes show their tasks from now on, and still do later."""
    app, notes = make_app(), Notes()
    client(app).get("/")

    with watching(notes):
        client(app).get("/")

    added = ("added", app.tasks, "builtins.int")
    assert notes.heard == [added, added, ("failed", ValueError, "builtins.int")]
    client(app).get("/")
    assert len(notes.heard) == 3


def test_an_application_that_is_made_meanwhile():
    """It shows its tasks from the first request."""
    notes = Notes()

    with watching(notes):
        app = make_app()
        client(app).get("/?fails=1")

    kinds = ["added", "added", "dropped", "dropped"]
    assert notes.heard == [(kind, app.tasks, "builtins.int") for kind in kinds]


def test_an_observer_that_hears_of_ends_only():
    """It makes nobody show tasks."""

    class Ends(Notes):
        every = False

    app, notes = make_app(), Ends()

    with watching(notes):
        client(app).get("/")
        assert TaskManager(InlineExecutor()).checks is False

    assert notes.heard == [("failed", ValueError, "builtins.int")]
    assert app.tasks.checks is False


def test_a_base_observer_changes_nothing():
    """Each of its methods leaves things as they are."""

    class Watcher(Observer):
        every = True

    ran: list[int] = []

    @task(retries=1, backoff=0.01)
    def flaky() -> None:
        ran.append(1)
        if len(ran) == 1:
            raise OSError

    app = make_app()

    @app.get("/flaky")
    def add(tasks: BackgroundTasks) -> None:
        tasks.add_task(flaky)

    with watching(Watcher()):
        client(app).get("/?fails=1")
        client(app).get("/")
        client(app).get("/flaky")
        assert app.drain(10) == []

    assert ran == [1, 1]


def test_a_task_that_was_added_outside_of_a_request():
    """It is shown, and its batch can be taken aside."""

    class Taking(Notes):
        def executor_for(self, batch: Any, executor: Any) -> Any:
            return store

    store, notes = Store(), Taking()
    manager = App().tasks

    with watching(notes):
        tasks = request_collector(manager, asks=True)
        tasks.adopt(BackgroundTask(int, "1"))
        manager.submit(tasks)

    assert notes.heard == [("added", manager, "builtins.int")]
    assert store.asked == ["submit"]


class Store(Executor):
    """A durable executor that only notes what is asked of it."""

    durable = True

    def __init__(self) -> None:
        self.asked: list[str] = []

    def hold(self, batch: BackgroundTasks) -> None:
        self.asked.append("hold")

    def submit(self, batch: BackgroundTasks) -> None:
        self.asked.append("submit")


@pytest.mark.parametrize(("holds", "asked"), [(True, ["hold", "submit"]), (False, ["submit"])])
def test_a_durable_executor_is_asked_to_hold_nothing(holds, asked):
    """Where an observer takes the tasks: a test leaves nothing in a store."""
    observer = Observer()
    observer.holds = holds
    store = Store()

    with watching(observer):
        client(make_app(executor=store)).get("/")

    assert store.asked == asked
