"""What happens after a response, in which order, and what happens if something fails there."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from textwrap import dedent

import pytest
from werkzeug.exceptions import NotFound
from werkzeug.test import create_environ
from werkzeug.wrappers import Response as WerkzeugResponse

from tests.support import client, wait_for
from wsgibg import (
    App,
    BackgroundTask,
    BackgroundTasks,
    Depends,
    HTTPException,
    Response,
    current_tasks,
    task,
)
from wsgibg.exceptions import ClosedResourceWarning, TaskRefused
from wsgibg.responses import JSONResponse, PlainTextResponse, StreamingResponse

COLOUR = contextvars.ContextVar("colour", default="none")


@pytest.fixture(name="notes")
def _notes():
    return []


@pytest.fixture(name="app")
def _app():
    return App()


class Body:
    """A body that notes what is done with it."""

    def __init__(self, notes, chunks=(b"one", b"two"), *, broken=False, stuck=False):
        self.notes, self.chunks = notes, iter(chunks)
        self.broken, self.stuck = broken, stuck

    def __iter__(self):
        return self

    def __next__(self):
        chunk = next(self.chunks, None)
        if chunk is None:
            if self.broken:
                raise OSError("broken body")
            raise StopIteration
        self.notes.append(chunk.decode())
        return chunk

    def close(self):
        self.notes.append("body closed")
        if self.stuck:
            raise OSError("stuck body")


class Noisy(BackgroundTasks):
    """Counts what is added."""

    count = 0

    def add_task(self, func, *args, **kwargs):
        self.count += 1
        return super().add_task(func, *args, **kwargs)


class Careless(BackgroundTasks):
    """Breaks the end of its request."""

    @property
    def has_options(self):
        if self.tasks:
            raise LookupError("surprise")
        return False

    @has_options.setter
    def has_options(self, value):
        pass


def resource(notes, name="exit"):
    """A dependency that notes its exit, and the error that it sees."""

    def dependency():
        try:
            yield
        except Exception as error:
            notes.append(f"{name} saw {type(error).__name__}")
            raise
        notes.append(name)

    return dependency


def start(app, path="/", method="GET"):
    """The app's iterable, as a server gets it."""
    return app(create_environ(path, method=method), lambda *args: None)


# --- the order -----------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
def test_body_then_exits_then_tasks(app, notes, streamed):
    """The body is sent, closes itself, the transaction is committed, then the tasks run."""

    @app.get("/", dependencies=[Depends(resource(notes))])
    def read(tasks: BackgroundTasks):
        tasks.add_task(notes.append, "task")
        return StreamingResponse(Body(notes)) if streamed else {"whole": True}

    response = client(app).get("/", buffered=False)
    assert "task" not in notes
    response.get_data()
    response.close()

    body = ["one", "two", "body closed"] if streamed else []
    assert notes == [*body, "exit", "task"]


def test_the_three_scopes(app, notes):
    """Before the first byte, after the last one, after the first attempts of the tasks."""
    scopes = ("function", "request", "tasks")
    exits = [Depends(resource(notes, scope), scope=scope) for scope in scopes]

    @app.get("/", dependencies=exits)
    def read(tasks: BackgroundTasks):
        tasks.add_task(notes.append, "task")

    def noting(environ, start_response):
        def begin(*args):
            notes.append("first byte")
            return start_response(*args)

        return app(environ, begin)

    client(noting).get("/")

    assert notes == ["function", "first byte", "request", "task", "tasks"]


def test_the_default_scope_of_a_ported_app(notes):
    """`dependency_scope="tasks"` is FastAPI's order."""
    app = App(dependency_scope="tasks")

    @app.get("/", dependencies=[Depends(resource(notes))])
    def read(tasks: BackgroundTasks):
        tasks.add_task(notes.append, "task")

    client(app).get("/")

    assert notes == ["task", "exit"]


