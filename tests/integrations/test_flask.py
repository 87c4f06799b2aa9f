"""The Flask extension: `wsgibg.integrations.flask`."""

from __future__ import annotations

import contextvars
import gc
import threading
import weakref
from asyncio import sleep

import flask
import pytest
from flask import Flask, current_app, g, has_request_context, request
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from tests.support import client, wait_for
from wsgibg import (
    App,
    BackgroundTask,
    Depends,
    InlineExecutor,
    TaskManager,
    ThreadExecutor,
    current_task,
    current_tasks,
    task,
    wrap,
)
from wsgibg.embedding import inject
from wsgibg.exceptions import FastAPIError
from wsgibg.integrations.flask import BackgroundTasks, current_request
from wsgibg.pytest_plugin import TaskFixture
from wsgibg.testing import TestClient

COLOUR = contextvars.ContextVar("colour", default="none")


@pytest.fixture(name="notes")
def _notes():
    return []


@pytest.fixture(name="app")
def _app():
    return Flask("shop")


def view(app, path="/", **options):
    """A view that answers with text, whatever its function returns."""

    def decorate(func):
        def answer(**kwargs):
            func(**kwargs)
            return "done"

        app.add_url_rule(path, func.__name__, answer, **options)
        return func

    return decorate


# --- contexts ------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", [InlineExecutor, ThreadExecutor])
def test_a_task_has_an_application_context_of_its_own(app, notes, executor):
    """It is pushed and popped around the task, and is not the view's."""
    background = BackgroundTasks(app, executor=executor())

    @app.teardown_appcontext
    def torn_down(error):
        notes.append(f"{g.where} torn down")

    def work():
        notes.append(f"{current_app.name} {'where' in g} {has_request_context()} {bool(request)}")
        g.where = "task"

    @view(app)
    def read():
        g.where = "view"
        current_tasks().add_task(work)

    client(app).get("/")
    background.drain()

    assert notes == ["view torn down", "shop False False False", "task torn down"]
    assert not current_app


def test_other_variables_of_the_view_are_kept(app, notes):
    """Only Flask's own are taken out of the task's context."""
    BackgroundTasks(app)

    @view(app)
    def read():
        COLOUR.set("red")
        current_tasks().add_task(lambda: notes.append(COLOUR.get()))
        COLOUR.set("blue")

    contextvars.copy_context().run(client(app).get, "/")

    assert notes == ["red"]


def test_each_attempt_has_a_context(app, notes):
    """What is torn down sees the error of its own attempt."""
    background = BackgroundTasks(app)
    app.teardown_appcontext(lambda error: notes.append(repr(error)))

    @task(retries=1, backoff=0)
    def work():
        if current_task().attempt == 1:
            raise LookupError(current_app.name)

    @view(app)
    def read():
        current_tasks().add_task(work)

    client(app).get("/")
    wait_for(lambda: len(notes) == 3)
    background.drain()

    assert notes == ["None", "LookupError('shop')", "None"]


def test_a_teardown_that_raises_fails_the_task(app, caplog):
    """It is logged like the task's own error."""
    BackgroundTasks(app)

    @app.teardown_appcontext
    def torn_down(error):
        if "task" in g:
            raise OSError("connection is gone")

    @view(app)
    def read():
        current_tasks().add_task(lambda: setattr(g, "task", True))

    assert client(app).get("/").status_code == 200

    assert "OSError: connection is gone" in caplog.text


def test_async_tasks_have_a_context(app, notes):
    """Those that suspend as well, which run on the event loop's thread."""
    BackgroundTasks(app)
    app.teardown_appcontext(lambda error: notes.append("torn down"))

    async def work():
        notes.append(current_app.name)
        await sleep(0)
        notes.append(f"{current_app.name} {has_request_context()}")

    @view(app)
    def read():
        current_tasks().add_task(work)

    client(app).get("/")

    assert notes == ["torn down", "shop", "shop False", "torn down"]


def test_a_task_that_a_task_adds(app, notes):
    """It has a context as well, and not that of the first."""
    BackgroundTasks(app)

    def first():
        g.first = True
        current_tasks().add_task(second)

    def second():
        notes.append((current_app.name, "first" in g))

    @view(app)
    def read():
        current_tasks().add_task(first)

    client(app).get("/")

    assert notes == [("shop", False)]


