"""Applications inside each other: who collects where, who runs what, and in which order."""

from __future__ import annotations

import logging

import pytest
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import create_environ

from tests.support import client
from wsgibg import (
    App,
    BackgroundTasks,
    Depends,
    HTTPException,
    InlineExecutor,
    TaskManager,
    ThreadExecutor,
    current_tasks,
    task,
    wrap,
)
from wsgibg.embedding import inject
from wsgibg.responses import StreamingResponse, WSGIResponse

TEXT = [("Content-Type", "text/plain")]
EXECUTORS = {"inline": InlineExecutor, "thread": lambda: ThreadExecutor(workers=1)}


@pytest.fixture(params=EXECUTORS)
def manager(request):
    """One for all layers, so that no options differ."""
    manager = TaskManager(EXECUTORS[request.param]())
    yield manager
    assert manager.shutdown() == []


@pytest.fixture
def notes():
    return []


def note(notes, word):
    notes.append(word)


def legacy(notes, name="legacy", answer=lambda: [b"hello"]):
    """A bare application with a task for each condition, and with one request's collector."""

    def app(environ, start_response):
        assert environ["wsgibg.tasks"] is current_tasks()
        add(notes, current_tasks(), name)
        start_response("200 OK", TEXT)
        return answer()

    return app


def add(notes, tasks, name):
    tasks.add_task(note, notes, f"{name} returned")
    for when in ("delivered", "error", "always"):
        tasks.add_task(task(note, when=when), notes, f"{name} {when}")


def modern(notes, manager, name="modern"):
    """An app whose requests have an exit, tasks, a stream, and failures."""
    app = App(tasks=manager)

    def resource():
        try:
            yield
        finally:
            notes.append(f"{name} exit")

    @app.get("/", dependencies=[Depends(resource)])
    def whole(tasks: BackgroundTasks):
        assert tasks is current_tasks()
        add(notes, tasks, name)

    @app.get("/stream", dependencies=[Depends(resource)])
    def stream():
        def chunks():
            yield b"one "
            current_tasks().add_task(note, notes, f"{name} from the stream")
            yield b"two"
            notes.append(f"{name} body")

        return StreamingResponse(chunks())

    @app.get("/failing", dependencies=[Depends(resource)])
    def failing(tasks: BackgroundTasks):
        add(notes, tasks, name)
        raise HTTPException(409)

    @app.get("/breaking", dependencies=[Depends(resource)])
    def breaking(tasks: BackgroundTasks):
        add(notes, tasks, name)

        def chunks():
            yield b"one "
            raise LookupError("lost")

        return StreamingResponse(chunks())

    return app


def succeeded(name):
    return [f"{name} returned", f"{name} delivered", f"{name} always"]


def failed(name):
    return [f"{name} error", f"{name} always"]


def ask(app, manager, path="/"):
    answer = client(app).get(path)
    assert manager.drain(10) == []
    with pytest.raises(RuntimeError, match="outside a request"):
        current_tasks()
    return answer


def before(app, notes, name="outer"):
    """Middleware that adds tasks of its own before it asks an application."""

    def middleware(environ, start_response):
        add(notes, current_tasks(), name)
        body = app(environ, start_response)
        assert environ["wsgibg.tasks"] is current_tasks()  # an App inside has given it back
        return body

    return middleware


# --- a legacy application below an App -----------------------------------------------------


def test_a_wrapped_application_below_an_app(manager, notes):
    """The mount makes no request of its own: the wrap's is the only one."""
    app = App(tasks=manager)
    app.mount("/legacy", wrap(legacy(notes), tasks=manager))

    assert ask(app, manager, "/legacy/").text == "hello"
    assert notes == succeeded("legacy")


def test_an_app_around_a_legacy_application_inside_a_wrap(manager, notes, caplog):
    """Its own routes collect by themselves; below the mount there is the wrap's collector."""
    app = modern(notes, manager)
    app.mount("/legacy", legacy(notes))
    wrapped = wrap(app, tasks=manager)

    ask(wrapped, manager, "/legacy/")
    assert notes == succeeded("legacy")
    notes.clear()
    ask(wrapped, manager)
    assert notes == ["modern exit", *succeeded("modern")]


def test_views_below_a_mount_have_injected_parameters(manager, notes):
    """A wrap around the App or around the legacy application makes no difference."""

    @inject
    def view(environ, start_response, tasks: BackgroundTasks):
        return legacy(notes)(environ, start_response)

    for app in (wrap(view, tasks=manager), view):
        outer = App(tasks=manager)
        outer.mount("/legacy", app)
        notes.clear()
        ask(wrap(outer, tasks=manager) if app is view else outer, manager, "/legacy/")
        assert notes == succeeded("legacy")


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "wrapped"])
def test_a_handler_that_answers_by_a_legacy_application(manager, notes, wrapped):
    """Bare, it shares the handler's collector; wrapped, it hands its tasks to it."""
    app = App(tasks=manager)
    inner = wrap(legacy(notes), tasks=manager) if wrapped else legacy(notes)

    @app.get("/")
    def read(tasks: BackgroundTasks):
        add(notes, tasks, "handler")
        return WSGIResponse(inner)

    assert ask(app, manager).text == "hello"
    assert notes == [*succeeded("handler"), *succeeded("legacy")]