def test_exits_without_tasks(app, notes):
    """Both late scopes are left, the inner one first."""

    def outer():
        yield
        notes.append("outer")

    def inner(value=Depends(outer)):
        yield
        notes.append("inner")

    @app.get("/{scope}")
    def read(scope: str, a=Depends(inner), b=Depends(resource(notes, "tasks"), scope="tasks")):
        pass

    client(app).get("/x")

    assert notes == ["inner", "outer", "tasks"]


def test_async_exits_and_tasks(app, notes):
    """The order is the same where everything hops."""

    async def dependency():
        yield
        notes.append("exit")

    async def later():
        notes.append("task")

    @app.get("/", dependencies=[Depends(dependency)])
    async def read(tasks: BackgroundTasks):
        tasks.add_task(later)

    client(app).get("/")

    assert notes == ["exit", "task"]


def test_add_task_after_a_yield_counts(app, notes):
    """The exit's task comes behind the handler's; also where there is no other."""

    def dependency(tasks: BackgroundTasks):
        yield
        tasks.add_task(notes.append, "from the exit")

    @app.get("/{number}", dependencies=[Depends(dependency)])
    def read(number: int, tasks: BackgroundTasks):
        if number:
            tasks.add_task(notes.append, "from the handler")

    client(app).get("/1")
    client(app).get("/0")

    assert notes == ["from the handler", "from the exit", "from the exit"]


def test_add_task_after_the_end_is_refused(app, notes):
    """By the parameter and by `current_tasks()`, with and without tasks before."""
    kept = []

    @app.get("/{number}")
    def read(number: int, tasks: BackgroundTasks):
        kept.append(tasks)
        kept.append(contextvars.copy_context().run)
        if number:
            tasks.add_task(notes.append, number)

    client(app).get("/0")
    client(app).get("/1")

    for collector in kept[::2]:
        with pytest.raises(TaskRefused, match="came after its request"):
            collector.add_task(print)
    for run in kept[1::2]:
        with pytest.raises(TaskRefused, match="came after its request"):
            run(lambda: current_tasks().add_task(print))
    assert notes == [1]


def test_a_collector_that_is_asked_for_too_late_is_closed(app, notes):
    """Where the request never had one."""
    runs = []

    def late():
        yield
        with pytest.raises(TaskRefused):
            current_tasks().add_task(print)
        notes.append("refused")

    @app.get("/plain")
    def read():
        runs.append(contextvars.copy_context().run)

    @app.get("/late", dependencies=[Depends(late, scope="tasks")])
    def read_late():
        pass

    client(app).get("/plain")
    client(app).get("/late")

    assert notes == ["refused"]
    with pytest.raises(TaskRefused):
        runs[0](lambda: current_tasks().add_task(print))


# --- one collector, merged -----------------------------------------------------------------


@pytest.mark.parametrize("many", [False, True])
def test_the_responses_tasks_come_behind_the_injected_ones(app, notes, many):
    """A single task or a collector."""

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(notes.append, "injected")
        by_hand = BackgroundTask(notes.append, "response's")
        return JSONResponse({}, background=BackgroundTasks([by_hand]) if many else by_hand)

    client(app).get("/")

    assert notes == ["injected", "response's"]


def test_the_background_of_the_injected_response(app, notes):
    """It is merged as well."""

    @app.get("/")
    def read(response: Response, tasks: BackgroundTasks):
        response.background = BackgroundTask(notes.append, "response's")
        tasks.add_task(notes.append, "injected")

    client(app).get("/")

    assert notes == ["injected", "response's"]


def test_the_requests_own_collector_as_the_responses(app, notes):
    """Nothing runs twice."""

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(notes.append, "once")
        return PlainTextResponse("", background=tasks)

    client(app).get("/")

    assert notes == ["once"]