def test_a_waiting_task_does_not_keep_the_request(app):
    """Its contexts are let go of when the response is closed."""
    gate, kept = threading.Event(), []
    background = BackgroundTasks(app, executor=ThreadExecutor())

    @view(app)
    def read():
        kept.append(weakref.ref(request._get_current_object()))
        current_tasks().add_task(gate.wait, 5)

    client(app).get("/")
    gc.collect()

    assert kept[0]() is None
    gate.set()
    background.drain()


def test_a_body_that_is_sent_may_add_tasks(app, notes):
    """With the view's context, or after its end."""
    BackgroundTasks(app)

    def work(word):
        notes.append((word, current_app.name, has_request_context()))

    def chunks(word):
        yield b"one"
        current_tasks().add_task(work, word)

    app.add_url_rule("/with", "with", lambda: flask.stream_with_context(chunks("with")))
    app.add_url_rule("/without", "without", lambda: chunks("without"))

    for path in ("/with", "/without"):
        assert client(app).get(path).text == "one"

    assert notes == [("with", "shop", False), ("without", "shop", False)]


def test_a_task_that_was_made_by_hand(app, notes):
    """It is taken over with its context, and finds the application."""
    BackgroundTasks(app)

    @view(app)
    def read():
        made = BackgroundTask(lambda: notes.append((current_app.name, bool(request))))
        current_tasks().adopt(made)

    client(app).get("/")

    assert notes == [("shop", False)]


@pytest.mark.parametrize("keeps", [True, False])
def test_flasks_own_test_client(app, notes, keeps):
    """Tasks have run when a response is closed, also where the client keeps the contexts."""
    BackgroundTasks(app)

    @view(app)
    def read():
        g.view = True
        current_tasks().add_task(lambda: notes.append((current_app.name, "view" in g)))

    tester = app.test_client()
    if keeps:
        with tester:
            tester.get("/", buffered=True)
            assert g.view
    else:
        with tester.get("/"):
            pass

    assert notes == [("shop", False)]


def test_async_views(app, notes):
    """A view that Flask runs by asgiref adds tasks like any other."""
    pytest.importorskip("asgiref")
    BackgroundTasks(app)

    @app.get("/")
    async def read():
        current_tasks().add_task(lambda: notes.append(current_app.name))
        return "done"

    assert client(app).get("/").text == "done"

    assert notes == ["shop"]


def test_a_task_may_bring_the_request(app, notes):
    """By Flask's own means, on purpose."""
    BackgroundTasks(app)

    @view(app, "/here")
    def read():
        current_tasks().add_task(
            flask.copy_current_request_context(
                lambda: notes.append((request.path, current_app.name))
            )
        )

    client(app).get("/here")

    assert notes == [("/here", "shop")]


# --- the request ---------------------------------------------------------------------------


@pytest.mark.parametrize("executor", [InlineExecutor, ThreadExecutor])
def test_a_snapshot_of_the_request(app, notes, executor):
    """Where it was asked for, a task sees what the request was."""
    background = BackgroundTasks(
        app, executor=executor(), request_snapshot=True, user_id=lambda: g.user
    )

    @view(app, "/orders/<int:number>", methods=["POST"])
    def pay(number):
        g.user = "ada"
        current_tasks().add_task(lambda: notes.append(current_request()))
        g.user = "bob"

    client(app).post(
        "/orders/7?gift=yes&gift=no", data={"word": "hello"}, headers={"X-Colour": "red"}
    )
    background.drain()

    (seen,) = notes
    assert (seen.method, seen.path, seen.endpoint) == ("POST", "/orders/7", "pay")
    assert seen.url == "http://localhost/orders/7?gift=yes&gift=no"
    assert seen.view_args == {"number": 7}
    assert seen.args.getlist("gift") == ["yes", "no"]
    assert seen.form.to_dict() == {"word": "hello"}
    assert seen.headers["x-colour"] == "red"
    assert seen.headers["content-type"] == "application/x-www-form-urlencoded"
    assert not seen.cookies
    assert seen.user_id == "ada"


