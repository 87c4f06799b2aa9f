"""Ways to lose a task, or to run one twice, that were tried; each task runs once or is told of."""

from __future__ import annotations

import asyncio
import copy
import gc
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Annotated

import pytest
from pydantic import AfterValidator, BaseModel
from werkzeug.test import create_environ

from tests.support import client
from wsgibg import (
    App,
    BackgroundTask,
    BackgroundTasks,
    Depends,
    Response,
    ThreadExecutor,
    current_tasks,
    task,
)
from wsgibg.background import TaskRefused
from wsgibg.responses import FileResponse


class Model(BaseModel):
    """An optional body."""

    size: int = 1


@pytest.fixture(name="ran")
def _ran():
    return []


def call(app, path="/", method="GET", start=lambda *_: None):
    """Serve a request without a validator around it, to its end."""
    body = app(create_environ(path, method=method), start)
    chunks = list(body)
    if hasattr(body, "close"):
        body.close()
    return b"".join(chunks)


def audit(value):
    """A validator that records what it saw by a task."""
    current_tasks().add_task(audited.append, value)
    return value


#: What the tasks of `audit` recorded.
audited: list = []


def test_a_task_that_a_validator_adds_runs():
    """Validators are somebody's code as well, and may be the first to ask for the collector."""
    app = App()

    @app.get("/")
    def read(q: Annotated[int, AfterValidator(audit)], tasks: BackgroundTasks):
        tasks.add_task(audited.append, "handler")

    audited.clear()
    client(app).get("/?q=1")

    assert audited == [1, "handler"]


def test_a_validator_runs_once_where_the_request_is_valid():
    """An optional body that is absent does not have the other values read again."""
    app = App()

    @app.post("/")
    def read(q: Annotated[int, AfterValidator(audit)], model: Model = Model()):
        return model

    audited.clear()

    assert client(app).post("/?q=1").json == {"size": 1}
    assert audited == [1]


def test_a_task_that_a_child_of_the_last_async_task_adds_runs(ran):
    """It is added after the pass has looked for the last time."""
    app = App()

    async def child(tasks):
        tasks.add_task(ran.append, "late")

    async def parent(tasks):
        await asyncio.sleep(0)
        asyncio.create_task(child(tasks))  # noqa: RUF006 (it ends at once)

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(parent, tasks)

    for _ in range(20):
        client(app).get("/")

    refused = 20 - len(ran)  # refused in the child, where its own code can see it
    assert ran == ["late"] * (20 - refused)


@pytest.mark.parametrize("asks", [True, False], ids=["parameter", "current_tasks"])
def test_a_task_that_start_response_adds_runs(ran, asks):
    """Middleware is called while the response starts."""
    app = App()

    if asks:

        @app.get("/")
        def read(tasks: BackgroundTasks):
            return {}
    else:

        @app.get("/")
        def read():
            return {}

    call(app, start=lambda *_: current_tasks().add_task(ran.append, "middleware"))

    assert ran == ["middleware"]


def test_a_task_that_start_response_adds_to_a_file_runs(ran, tmp_path):
    """Also where the server would have sent the file by itself."""
    app, path = App(), tmp_path / "file"
    path.write_bytes(b"content")

    @app.get("/")
    def read(tasks: BackgroundTasks):
        return FileResponse(path)

    assert call(app, start=lambda *_: current_tasks().add_task(ran.append, 1)) == b"content"
    assert ran == [1]


def test_a_collector_in_a_circle_with_its_tasks_warns_too(caplog):
    """Nothing but the garbage collector can find it."""
    tasks = BackgroundTasks()
    tasks.add_task(print, tasks)

    del tasks
    gc.collect()

    assert "thrown away with its tasks (builtins.print)" in caplog.text


@pytest.mark.parametrize("answer", [{}, Response("x")], ids=["data", "a response"])
def test_the_injected_responses_tasks_run(ran, answer):
    """Whatever the handler returns besides."""
    app = App()

    @app.get("/")
    def read(response: Response):
        response.background = BackgroundTask(ran.append, 1)
        return answer

    client(app).get("/")

    assert ran == [1]


def test_the_injected_responses_tasks_are_dropped_aloud(caplog):
    """When the request fails, they are told of like any other."""
    app = App()

    @app.get("/")
    def read(response: Response):
        response.background = BackgroundTask(print)
        raise ValueError

    client(app).get("/")

    assert "Background task builtins.print" in caplog.text
    assert "was dropped" in caplog.text


def test_an_exit_may_be_the_first_to_ask_for_the_collector(ran):
    """The tasks come after it, also when it comes after the response."""
    app = App()

    def leaving() -> Iterator[None]:
        yield
        current_tasks().add_task(ran.append, 1)

    @app.get("/", dependencies=[Depends(leaving)])
    def read():
        return {}

    client(app).get("/")

    assert ran == [1]


@pytest.mark.parametrize("scope", ["function", "request"])
def test_what_an_exit_sets_on_the_injected_response_runs(ran, scope):
    """An exit comes before the tasks."""
    app = App()

    def leaving(response: Response) -> Iterator[None]:
        yield
        response.background = BackgroundTask(ran.append, 1)

    @app.get("/", dependencies=[Depends(leaving, scope=scope)])
    def read():
        return {}

    client(app).get("/")

    assert ran == [1]