def test_a_hand_made_collector_of_a_dependency_is_adopted(app, notes):
    """What is added to it later counts too."""

    def make() -> BackgroundTasks:
        tasks = BackgroundTasks()
        tasks.add_task(notes.append, "dependency")
        return tasks

    @app.get("/")
    def read(tasks: BackgroundTasks, made=Depends(make)):
        tasks.add_task(notes.append, "injected")
        made.add_task(task(notes.append, when="always"), "added to it")
        made.add_task(task(notes.append, when="error"), "unwanted")

    client(app).get("/")

    assert notes == ["dependency", "injected", "added to it"]


def test_a_subclass_is_built(app, notes):
    """Its `add_task` is used, and the other parameters get the same object."""

    @app.get("/")
    def read(tasks: Noisy, again: BackgroundTasks | None):
        assert type(tasks) is Noisy
        assert tasks is again
        again.add_task(notes.append, "ran")
        notes.append(f"{tasks.count} added")

    client(app).get("/")

    assert notes == ["1 added", "ran"]


def test_a_werkzeug_response_is_served_with_the_tasks_behind_it(app, notes):
    """Its own callbacks run in its `close()`."""

    @app.get("/{number}")
    def read(number: int, tasks: BackgroundTasks):
        response = WerkzeugResponse("hello")
        response.call_on_close(lambda: notes.append("closed"))
        if number:
            tasks.add_task(notes.append, "task")
        return response

    assert client(app).get("/1").text == "hello"
    assert client(app).get("/0").text == "hello"

    assert notes == ["closed", "task", "closed"]


# --- errors --------------------------------------------------------------------------------


def test_a_failing_task_reaches_nobody(app, notes, caplog):
    """No dependency, no exception handler, no server."""

    @app.exception_handler(Exception)
    def handle(request, error):
        notes.append("handled")

    def fail():
        raise HTTPException(409)

    @app.get("/", dependencies=[Depends(resource(notes, "late"), scope="tasks")])
    def read(tasks: BackgroundTasks):
        tasks.add_task(fail)
        tasks.add_task(notes.append, "task")
        return {}

    assert client(app).get("/").status_code == 200

    assert notes == ["task", "late"]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


@pytest.mark.parametrize("error", [HTTPException(409), NotFound(), ValueError("bad")], ids=repr)
def test_a_handler_that_raises_drops_its_tasks(app, notes, error, caplog):
    """With a warning for each, without a traceback."""

    @app.get("/", dependencies=[Depends(resource(notes))])
    def read(tasks: BackgroundTasks):
        tasks.add_task(notes.append, "unwanted")
        raise error

    assert client(app).get("/").status_code >= 400

    assert notes == [f"exit saw {type(error).__name__}"]
    (record,) = [each for each in caplog.records if each.name == "wsgibg.background"]
    assert (record.levelname, record.exc_info) == ("WARNING", None)
    assert record.task_id
    assert f"was dropped: its request failed ({type(error).__name__}" in record.getMessage()


def test_a_validation_error_drops_tasks_too(app, notes, caplog):
    """A dependency had added one before the wrong value was met."""

    def dependency(tasks: BackgroundTasks):
        tasks.add_task(notes.append, "unwanted")
        tasks.add_task(task(notes.append, when="error"), "error")

    @app.get("/", dependencies=[Depends(dependency)])
    def read(number: int):
        pass

    assert client(app).get("/?number=x").status_code == 422

    assert notes == ["error"]
    assert "RequestValidationError" in caplog.text


@pytest.mark.parametrize("failing", [False, True])
def test_conditions(app, notes, failing):
    """What runs after a success, and after a failure."""

    @app.get("/")
    def read(tasks: BackgroundTasks):
        for when in ("returned", "delivered", "error", "always"):
            tasks.add_task(task(notes.append, when=when), when)
        if failing:
            raise HTTPException(409)

    client(app).get("/")

    assert notes == (["error", "always"] if failing else ["returned", "delivered", "always"])