def test_a_snapshot_cannot_be_changed(app, notes):
    """Neither its fields nor what they hold."""
    BackgroundTasks(app, request_snapshot=True)

    @view(app, "/<word>")
    def read(word):
        current_tasks().add_task(lambda: notes.append(current_request()))

    client(app).get("/hello?a=1")

    (seen,) = notes
    assert seen.user_id is None
    with pytest.raises(AttributeError):
        seen.method = "PUT"
    for mapping in (seen.view_args, seen.args, seen.form, seen.headers, seen.cookies):
        with pytest.raises(TypeError):
            mapping["a"] = "2"


def test_tasks_of_tasks_and_views_know_the_request(app, notes):
    """A function that asks for it works in all of them."""
    BackgroundTasks(app, request_snapshot=True)

    def note(more):
        notes.append(current_request().path)
        if more:
            current_tasks().add_task(note, more - 1)

    @view(app, "/here")
    def read():
        note(2)

    client(app).get("/here")

    assert notes == ["/here"] * 3


@pytest.mark.parametrize("where", ["task", "view", "outside"])
def test_a_snapshot_that_nobody_asked_for(app, notes, where):
    """The error says what to do."""
    BackgroundTasks(app)

    def ask():
        with pytest.raises(RuntimeError, match=r"BackgroundTasks\(app, request_snapshot=True\)"):
            current_request()
        notes.append("asked")

    @view(app)
    def read():
        if where == "view":
            ask()
        elif where == "task":
            current_tasks().add_task(ask)

    client(app).get("/")
    if where == "outside":
        ask()

    assert notes == ["asked"]


def test_who_is_signed_in_is_a_part_of_the_snapshot(app):
    """To ask for it alone is a mistake."""
    with pytest.raises(ValueError, match="add request_snapshot=True"):
        BackgroundTasks(app, user_id=lambda: 1)


# --- what fails ----------------------------------------------------------------------------


def failing(app, error, notes):
    @view(app)
    def read():
        for when in ("returned", "error", "always"):
            current_tasks().add_task(task(notes.append, when=when), when)
        raise error


@pytest.mark.parametrize(("error", "status"), [(LookupError("view"), 500), (NotFound(), 404)])
def test_the_tasks_of_a_view_that_raises(app, notes, caplog, error, status):
    """They are dropped and logged, unless they ask for that, whatever Flask makes of it."""
    BackgroundTasks(app)
    failing(app, error, notes)

    assert client(app).get("/").status_code == status

    assert notes == ["error", "always"]
    dropped = [line for line in caplog.messages if "was dropped" in line]
    assert len(dropped) == 1
    assert "its request failed" in dropped[0]


def test_an_error_that_leaves_flask(app, notes, caplog):
    """In tests Flask raises what has failed; tasks are dropped all the same, once."""
    app.testing = True
    BackgroundTasks(app)
    failing(app, LookupError("view"), notes)

    with pytest.raises(LookupError, match="view"):
        client(app).get("/")

    assert notes == ["error", "always"]
    assert sum("was dropped" in line for line in caplog.messages) == 1


def test_an_error_page_may_add_tasks(app, notes):
    """They are its own, and so run; one for errors as well, though it has been answered."""
    BackgroundTasks(app)
    failing(app, LookupError("view"), notes)

    @app.errorhandler(LookupError)
    def answer(error):
        current_tasks().add_task(notes.append, "page")
        current_tasks().add_task(task(notes.append, when="error"), "page for errors")
        current_tasks().add_task(task(notes.append, when="delivered"), "delivered")
        return "sorry", 404

    assert client(app).get("/").text == "sorry"

    assert notes == ["error", "always", "page", "page for errors", "delivered"]


def test_a_redirect_that_is_raised_is_no_error(app, notes):
    """Neither is another answer that is not one of an error."""
    BackgroundTasks(app)

    @view(app, "/<int:number>")
    def read(number):
        current_tasks().add_task(notes.append, number)
        flask.abort(flask.redirect("/") if number == 1 else flask.Response("fine", 200))

    assert client(app).get("/1").status_code == 302
    assert client(app).get("/2").status_code == 200

    assert notes == [1, 2]


def test_a_failing_request_without_tasks(app):
    """Nothing is made of it; an application that is not served by us has no say."""
    BackgroundTasks(app)

    assert client(app).get("/nowhere").status_code == 404
    with app.test_request_context("/"):
        assert app.handle_user_exception(NotFound()).code == 404