# --- an App below a legacy application -----------------------------------------------------


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("/", ["modern exit", *succeeded("outer"), *succeeded("modern")]),
        ("/stream", ["modern body", "modern exit", *succeeded("outer"), "modern from the stream"]),
        ("/failing", ["modern exit", *succeeded("outer"), *failed("modern")]),
    ],
)
def test_an_app_below_a_wrapped_application(manager, notes, caplog, path, steps):
    """Its tasks come behind those around it, and an error page of its own is a failure."""
    with caplog.at_level(logging.WARNING):
        app = DispatcherMiddleware(legacy(notes), {"/modern": modern(notes, manager)})
        ask(wrap(before(app, notes), tasks=manager), manager, f"/modern{path}")

    assert notes == steps
    assert "inside another" not in caplog.text


def test_an_app_below_a_wrapped_application_whose_stream_breaks(manager, notes):
    """Both requests have failed: the inner one and the one around it."""
    wrapped = wrap(before(modern(notes, manager), notes), tasks=manager)

    body = wrapped(create_environ("/breaking"), lambda *args: None)
    assert next(body) == b"one "
    with pytest.raises(LookupError, match="lost"):
        next(body)
    body.close()
    manager.drain(10)

    assert notes == ["modern exit", *failed("outer"), *failed("modern")]


def test_an_application_that_raises_after_an_app_inside_it(manager, notes):
    """What the App has handed over by then is the outer request's, and ends with it."""

    def middleware(environ, start_response):
        body = modern(notes, manager)(environ, start_response)
        b"".join(body)
        body.close()
        raise LookupError("lost")

    with pytest.raises(LookupError):
        wrap(middleware, tasks=manager)(create_environ("/"), lambda *args: None)
    manager.drain(10)

    assert notes == ["modern exit", "modern always"]


def test_two_apps_below_a_wrapped_application(manager, notes):
    """They follow each other in the order in which they end."""
    first, second = modern(notes, manager, "first"), modern(notes, manager, "second")

    def both(environ, start_response):
        for app in (first, second):
            body = app(dict(environ), start_response if app is second else lambda *args: None)
            if app is first:
                body.close()
        return body

    ask(wrap(before(both, notes), tasks=manager), manager)

    # (the first one's body was never read)
    not_read = ["first returned", "first always"]
    tasks = [*succeeded("outer"), *not_read, *succeeded("second")]
    assert notes == ["first exit", "second exit", *tasks]


# --- deeper --------------------------------------------------------------------------------


def test_an_app_inside_a_wrap_inside_an_app(manager, notes):
    """The mount of the outermost is transparent: one collector, that of the wrap."""
    outermost = App(tasks=manager)
    inside = before(modern(notes, manager), notes)
    outermost.mount("/legacy", wrap(inside, tasks=manager))

    ask(outermost, manager, "/legacy/")

    assert notes == ["modern exit", *succeeded("outer"), *succeeded("modern")]


def test_an_app_inside_a_wrap_inside_a_handler(manager, notes):
    """Three requests inside each other; all tasks are the outermost's in the end."""
    outermost = App(tasks=manager)
    inside = wrap(before(modern(notes, manager), notes), tasks=manager)

    def resource():
        yield
        notes.append("outermost exit")

    @outermost.get("/", dependencies=[Depends(resource)])
    def read(tasks: BackgroundTasks):
        add(notes, tasks, "outermost")
        return WSGIResponse(inside)

    ask(outermost, manager)

    tasks = [*succeeded("outermost"), *succeeded("outer"), *succeeded("modern")]
    assert notes == ["modern exit", "outermost exit", *tasks]


def test_a_wrap_inside_an_app_inside_a_wrap(manager, notes, caplog):
    """Below the App's mount the outer wrap's collector is used, with one warning."""
    app = App(tasks=manager)
    app.mount("/legacy", wrap(legacy(notes), tasks=manager))
    wrapped = wrap(before(app, notes), tasks=manager)

    for _ in range(2):
        ask(wrapped, manager, "/legacy/")

    assert notes == [*succeeded("outer"), *succeeded("legacy")] * 2
    (record,) = [each for each in caplog.records if "wrapped twice" in each.message]
    assert "app() is wrapped twice" in record.message


def test_a_collector_in_the_environ_that_belongs_to_nobody():
    """Somebody's own, made by hand: the application carries its tasks itself."""
    ran = []
    app = App()

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(ran.append, "task")

    body = app(create_environ("/") | {"wsgibg.tasks": BackgroundTasks()}, lambda *_: None)
    body.close()

    assert ran == ["task"]