def test_the_answer_to_an_error_brings_tasks_of_its_own(app, notes, caplog):
    """They belong to that answer, as in Starlette, and run; the handler's do not."""
    shared = BackgroundTask(notes.append, "handler's answer")

    @app.exception_handler(LookupError)
    def handle(request, error):
        return JSONResponse({}, status_code=404, background=shared)

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(notes.append, "unwanted")
        raise LookupError

    assert client(app).get("/").status_code == 404

    assert notes == ["handler's answer"]
    assert shared.options is None


@pytest.mark.parametrize("scope", ["request", "function"])
def test_an_exit_that_raises_drops_the_tasks(app, notes, scope, caplog):
    """The commit failed: nothing of what was to follow it is true any more."""

    def transaction():
        yield
        raise OSError("no commit")

    @app.get("/", dependencies=[Depends(transaction, scope=scope)])
    def read(tasks: BackgroundTasks):
        tasks.add_task(notes.append, "unwanted")
        tasks.add_task(task(notes.append, when="error"), "error")

    status = client(app).get("/").status_code

    assert status == (200 if scope == "request" else 500)
    assert notes == ["error"]
    assert "no commit" in caplog.text


async def yields_twice_async():
    yield
    yield


async def suspends_and_yields_twice():
    yield
    await asyncio.sleep(0)
    yield


async def fails_async():
    yield
    raise LookupError("async exit")


async def fails_at_runtime():
    yield
    raise RuntimeError("async exit")


def yields_twice():
    yield
    yield


@pytest.mark.parametrize(
    ("dependency", "message"),
    [
        (yields_twice, "yielded twice"),
        (yields_twice_async, "yielded twice"),
        (suspends_and_yields_twice, "yielded twice"),
        (fails_async, "async exit"),
        (fails_at_runtime, "async exit"),
    ],
)
def test_every_kind_of_exit_that_fails_drops_the_tasks(app, notes, dependency, message, caplog):
    """Sync or async, by an error or by a second yield."""

    @app.get("/", dependencies=[Depends(dependency)])
    def read(tasks: BackgroundTasks):
        tasks.add_task(notes.append, "unwanted")

    assert client(app).get("/").status_code == 200

    assert notes == []
    assert message in caplog.text
    assert "was dropped: an exit of its request raised" in caplog.text


def test_a_late_exit_that_raises_is_logged(app, notes, caplog):
    """The tasks have run; the server hears nothing."""

    def transaction():
        yield
        raise OSError("too late")

    @app.get("/", dependencies=[Depends(transaction, scope="tasks")])
    def read(tasks: BackgroundTasks):
        tasks.add_task(notes.append, "task")

    client(app).get("/")

    assert notes == ["task"]
    assert "An exit raised OSError('too late') after the tasks." in caplog.text


def test_the_servers_exception_leaves_an_exit(app, notes, caplog):
    """What a signal handler raises during an exit is raised again; the tasks are dropped."""

    def leave(number, frame):
        sys.exit(1)

    def slow():
        yield
        signal.raise_signal(signal.SIGALRM)

    @app.get("/", dependencies=[Depends(slow)])
    def read(tasks: BackgroundTasks):
        tasks.add_task(notes.append, "unwanted")

    before = signal.signal(signal.SIGALRM, leave)
    try:
        body = start(app)
        list(body)
        with pytest.raises(SystemExit):
            body.close()
    finally:
        signal.signal(signal.SIGALRM, before)

    assert notes == []
    assert "was dropped" in caplog.text


def test_an_exits_own_exit_is_its_failure(app, notes, caplog):
    """`sys.exit()` in an exit does not stop the server."""

    def leaving():
        yield
        sys.exit(1)

    @app.get("/", dependencies=[Depends(leaving)])
    def read():
        pass

    assert client(app).get("/").status_code == 200
    assert "An exit raised SystemExit: 1" in caplog.text


def test_an_interrupted_handler_ends_its_request(app, notes, caplog):
    """The server gets its exception; dependencies see it, tasks are dropped."""

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(notes.append, "unwanted")
        raise SystemExit(1)

    with pytest.raises(SystemExit):
        start(app)

    assert notes == []
    assert "was dropped: its request was interrupted (SystemExit: 1)" in caplog.text