# --- setting up ----------------------------------------------------------------------------


def test_the_extension_is_registered(app):
    """Where Flask keeps extensions; with hooks, records and the rest of a wrap."""
    background = BackgroundTasks()
    background.init_app(app)

    assert app.extensions["wsgibg"] is background
    assert app.wsgi_app.tasks is background.tasks
    assert background.drain() == background.shutdown() == []


def test_every_option_of_wrap(app, notes, caplog):
    """Executors by name, the end of a batch, strictness."""
    pool = ThreadExecutor()
    background = BackgroundTasks(
        app, executors={"pool": pool}, after_task_error="stop", strict=True
    )

    @view(app)
    def read():
        current_tasks().add_task(task(lambda: notes.append(current_app.name), executor="pool"))
        current_tasks().add_task(int, "x")
        current_tasks().add_task(notes.append, "unreached")

    client(app).get("/")
    background.drain()

    assert notes == ["shop"]
    assert "was dropped" in caplog.text
    assert app.wsgi_app.strict


@pytest.mark.parametrize("second", ["init_app", "extension"])
def test_setting_up_twice_warns(app, notes, second):
    """It names the place, and there is one collector all the same."""
    background = BackgroundTasks(app)
    before = app.wsgi_app

    with pytest.warns(RuntimeWarning, match="has background tasks already") as caught:
        background.init_app(app) if second == "init_app" else BackgroundTasks(app)

    assert caught[0].filename == __file__
    assert app.wsgi_app is before
    assert app.extensions["wsgibg"] is background


def test_one_extension_for_several_applications(notes):
    """Each task runs in a context of its own application, on the common executor."""
    background = BackgroundTasks(executor=ThreadExecutor())
    for name in ("one", "two"):
        app = Flask(name)
        background.init_app(app)
        view(app)(lambda: current_tasks().add_task(lambda: notes.append(current_app.name)))
        client(app).get("/")
        background.drain()

    assert notes == ["one", "two"]


# --- scripts -------------------------------------------------------------------------------


def test_a_call_in_a_shell(app, notes):
    """`call` resolves dependencies in the context that is there; tasks follow it."""
    background = BackgroundTasks(app)

    def found():
        return current_app.name

    def work(number, name=Depends(found)):
        notes.append((number, name, g.get("shell")))
        current_tasks().add_task(lambda: notes.append((current_app.name, g.get("shell"))))
        return number

    with app.app_context():
        g.shell = True
        assert app.extensions["wsgibg"].call(work, 1) == 1
    assert background.call(work, 2) == 2

    assert notes == [(1, "shop", True), ("shop", None), (2, "shop", None), ("shop", None)]


def test_a_command(app, notes):
    """Flask pushes a context around each; its function calls what it likes."""
    background = BackgroundTasks(app)

    @app.cli.command("work")
    def work():
        background.call(lambda: current_tasks().add_task(lambda: notes.append(current_app.name)))

    assert app.test_cli_runner().invoke(args=["work"]).exit_code == 0

    assert notes == ["shop"]


def test_the_managers_own_call_is_in_a_context(app, notes):
    """What belongs to the manager alone finds the application, too."""
    background = BackgroundTasks(app)

    background.tasks.call(lambda: notes.append(current_app.name))

    assert notes == ["shop"]


def test_which_application_is_meant(app):
    """With none or several, the error says what to do."""
    background = BackgroundTasks()
    with pytest.raises(FastAPIError, match="have no applications"):
        background.call(print)

    other = Flask("other")
    for each in (app, other):
        background.init_app(each)
    with pytest.raises(FastAPIError, match=r"have 2 applications .* enter app\.app_context\(\)"):
        background.call(print)
    with other.app_context():
        assert background.call(lambda: current_app.name) == "other"


def test_overrides(app, notes):
    """A test replaces what tasks and injected views depend on."""
    background = BackgroundTasks(app)

    def word():
        return "real"

    def work(said, found=Depends(word)):
        notes.append((said, found))

    @app.get("/")
    @inject
    def read(said=Depends(word)):
        current_tasks().add_task(work, said)
        return "done"

    background.dependency_overrides[word] = lambda: "fake"
    client(app).get("/")

    assert notes == [("fake", "fake")]


