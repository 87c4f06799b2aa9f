"""The application: its options, its face as a WSGI callable, the moment at which it closes."""

from __future__ import annotations

import threading

import pytest
from pydantic import BaseModel

from tests.support import checked, client
from wsgibg import (
    APIRouter,
    App,
    BackgroundTasks,
    Depends,
    InlineExecutor,
    Request,
    TaskManager,
)
from wsgibg._compile import Compiled
from wsgibg.exceptions import RegistrationError
from wsgibg.responses import PlainTextResponse


class Item(BaseModel):
    name: str


def hello():
    return {"hello": "world"}


def names_of(routes):
    return [route.name for route, _ in routes]


# --- options -------------------------------------------------------------------------------


def test_an_app_answers_without_any_option():
    """The least that there is: a route, and its data as JSON."""
    app = App()
    app.get("/")(hello)

    answer = client(app).get("/")

    assert answer.status_code == 200
    assert answer.json == {"hello": "world"}
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Content-Length"] == "17"


def test_an_app_without_routes_answers_404():
    """Nothing is declared, so nothing is found."""
    answer = client(App()).get("/")

    assert (answer.status_code, answer.json) == (404, {"detail": "Not Found"})


def test_an_unknown_option_is_refused():
    """A misspelt option does not pass in silence."""
    with pytest.raises(TypeError, match=r"App\(\) has no option 'titel'\.$"):
        App(titel="shop")


@pytest.mark.parametrize("option", ["lifespan", "on_startup", "on_shutdown", "middleware"])
def test_an_option_of_fastapi_that_is_missing_has_a_remedy(option):
    """What a port cannot pass yet is named, with what to do instead."""
    with pytest.raises(TypeError, match=rf"no option '{option}'\. It is not there yet: \w+"):
        App(**{option: None})


def test_an_unknown_dependency_scope_is_refused():
    """The message names the three there are."""
    with pytest.raises(ValueError, match=r"dependency_scope='app': use \"function\", \"request\""):
        App(dependency_scope="app")


def test_the_options_of_an_app_are_read_back():
    """Title, debug, root_path and state are attributes, as in FastAPI."""
    app = App(title="Shop", debug=True, root_path="/api/")
    app.state.pool = 7

    assert (app.title, app.debug, app.root_path, app.state.pool) == ("Shop", True, "/api", 7)
    assert app.router is app


def test_dependencies_of_the_app_run_for_every_route():
    """They come before a route's own, and not where no route matches."""
    calls = []
    app = App(dependencies=[Depends(lambda: calls.append("app"))])
    router = APIRouter()

    @app.get("/direct", dependencies=[Depends(lambda: calls.append("route"))])
    def direct():
        calls.append("handler")

    router.get("/included")(direct)
    app.include_router(router)
    browser = client(app)

    assert browser.get("/direct").status_code == 200
    assert calls == ["app", "route", "handler"]
    calls.clear()
    assert browser.get("/included").status_code == 200
    assert calls == ["app", "handler"]
    calls.clear()
    assert browser.get("/nowhere").status_code == 404
    assert calls == []


def test_default_response_class_holds_for_every_route():
    """A route's own class comes first."""
    app = App(default_response_class=PlainTextResponse)

    @app.get("/plain")
    def plain() -> str:
        return "as it is"

    answer = client(app).get("/plain")

    assert answer.text == "as it is"
    assert answer.content_type == "text/plain; charset=utf-8"


def test_a_task_manager_of_one_s_own_is_used():
    """`tasks=` shares one manager between applications."""
    manager = TaskManager(InlineExecutor())

    assert App(tasks=manager).tasks is manager


def test_hooks_and_drain_are_forwarded_to_the_manager():
    """`app.on_task` sees each task, and `app.drain` has nothing left to wait for."""
    app = App()
    seen = []
    ran = []
    app.on_task(lambda event: seen.append(event.kind))

    @app.post("/")
    def add(tasks: BackgroundTasks):
        tasks.add_task(ran.append, 1)

    client(app).post("/")

    assert ran == [1]
    assert seen == ["added", "started", "succeeded"]
    assert app.drain(1) == []


def test_after_task_error_stop_drops_the_rest(caplog):
    """`after_task_error="stop"` is Starlette's behaviour: a failure ends the pass."""
    app = App(after_task_error="stop")
    ran = []

    @app.post("/")
    def add(tasks: BackgroundTasks):
        tasks.add_task(lambda: 1 / 0)
        tasks.add_task(ran.append, 1)

    assert client(app).post("/").status_code == 200
    assert ran == []
    assert "was dropped" in caplog.text


def test_a_body_over_the_limit_is_answered_413():
    """`max_content_length` counts bytes."""
    app = App(max_content_length=20)

    @app.post("/")
    def make(item: Item):
        return item

    browser = client(app)

    assert browser.post("/", json={"name": "tea"}).json == {"name": "tea"}
    assert browser.post("/", json={"name": "t" * 20}).status_code == 413