# --- delivered or not ----------------------------------------------------------------------


def delivering(app, notes, make):
    """A route with one task that waits for the delivery and one that does not."""

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(notes.append, "returned")
        tasks.add_task(task(notes.append, when="delivered"), "delivered")
        return make()

    @app.head("/")
    def head(tasks: BackgroundTasks):
        return read(tasks)


async def chunks():
    yield b"one"
    yield b"two"


BODIES = {
    "data": dict,
    "stream": lambda: StreamingResponse(Body([])),
    "async stream": lambda: StreamingResponse(chunks()),
    "text": lambda: StreamingResponse(iter(["one", "two"])),
}


@pytest.mark.parametrize("kind", BODIES)
def test_a_body_that_was_iterated_to_its_end_is_delivered(app, notes, kind):
    """Of one chunk or of several."""
    delivering(app, notes, BODIES[kind])

    client(app).get("/")

    assert notes == ["returned", "delivered"]


@pytest.mark.parametrize("kind", BODIES)
def test_a_client_that_is_gone(app, notes, kind, caplog):
    """The server closes a body that it has not iterated to its end."""
    delivering(app, notes, BODIES[kind])
    body = start(app)
    if kind != "data":
        next(iter(body))

    body.close()

    assert notes == ["returned"]
    assert "was dropped: the body was not delivered whole" in caplog.text


def test_a_promised_length_that_was_reached_is_delivered(app, notes):
    """The server need not ask for the end."""
    delivering(app, notes, lambda: StreamingResponse(Body([]), headers={"Content-Length": "6"}))
    body = start(app)
    next(body)
    next(body)

    body.close()

    assert notes == ["returned", "delivered"]


def test_a_single_chunk_may_be_taken_with_next(app, notes):
    """Its iterator is as good as the iterable itself."""
    delivering(app, notes, dict)
    body = start(app)

    assert next(body) == b"{}"
    body.close()

    assert notes == ["returned", "delivered"]


def test_no_body_is_delivered(app, notes):
    """HEAD, and a status that has no content."""
    delivering(app, notes, lambda: Response(status_code=204))

    client(app).head("/")
    client(app).get("/")

    assert notes == ["returned", "delivered"] * 2


@pytest.mark.parametrize("with_exit", [False, True])
def test_a_body_that_breaks(app, notes, with_exit, caplog):
    """It is closed, dependencies see the error, the server too; tasks are dropped (FastAPI)."""
    exits = [Depends(resource(notes))] * with_exit
    late = Depends(resource(notes, "late"), scope="tasks")

    @app.get("/", dependencies=[*exits, late])
    def read(tasks: BackgroundTasks):
        tasks.add_task(notes.append, "unwanted")
        tasks.add_task(task(notes.append, when="error"), "error")
        return StreamingResponse(Body(notes, broken=True))

    body = start(app)
    with pytest.raises(OSError, match="broken body"):
        list(body)
    body.close()
    body.close()

    seen = ["exit saw OSError"] * with_exit
    assert notes == ["one", "two", "body closed", *seen, "late saw OSError", "error"]
    assert "was dropped: its response broke (OSError: broken body)" in caplog.text


def test_an_exit_that_fails_over_a_broken_body(app, notes, caplog):
    """Its own error is logged; the server hears of the body's."""

    def dependency():
        try:
            yield
        except OSError:
            raise LookupError("rollback failed") from None

    @app.get("/", dependencies=[Depends(dependency)])
    def read():
        return StreamingResponse(Body(notes, broken=True))

    body = start(app)
    with pytest.raises(OSError, match="broken body"):
        list(body)
    body.close()

    assert "An exit raised LookupError('rollback failed') after the body had broken" in caplog.text


