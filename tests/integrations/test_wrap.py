"""`wrap` around applications of four frameworks: every kind of response, and every failure."""

from __future__ import annotations

import logging

import flask
import pytest
from django.test import override_settings
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import create_environ

from tests.integrations.legacy import (
    FRAMEWORKS,
    KINDS,
    Adding,
    add_tasks,
    django_app,
    django_site,
    flask_app,
    notes,
)
from tests.support import client
from wsgibg import (
    App,
    BackgroundTasks,
    InlineExecutor,
    ThreadExecutor,
    current_tasks,
    task,
    wrap,
)
from wsgibg.integrations import flask as extension

EXECUTORS = {"inline": InlineExecutor, "thread": lambda: ThreadExecutor(workers=1)}
STATUS = {"empty": 204, "redirect": 302, "missing": 404, "failing": 500}
BODY = {"plain": b"hello", "file": b"hello", "stream": b"hello", "empty": b""}


@pytest.fixture(autouse=True)
def _fresh():
    notes.clear()
    with django_site():
        yield


@pytest.fixture(params=EXECUTORS)
def executor(request):
    executor = EXECUTORS[request.param]()
    yield executor
    assert executor.shutdown() == []


@pytest.fixture(params=FRAMEWORKS)
def framework(request):
    return request.param


def ask(wrapped, path, method="GET"):
    answer = client(wrapped).open(path, method=method)
    assert wrapped.drain(10) == []
    with pytest.raises(RuntimeError, match="outside a request"):
        current_tasks()
    return answer


# (Pyramid leaves an error to the server, and so does Bottle with Werkzeug's client.)
SITES = [
    (framework, kind)
    for framework in FRAMEWORKS
    for kind in KINDS
    if framework in ("flask", "django") or kind != "failing"
]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(("framework", "kind"), SITES)
def test_every_kind_of_response(framework, executor, kind, method):
    """It is what it would be without `wrap`, and its tasks run once, after it."""
    wrapped = wrap(FRAMEWORKS[framework](), executor=executor)

    answer = ask(wrapped, f"/{kind}", method)

    assert answer.status_code == STATUS.get(kind, 200)
    if method == "GET" and kind in BODY:
        assert answer.data == BODY[kind]
    ran = [each for each in notes if each.startswith("task")]
    streamed = kind == "stream" and method == "GET"
    assert ran == ["task", "task of the stream"] if streamed else ran[:1] == ["task"]
    ended = [each for each in notes if not each.startswith("task")]
    assert notes[: len(ended)] == ended  # the framework's own end comes first


def test_every_kind_of_response_without_tasks(framework):
    """The server gets the very body that the framework made, if it is whole."""
    kept = []

    def spying(environ, start_response):
        body = app(environ, start_response)
        current_tasks().tasks.clear()
        kept.append(body)
        return body

    app = FRAMEWORKS[framework]()
    body = wrap(spying)(create_environ("/plain"), lambda *args: None)
    whole = type(kept[0]) in (list, tuple)
    assert (body is kept[0]) is whole
    assert b"".join(body) == b"hello"
    if hasattr(body, "close"):
        body.close()


def test_an_application_that_raises_to_the_server(framework, executor, caplog):
    """Its tasks are dropped and logged, but for those that wait for that."""

    def failing(environ, start_response):
        current_tasks().add_task(task(notes.append, when="error"), "told")
        return app(environ, start_response)

    app = flask_app(PROPAGATE_EXCEPTIONS=True) if framework == "flask" else None
    app = app or FRAMEWORKS[framework]()
    wrapped = wrap(failing, executor=executor)
    with (
        override_settings(DEBUG_PROPAGATE_EXCEPTIONS=True),
        pytest.raises(ZeroDivisionError),
    ):
        ask(wrapped, "/failing")
    assert wrapped.drain(10) == []

    assert [each for each in notes if each != "end"] == ["told"]
    (record,) = [each for each in caplog.records if "was dropped" in each.getMessage()]
    assert "its request failed (ZeroDivisionError" in record.getMessage()
    with pytest.raises(RuntimeError, match="outside a request"):
        current_tasks()