@pytest.mark.parametrize(("strict", "status"), [(True, 422), (False, 200)])
def test_strict_content_type_decides_about_untyped_bodies(strict, status):
    """By default a body without a Content-Type is not taken for JSON, as in FastAPI."""
    app = App(strict_content_type=strict)

    @app.post("/")
    def make(item: Item):
        return item

    assert client(app).post("/", data=b'{"name": "tea"}').status_code == status


# --- paths ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "value"),
    [("/caf%C3%A9", "café"), ("/%E2%98%83", "☃"), ("/%FF", "�"), ("/a%2Bb", "a+b")],
)
def test_paths_are_utf_8(raw, value):
    """WSGI hands paths on as Latin-1; broken UTF-8 becomes replacement characters."""
    app = App()

    @app.get("/{name}")
    def read(name: str):
        return name

    assert client(app).get(raw).json == value


def test_an_environ_may_lack_what_is_empty():
    """PEP 3333 lets a server leave PATH_INFO and QUERY_STRING out where they are empty."""
    app = App()
    app.get("/")(hello)
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "/shop",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
    }
    started = []

    app(environ, lambda status, headers, exc_info=None: started.append((status, dict(headers))))

    assert started[0][0] == "307 Temporary Redirect"
    assert started[0][1]["Location"] == "http://localhost/shop/"


# --- closing -------------------------------------------------------------------------------

DECLARATIONS = {
    "get": lambda app: app.get("/new")(hello),
    "add_api_route": lambda app: app.add_api_route("/new", hello),
    "mount": lambda app: app.mount("/new", App()),
    "include_router": lambda app: app.include_router(APIRouter(), prefix="/new"),
    "exception_handler": lambda app: app.exception_handler(404)(hello),
}


@pytest.mark.parametrize("declare", DECLARATIONS.values(), ids=DECLARATIONS)
@pytest.mark.parametrize("empty", [False, True], ids=["with routes", "without"])
def test_after_the_first_request_nothing_can_be_declared(declare, empty):
    """What came too late would be there for some requests only, so it is refused."""
    app = App()
    if not empty:
        app.get("/")(hello)
    declare(app)  # before the first request there is no objection
    client(app).get("/")

    with pytest.raises(RegistrationError, match="served its first request"):
        declare(app)


def test_url_path_for_does_not_close_the_app():
    """Only a request does."""
    app = App()
    app.get("/a")(hello)
    app.url_path_for("hello")

    app.get("/b")(hello)

    assert client(app).get("/b").status_code == 200


def test_first_requests_on_many_threads_build_the_app_once():
    """They all get their answer, whoever comes first."""
    app = App()
    for number in range(20):
        app.get(f"/{number}")(hello)
    start = threading.Barrier(8)
    answers = []

    def ask():
        browser = client(app)
        start.wait(5)
        answers.extend(browser.get(f"/{number}").status_code for number in range(20))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert answers == [200] * 160


# --- an app as a part ----------------------------------------------------------------------


def test_two_apps_know_nothing_of_each_other():
    """Routes, overrides and handlers belong to one app."""
    first, second = App(), App()
    first.get("/")(hello)
    first.add_exception_handler(404, lambda request, exc: PlainTextResponse("first"))
    first.dependency_overrides[hello] = hello

    assert client(second).get("/").json == {"detail": "Not Found"}
    assert second.dependency_overrides == {}


def test_the_request_knows_its_app():
    """`request.app` is the application object."""
    app = App()

    @app.get("/")
    def read(request: Request):
        return request.app is app

    assert client(app).get("/").json is True


def test_an_app_runs_behind_wsgi_middleware():
    """It is a WSGI callable like any other."""
    app = App()
    app.get("/")(hello)

    def middleware(environ, start_response):
        def start(status, headers, exc_info=None):
            return start_response(status, [*headers, ("X-Seen", "yes")], exc_info)

        return app(environ, start)

    assert client(checked(middleware)).get("/").headers["X-Seen"] == "yes"


# --- explaining ----------------------------------------------------------------------------


def test_a_route_can_be_shown_compiled():
    """`compiled` finds a route by its declared path, or by a path that it answers."""
    app = App()

    @app.get("/items/{item_id}")
    def read(item_id: int):
        return item_id

    app.mount("/other", App())
    app.get("/items/me")(hello)

    declared = app.compiled("GET", "/items/{item_id}")
    assert isinstance(declared, Compiled)
    assert declared.title == "GET /items/{item_id}"
    assert "call_read" in declared.source
    assert app.compiled("GET", "/items/7").title == "GET /items/{item_id}"
    # The first that matches answers, as in a request.
    assert app.compiled("GET", "/items/me").title == "GET /items/me"
    assert app.compiled("POST", "/items/7") is None
    assert app.compiled("GET", "/nowhere") is None
    assert app.compiled("GET", "/other/thing") is None