# --- tests ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["run", "collect", "off"])
@pytest.mark.parametrize("executor", [InlineExecutor, ThreadExecutor])
def test_the_fixture_of_the_plugin(app, notes, mode, executor):
    """Tasks run in their contexts, at once or when they are told to, or not at all."""
    background = BackgroundTasks(app, executor=executor())

    @view(app)
    def read():
        current_tasks().add_task(lambda: notes.append((current_app.name, bool(request))))

    with TaskFixture(mode) as tasks:
        app.test_client().get("/", buffered=True)
        background.drain()
        assert len(tasks.added) == 1
        assert len(notes) == (mode == "run")
        if mode == "collect":
            tasks.run_all()

    background.drain()
    assert notes == ([] if mode == "off" else [("shop", False)])


def test_the_test_client_raises_what_a_task_raises(app):
    """`wsgibg.testing.TestClient` around a Flask application."""
    BackgroundTasks(app)

    @view(app)
    def read():
        current_tasks().add_task(int, "x")

    with pytest.raises(ValueError, match="invalid literal"):
        TestClient(app).get("/")


# --- one inside another --------------------------------------------------------------------


def named(app, notes):
    """A view whose task notes its application."""

    @view(app)
    def read():
        g.view = True
        current_tasks().add_task(lambda: notes.append((current_app.name, g.get("view"))))

    return app


def test_wrapped_again_from_outside(app, notes, caplog):
    """The outermost carries the tasks, in contexts all the same, and says so once."""
    named(app, notes)
    BackgroundTasks(app)
    outer = wrap(app)

    for _ in range(2):
        client(outer).get("/")

    assert notes == [("shop", None)] * 2
    assert sum("wrapped twice" in line for line in caplog.messages) == 1


def test_wrapped_before(app, notes, caplog):
    """As above; the extension is the outermost then."""
    named(app, notes)
    app.wsgi_app = wrap(app.wsgi_app)
    BackgroundTasks(app)

    client(app).get("/")

    assert notes == [("shop", None)]
    assert "wrapped twice" in caplog.text


def test_tasks_that_come_before_it_in_the_outer_wrap(app, notes):
    """A collector that has been opened by then is looked at all the same."""
    named(app, notes)
    BackgroundTasks(app)

    def before(environ, start_response):
        current_tasks().add_task(notes.append, "before")
        return app(environ, start_response)

    client(wrap(before)).get("/")

    assert notes == ["before", ("shop", None)]


def test_the_collector_of_a_request_that_is_over(app, notes):
    """An environ that is used again has one; the new request has its own."""
    kept = []

    named(app, notes)
    BackgroundTasks(app)
    own = App()

    @own.get("/")
    def keep():
        kept.append(current_tasks())

    client(own).get("/")
    client(app).get("/", environ_overrides={"wsgibg.tasks": kept[0]})

    assert notes == [("shop", None)]


def test_mounted_in_an_app(app, notes):
    """One request, one collector: the app's manager carries the tasks, in Flask's contexts."""
    named(app, notes)
    BackgroundTasks(app)
    outer = App()
    outer.mount("/shop", app)

    client(outer).get("/shop/")

    assert notes == [("shop", None)]


def test_an_app_inside(app, notes):
    """What it collects runs like the other tasks, in a context of the application around it."""
    inner = App()

    @inner.get("/")
    def read():
        current_tasks().add_task(lambda: notes.append(("app", current_app.name)))
        return "done"

    named(app, notes)
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/app": inner})
    BackgroundTasks(app)

    client(app).get("/app/")
    client(app).get("/")

    assert notes == [("app", "shop"), ("shop", None)]


def test_a_shared_manager(app, notes):
    """An App and two Flask applications may share one; each task has its own context."""
    manager = TaskManager(InlineExecutor())
    own = App(tasks=manager)
    own.add_api_route(
        "/", lambda: current_tasks().add_task(lambda: notes.append(bool(current_app))) and None
    )
    other = Flask("other")
    for each in (app, other):
        named(each, notes)
        assert BackgroundTasks(each, tasks=manager).tasks is manager

    for each in (app, own, other):
        client(each).get("/")

    assert notes == [("shop", None), False, ("other", None)]