def test_a_broken_body_without_anything_else(app, notes, caplog):
    """Nothing waits for it, and what is closed gives nothing more."""

    @app.get("/")
    def read():
        return StreamingResponse(Body(notes, broken=True))

    body = start(app)
    with pytest.raises(OSError, match="broken body"):
        list(body)
    body.close()

    assert list(body) == []


def test_a_body_whose_close_raises(app, notes):
    """The request ends all the same, once; the error is the server's to log."""

    @app.get("/", dependencies=[Depends(resource(notes))])
    def read(tasks: BackgroundTasks):
        tasks.add_task(notes.append, "task")
        return StreamingResponse(Body(notes, stuck=True))

    body = start(app)
    assert b"".join(body) == b"onetwo"
    with pytest.raises(OSError, match="stuck body"):
        body.close()
    body.close()

    assert notes == ["one", "two", "body closed", "exit", "task"]


def test_a_body_that_breaks_and_whose_close_raises(app, notes, caplog):
    """Server and dependencies see the first error, the log has both; nothing is left open."""

    @app.get("/", dependencies=[Depends(resource(notes))])
    def read():
        return StreamingResponse(Body(notes, broken=True, stuck=True))

    body = start(app)
    with pytest.raises(OSError, match="broken body"):
        list(body)
    body.close()

    assert "stuck body" in caplog.text
    assert notes == ["one", "two", "body closed", "exit saw OSError"]


@pytest.mark.parametrize("streamed", [False, True])
def test_closing_twice_ends_once(app, notes, streamed):
    """Some servers do."""

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(notes.append, "task")
        return StreamingResponse(Body([])) if streamed else {}

    body = start(app)
    list(body)
    body.close()
    body.close()

    assert notes == ["task"]


# --- nobody closes -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BODIES)
def test_a_response_that_nobody_closes(app, notes, kind):
    """A thread of its own ends the request, in order, and warns where tasks were waiting."""
    exits = []

    @app.get("/", dependencies=[Depends(resource(exits))])
    def read(tasks: BackgroundTasks):
        tasks.add_task(notes.append, "task")
        return BODIES[kind]()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        list(start(app))
        wait_for(lambda: [each for each in caught if each.category is ResourceWarning])

    assert notes == ["task"]
    assert exits == ["exit"]
    (warning,) = [each for each in caught if each.category is ResourceWarning]
    assert "without close(), with 1 background tasks waiting" in str(warning.message)


def test_an_unclosed_body_is_closed_before_the_exits(app, notes):
    """The order is the same as with `close()`; without tasks there is no warning."""

    @app.get("/", dependencies=[Depends(resource(notes))])
    def read():
        return StreamingResponse(Body(notes))

    list(start(app))
    wait_for(lambda: "exit" in notes)

    assert notes == ["one", "two", "body closed", "exit"]


def test_an_unclosed_body_that_was_not_iterated_is_not_delivered(app, notes):
    """As with `close()`."""
    delivering(app, notes, dict)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start(app)
        gc.collect()
        wait_for(lambda: notes)

    assert notes == ["returned"]


def test_an_unclosed_body_whose_close_raises(app, notes, caplog):
    """There is nobody to tell but the log."""

    @app.get("/", dependencies=[Depends(resource(notes))])
    def read():
        return StreamingResponse(Body(notes, stuck=True))

    list(start(app))
    wait_for(lambda: "could not be closed" in caplog.text)

    assert notes[-1] == "exit"