def test_an_exit_whose_error_cannot_be_shown_drops_the_tasks_aloud(caplog):
    """Its own `__repr__` fails as well."""
    app = App()

    class Unspeakable(Exception):
        def __repr__(self):
            raise RuntimeError

        __str__ = __repr__

    def leaving() -> Iterator[None]:
        yield
        raise Unspeakable

    @app.get("/", dependencies=[Depends(leaving)])
    def read(tasks: BackgroundTasks):
        tasks.add_task(print)

    logging.raiseExceptions = False
    try:
        client(app).get("/")
    finally:
        logging.raiseExceptions = True

    assert any("builtins.print" in str(record.args) for record in caplog.records)


def test_awaiting_a_collector_runs_each_task_once(ran):
    """What has run is gone from it, also where a later one fails."""
    app = App()

    def fail():
        raise LookupError

    @app.get("/")
    async def read(tasks: BackgroundTasks):
        tasks.add_task(ran.append, 1)
        tasks.add_task(fail)
        tasks.add_task(ran.append, 2)
        with pytest.raises(LookupError):
            await tasks()

    client(app).get("/")

    assert ran == [1, 2]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_iterating_without_closing_has_the_body_first(ran):
    """A careless middleware loops over the iterable and lets it go."""
    app = App()
    ended = threading.Event()

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(ran.append, "task")
        tasks.add_task(ended.set)
        return {}

    def middleware(environ, start_response):
        yield from (chunk for chunk in app(environ, start_response))

    body = middleware(create_environ("/"), lambda *_: None)
    for _ in body:
        ran.append("chunk")
    assert ended.wait(5)

    assert ran == ["chunk", "task"]


def test_a_task_with_options_leaves_the_collector_open(ran):
    """What a running task adds to the request's collector joins the pass all the same."""
    app = App()

    def more(tasks):
        tasks.add_task(ran.append, "more")

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(task(more, when="always"), tasks)

    client(app).get("/")

    assert ran == ["more"]


def test_a_collector_cannot_be_copied():
    """The copy's tasks would run twice, or never."""
    with pytest.raises(TypeError, match="cannot be copied"):
        copy.copy(BackgroundTasks())


def test_threads_that_add_while_the_request_ends_lose_nothing(ran):
    """Each `add_task` either has its task run or is refused."""
    app = App()
    accepted, refused = [], []

    def adding(tasks, stop):
        while not stop.is_set():
            try:
                tasks.add_task(ran.append, 1)
                accepted.append(1)
            except TaskRefused:
                refused.append(1)
                return

    @app.get("/")
    def read(tasks: BackgroundTasks):
        stop = threading.Event()
        thread = threading.Thread(target=adding, args=(tasks, stop))
        thread.start()
        threads.append((thread, stop))

    threads: list = []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(50):
            client(app).get("/")
            thread, stop = threads.pop()
            stop.set()
            thread.join()
    finally:
        sys.setswitchinterval(interval)

    assert len(ran) == len(accepted)


@pytest.mark.parametrize("over", [False, True], ids=["while it runs", "when it is over"])
def test_a_thread_that_is_just_adding_when_the_batch_is_divided(ran, over):
    """It had been asked whether the request is over before it was: it joins, or is refused."""
    app = App(executor=ThreadExecutor(workers=1))
    asking, ask, gate, refused = (threading.Event() for _ in range(4))

    @app.tasks.on_task
    def slowly(event):
        if event.kind == "added" and event.task.args == ("late",):
            asking.set()
            ask.wait(10)

    def adding(tasks):
        try:
            tasks.add_task(task(ran.append, timeout=60), "late")
        except TaskRefused:
            refused.set()

    threads: list = []

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(task(gate.wait, when="always"), 10)
        threads.append(threading.Thread(target=adding, args=(tasks,)))
        threads[0].start()
        assert asking.wait(10)

    client(app).get("/")
    if over:
        gate.set()
        assert app.drain(10) == []
    ask.set()
    threads[0].join(10)
    gate.set()
    assert app.drain(10) == []

    assert ran == ([] if over else ["late"])
    assert refused.is_set() == over


def test_a_task_may_add_to_the_collector_of_a_request_that_was_divided(ran):
    """Also where the executor that got the first tasks has ended with them."""
    app = App(executors={"pool": ThreadExecutor(workers=1)})

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(ran.append, "inline")
        tasks.add_task(task(lambda: tasks.add_task(ran.append, "added"), executor="pool"))

    client(app).get("/")
    assert app.drain(10) == []
    assert ran == ["inline", "added"]


def test_a_script_that_never_closes_its_last_response_runs_its_tasks():
    """The process waits for the thread that ends the request."""
    script = """
from time import sleep
from werkzeug.test import Client
from wsgibg import App, BackgroundTasks
app = App()
def slow(): sleep(0.2); print("ran", flush=True)
@app.get("/")
def read(tasks: BackgroundTasks): tasks.add_task(slow)
Client(app).get("/")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )

    assert done.stdout == "ran\n"