def test_a_django_project_with_a_cache(executor):
    """Django keeps its caches in the context, which is left as it is between requests."""
    wrapped = wrap(django_app(), executor=executor)

    texts = [ask(wrapped, "/cached").text for _ in range(3)]

    first = int(texts[0].split()[1])
    assert texts == [f"hello {first + step}" for step in range(3)]
    assert notes == ["task"] * 3


# --- inside each other ---------------------------------------------------------------------


def modern():
    app = App()

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(notes.append, "modern")
        return "modern"

    return app


def test_an_app_below_a_framework(framework, executor, caplog):
    """One request, one pass: the application around it carries the tasks."""

    def around(environ, start_response):
        add_tasks()
        return both(environ, start_response)

    both = DispatcherMiddleware(FRAMEWORKS[framework](), {"/api": modern()})
    wrapped = wrap(around, executor=executor)
    ran = []
    wrapped.tasks.on_task(lambda event: ran.append(event.kind))
    with caplog.at_level(logging.ERROR):
        assert ask(wrapped, "/api/").get_json() == "modern"

    assert notes == ["task", "modern"]
    assert ran.count("succeeded") == 2
    notes.clear()
    assert ask(wrapped, "/plain").text == "hello"
    assert [each for each in notes if each != "end"] == ["task", "task"]


@pytest.mark.parametrize("outside", [False, True], ids=["mounted", "both wrapped"])
def test_a_framework_below_an_app(framework, executor, outside):
    """Wrapped itself, or by what is around the App: the same."""
    app = modern()
    inner = FRAMEWORKS[framework]()
    app.mount("/legacy", inner if outside else wrap(inner, executor=executor))
    wrapped = wrap(app, executor=executor) if outside else app

    answer = client(wrapped).get("/legacy/stream")
    assert answer.data == b"hello"
    executor.drain(10)

    assert [each for each in notes if each != "end"] == ["body", "task", "task of the stream"]


# --- with an integration instead of wrap ---------------------------------------------------


def extended(executor):
    """A Flask application with our extension, and one view."""
    app = flask.Flask(__name__)
    extension.BackgroundTasks(app, executor=executor)
    app.add_url_rule("/plain", view_func=lambda: add_tasks() or "hello")
    return app


@pytest.mark.parametrize("place", ["mounted", "beside", "around"])
def test_an_app_and_a_flask_extension(executor, place):
    """The extension's collector is there for Flask's requests, and the App's for its own."""
    app, legacy = modern(), extended(executor)
    app.tasks.executor = executor
    if place == "mounted":
        app.mount("/legacy", legacy)
        served, paths = app, ("/", "/legacy/plain")
    elif place == "beside":
        served, paths = DispatcherMiddleware(legacy, {"/api": app}), ("/api/", "/plain")
    else:
        # The extension is around what was there when it was made.
        plain = flask.Flask(__name__)
        plain.add_url_rule("/plain", view_func=lambda: add_tasks() or "hello")
        plain.wsgi_app = DispatcherMiddleware(plain.wsgi_app, {"/api": app})
        extension.BackgroundTasks(plain, executor=executor)
        served, paths = plain, ("/api/", "/plain")

    assert client(served).get(paths[0]).get_json() == "modern"
    assert client(served).get(paths[1]).text == "hello"
    executor.drain(10)

    assert sorted(notes) == ["modern", "task"]


def test_a_django_project_with_the_middleware_below_an_app():
    """It ends its own requests, as it does alone; a wrap around both does not make it two."""
    app = modern()
    middleware = [
        "wsgibg.integrations.django.BackgroundTasksMiddleware",
        f"{Adding.__module__}.Adding",
    ]
    with django_site(MIDDLEWARE=middleware, WSGIBG={}):
        app.mount("/legacy", django_app())
        for served in (app, wrap(app)):
            notes.clear()
            assert client(served).get("/legacy/stream").text == "hello"
            assert notes == ["body", "task", "task of the stream"]