def test_tasks_run_although_the_interpreter_ends():
    """No thread can be started then."""
    program = """
        import warnings
        from wsgibg import App, BackgroundTasks
        warnings.simplefilter("ignore")
        app = App()
        @app.get("/")
        def read(tasks: BackgroundTasks):
            tasks.add_task(print, "ran", flush=True)
        body = app({"PATH_INFO": "/", "REQUEST_METHOD": "GET"}, lambda *args: None)
    """
    done = subprocess.run(
        [sys.executable, "-c", dedent(program)],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (done.stdout, done.returncode) == ("ran\n", 0)


def test_tasks_run_although_no_thread_can_be_started(app, notes, monkeypatch):
    """The process has as many as it may have: then here and now."""

    def refuse(*args):
        raise RuntimeError("can't start new thread")

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(notes.append, "task")

    monkeypatch.setattr("_thread.start_new_thread", refuse)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        list(start(app))
        gc.collect()

    assert notes == ["task"]


# --- the context ---------------------------------------------------------------------------


def test_nothing_leaks_into_the_next_request(app, notes):
    """A variable set in a handler, dependency, step of a body, exit or task is gone."""

    def change():
        notes.append(COLOUR.get())
        COLOUR.set("changed")

    def steps():
        change()
        yield b""

    def dependency():
        change()
        yield
        COLOUR.set("exit")

    @app.get("/", dependencies=[Depends(dependency)])
    def read(tasks: BackgroundTasks):
        COLOUR.set("handler")
        tasks.add_task(COLOUR.set, "task")
        return StreamingResponse(steps())

    client(app).get("/")
    client(app).get("/")

    assert notes == ["none", "handler"] * 2
    assert COLOUR.get() == "none"
    with pytest.raises(RuntimeError, match="outside a request"):
        current_tasks()


def test_a_token_is_reset_in_the_exit(app, notes):
    """Both halves of a dependency see the same context."""

    def dependency():
        token = COLOUR.set("dependency")
        yield
        COLOUR.reset(token)
        notes.append(COLOUR.get())

    @app.get("/", dependencies=[Depends(dependency)])
    def read(tasks: BackgroundTasks):
        tasks.add_task(lambda: notes.append(COLOUR.get()))

    client(app).get("/")

    assert notes == ["none", "dependency"]


# --- closed resources ----------------------------------------------------------------------


class Session:
    closed = False

    def close(self):
        self.closed = True

    def __repr__(self):
        return "<Session>"


def get_session():
    session = Session()
    yield session
    session.close()


@pytest.mark.parametrize("named", [False, True])
def test_a_resource_that_will_be_closed_is_warned_about_in_the_handler(app, notes, named):
    """The message names the task, the value and the remedy; the place is the call."""

    @app.get("/")
    def read(tasks: BackgroundTasks, session=Depends(get_session)):
        args, kwargs = ((), {"session": session}) if named else ((session,), {})
        with pytest.warns(ClosedResourceWarning) as caught:
            tasks.add_task(lambda session: None, *args, **kwargs)
        notes.extend(caught)

    client(app).get("/")

    (warning,) = notes
    assert warning.filename == __file__
    assert "is given <Session>, which its dependency closes" in str(warning.message)
    assert 'scope="tasks"' in str(warning.message)


def test_what_stays_open_or_is_no_resource_is_not_warned_about(app, notes):
    """A value of the scope "tasks", a plain value, a resource of one's own."""

    def get_number():
        yield 4711

    @app.get("/")
    def read(
        tasks: BackgroundTasks,
        number=Depends(get_number),
        session=Depends(get_session, scope="tasks"),
    ):
        tasks.add_task(lambda *args: notes.append(session.closed), number, session, Session())

    client(app).get("/")

    assert notes == [False]


# --- what does not fit ---------------------------------------------------------------------


def test_the_end_of_a_request_never_raises(app, notes, caplog):
    """Whatever fails in it; the server would cut the response off."""

    @app.get("/")
    def read(tasks: Careless):
        tasks.add_task(notes.append, "task")

    assert client(app).get("/").status_code == 200
    assert "The end of a request failed." in caplog.text


def test_a_collector_made_in_a_handler_and_forgotten_warns(caplog):
    """It is not the request's."""
    with caplog.at_level(logging.WARNING):
        app = App()

        @app.get("/")
        def read():
            BackgroundTasks().add_task(print)

        client(app).get("/")
        gc.collect()

    assert "was thrown away with its tasks" in caplog.text
