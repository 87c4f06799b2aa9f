"""Routes written out as one function: what it shows, how it calls, what it guarantees."""

from __future__ import annotations

import linecache
import logging
import re
import threading
import traceback
from contextlib import suppress
from contextvars import ContextVar
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from tests.support import checked, client
from wsgibg import (
    App,
    BackgroundTasks,
    Body,
    Cookie,
    Depends,
    Header,
    HTTPException,
    Query,
    Request,
    Response,
)
from wsgibg._aio import lending_possible
from wsgibg.exceptions import FastAPIError
from wsgibg.responses import PlainTextResponse

LENDS = pytest.mark.skipif(not lending_possible(), reason="this platform cannot lend its loop")

variable: ContextVar[str] = ContextVar("variable", default="unset")


class Item(BaseModel):
    name: str


class Tree(BaseModel):
    branch: Any


def app_with(handler, **options):
    app = App(**options)
    app.api_route("/", methods=["GET", "POST"])(handler)
    return app


def ask(app, target="/", **request):
    return client(app).get(target, **request)


def compiled(handler, **options):
    return app_with(handler, **options).compiled("GET", "/")


async def nothing():
    """Something to wait for, which may suspend as far as anybody can tell."""


async def pause():
    await nothing()


# --- the text ------------------------------------------------------------------------------


def test_a_route_can_be_read():
    """The text is short, straight, and calls things by their names."""

    def limit(limit: int = 10):
        return limit

    def handler(q: str, limit: int = Depends(limit)):
        return [q, limit]

    source = compiled(handler).source

    assert source.startswith("def handle(scope, environ, start_response, values):\n")
    assert "query = parse_query(environ)\n" in source
    assert "limit_1 = call_limit_1(limit_0)\n" in source
    assert "handler_3 = call_handler_3(q_2, limit_1)\n" in source
    compile(source, "route", "exec")


def test_the_text_is_registered_for_tracebacks():
    """A traceback shows the line of the route, under the route's name."""

    def handler():
        raise LookupError("nothing here")

    app = app_with(handler)
    errors = []

    @app.exception_handler(LookupError)
    def answer(request: Request, error: LookupError):
        errors.append("".join(traceback.format_exception(error)))
        return PlainTextResponse("caught")

    ask(app)

    assert re.search(r'File "<wsgibg GET\|POST /( #\d+)?>"', errors[0])
    assert "handler_0 = call_handler_0()" in errors[0]
    assert linecache.getline("<wsgibg GET|POST />", 1).startswith("def handle(")


def test_the_text_survives_checkcache():
    """Tools that refresh `linecache` keep it."""
    route = compiled(lambda: None)
    linecache.checkcache()

    assert linecache.getlines(f"<wsgibg {route.title}>")


def test_only_what_a_route_uses_is_in_its_text():
    """A handler without parameters reads nothing."""
    source = compiled(lambda: None).source

    for word in ("parse_", "load_json", "collector", "give_", "append", "try:"):
        assert word not in source


def test_names_that_python_cannot_hold_are_replaced():
    """A lambda's name is no identifier."""

    def handler(value: int = Depends(lambda: 1)):
        return value

    assert "v_0 = call_v_0()" in compiled(handler).source
    assert ask(app_with(handler)).json == 1


@pytest.mark.parametrize("name", ["scope", "environ", "values", "payload", "raw", "left", "size"])
def test_parameters_may_have_any_name(name):
    """Even those that the written function uses itself."""
    namespace = {"Query": Query, "Annotated": Annotated}
    exec(f"def handler({name}: str, query: int = 1): return [{name}, query]", namespace)

    assert ask(app_with(namespace["handler"]), f"/?{name}=x").json == ["x", 1]


# --- modes ---------------------------------------------------------------------------------


def sync():
    return "sync"


async def quick():
    return "quick"


async def waiting():
    await pause()
    return "waiting"


async def quick_resource():
    yield "resource"


@LENDS
def test_each_route_has_the_cheapest_way_that_serves_it():
    """Plain code is called, async code borrows the loop, code that may suspend visits it."""
    assert compiled(sync).mode == "sync"
    assert compiled(quick).mode == "lend"
    assert compiled(waiting).mode == "hop"


def test_a_route_without_async_code_touches_no_loop():
    """Its text holds neither way."""
    source = compiled(sync).source

    assert "lend(" not in source
    assert "await" not in source


@LENDS
def test_lent_code_is_called_in_place():
    """Without a visit to the loop's thread."""

    async def handler(resource: str = Depends(quick_resource)):
        return [resource, threading.get_ident()]

    route = compiled(handler)

    assert "enter_lent(generator)" in route.source
    assert "lend(call_handler" in route.source
    assert ask(app_with(handler)).json == ["resource", threading.get_ident()]


def test_async_inline_can_be_switched_off():
    """Then every async step is a hop, in the loop's thread."""

    async def handler(resource: str = Depends(quick_resource)):
        return [resource, threading.get_ident()]

    route = compiled(handler, async_inline=False)

    assert route.mode == "hop"
    assert route.source.startswith("async def handle(")
    assert "await enter_async(generator)" in route.source
    resource, thread = ask(app_with(handler, async_inline=False)).json
    assert resource == "resource"
    assert thread != threading.get_ident()


def test_one_step_that_may_suspend_makes_all_async_steps_hop():
    """Objects with a thread of their own stay in it."""
    threads = []

    async def quick_one():
        threads.append(threading.get_ident())

    async def slow_one():
        await pause()
        threads.append(threading.get_ident())

    def plain_one():
        threads.append(threading.get_ident())

    def handler(a=Depends(quick_one), b=Depends(slow_one), c=Depends(plain_one)):
        return None

    ask(app_with(handler))

    assert threads[0] == threads[1] != threads[2] == threading.get_ident()


EACH_MODE = pytest.mark.parametrize(
    ("handler", "options"),
    [(sync, {}), (quick, {}), (quick, {"async_inline": False}), (waiting, {})],
    ids=["sync", "lend", "hop without lending", "hop"],
)


@EACH_MODE
def test_each_way_gives_the_same_answer(handler, options):
    """The body is the handler's result, however it was called."""
    assert ask(app_with(handler, **options)).json == handler.__name__


@EACH_MODE
def test_each_way_ends_with_the_tasks(handler, options):
    """Sync and async ones."""
    ran = []
    app = App(**options)

    async def later():
        await pause()
        ran.append("async")

    def collecting(tasks: BackgroundTasks):
        tasks.add_task(ran.append, "sync")
        tasks.add_task(later)

    app.get("/", dependencies=[Depends(collecting)])(handler)
    ask(app)

    assert ran == ["sync", "async"]


# --- no call twice -------------------------------------------------------------------------


def counted_app(calls, kind, **options):
    """An app whose dependency is called before a value that may be wrong."""

    def plain():
        calls.append("dependency")

    def generator():
        calls.append("dependency")
        try:
            yield
        finally:
            calls.append("exit")

    async def coroutine():
        calls.append("dependency")

    async def async_generator():
        calls.append("dependency")
        try:
            yield
        finally:
            calls.append("exit")

    async def suspending():
        await pause()
        calls.append("dependency")

    kinds = {each.__name__: each for each in (plain, generator, coroutine, async_generator)}
    dependency = {**kinds, "suspending": suspending}[kind]
    before = (Depends(dependency, **options.pop("depends", {})),)
    app = App(**options)

    def after(number: int):
        calls.append("after")

    def late():
        calls.append("late")
        try:
            yield
        finally:
            calls.append("late exit")

    @app.post("/", dependencies=[*before, Depends(after), Depends(late)])
    def handler(q: int, item: Item):
        calls.append("handler")

    return app


KINDS = ["plain", "generator", "coroutine", "async_generator", "suspending"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inline", [True, False])
def test_no_call_runs_twice_on_a_wrong_value(kind, inline):
    """The interpreter goes on from the filled slots, and skips what has a wrong input."""
    calls = []
    app = counted_app(calls, kind, async_inline=inline)

    answer = client(app).post("/?number=x&q=y", json={"name": 1})

    assert answer.status_code == 422
    assert [error["loc"] for error in answer.json["detail"]] == [
        ["query", "number"],
        ["query", "q"],
        ["body", "name"],
    ]
    exits = ["late exit"] + (["exit"] if "generator" in kind else [])
    assert calls == ["dependency", "late", *exits]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_calls_run_when_all_is_well(kind):
    """In the same order."""
    calls = []
    app = counted_app(calls, kind)

    answer = client(app).post("/?number=1&q=2", json={"name": "tea"})

    assert answer.status_code == 200
    assert calls[:4] == ["dependency", "after", "late", "handler"]


@pytest.mark.parametrize("kind", ["generator", "async_generator"])
@pytest.mark.parametrize("scope", ["function", "request", "tasks"])
@pytest.mark.parametrize("inline", [True, False])
def test_what_the_interpreter_enters_is_left(kind, scope, inline):
    """Dependencies that come after the wrong value see the error of the request."""
    seen = []

    def generator():
        try:
            yield
        except Exception as error:
            seen.append(type(error).__name__)
            raise

    async def async_generator():
        try:
            yield
        except Exception as error:
            seen.append(type(error).__name__)
            raise

    def wrong(number: int):
        pytest.fail("not to be called")

    def made() -> BackgroundTasks:
        return BackgroundTasks()

    dependency = {"generator": generator, "async_generator": async_generator}[kind]
    app = App(
        async_inline=inline,
        dependencies=[Depends(wrong), Depends(dependency, scope=scope), Depends(made)],
    )
    app.get("/")(sync)

    assert ask(app, "/?number=x").status_code == 422
    assert seen == ["RequestValidationError"]


@pytest.mark.parametrize("fails", [True, False])
@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("handler", [sync, quick, waiting])
@pytest.mark.parametrize("inline", [True, False])
def test_what_the_interpreter_finishes_is_left_in_time(fails, kind, handler, inline):
    """A body that only looked wrong goes on to its answer, with exits before the first byte."""
    calls = []

    def dependency(tree: Tree):
        yield
        calls.append("exit")
        if fails:
            raise HTTPException(409, "commit failed")

    async def async_dependency(tree: Tree):
        yield
        calls.append("exit")
        if fails:
            raise HTTPException(409, "commit failed")

    given = dependency if kind == "sync" else async_dependency
    app = App(async_inline=inline, dependencies=[Depends(given, scope="function")])
    app.post("/")(handler)
    # Too deep for pydantic's parser of JSON, and not for Python's.
    deep = b'{"branch": ' * 250 + b"1" + b"}" * 250

    answer = client(app).post("/", data=deep, content_type="application/json")

    assert answer.status_code == (409 if fails else 200)
    assert calls == ["exit"]


def test_every_source_is_read_again_by_the_interpreter():
    """Right values beside a wrong one are no errors."""

    def shared(q: int = 1):
        return q

    def handler(
        q: int,
        tags: Annotated[list[str], Query()],
        x_token: Annotated[str, Header()],
        session: Annotated[str, Cookie()],
        item: Annotated[Item, Body()],
        request: Request,
        a: int = Depends(shared),
        b: int = Depends(shared),
        optional: str | None = None,
        default: list[int] = Query([]),
    ):
        pytest.fail("not to be called")

    app = App()
    app.post("/")(handler)
    answer = client(app, use_cookies=False).post(
        "/?q=x&tags=a", json={"name": "tea"}, headers={"X-Token": "t", "Cookie": "session=s"}
    )

    assert [error["loc"] for error in answer.json["detail"]] == [["query", "q"]] * 3


def test_a_default_that_fails_only_then_is_an_error_like_any_other():
    """A default that its own type refuses is told to each request that needs it."""

    def handler(q: int = "many"):
        return q

    app = app_with(handler)

    assert ask(app, "/?q=1").json == 1
    assert [error["loc"] for error in ask(app).json["detail"]] == [["query", "q"]]


# --- context variables ---------------------------------------------------------------------


def set_by_generator():
    token = variable.set("generator")
    yield
    assert variable.get() == "generator"
    variable.reset(token)


async def set_by_async_generator():
    token = variable.set("async generator")
    yield
    assert variable.get() == "async generator"
    variable.reset(token)


async def set_by_suspending_generator():
    await pause()
    token = variable.set("suspending generator")
    yield
    await pause()
    variable.reset(token)


def set_by_call():
    variable.set("call")


async def set_by_coroutine():
    variable.set("coroutine")


@pytest.mark.parametrize(
    ("dependency", "value"),
    [
        (set_by_generator, "generator"),
        (set_by_async_generator, "async generator"),
        (set_by_suspending_generator, "suspending generator"),
        (set_by_call, "call"),
        (set_by_coroutine, "coroutine"),
    ],
)
@pytest.mark.parametrize("scope", ["function", "request", "tasks"])
@pytest.mark.parametrize("kind", ["sync", "async", "suspending"])
@pytest.mark.parametrize("inline", [True, False])
def test_a_request_is_one_context(dependency, value, scope, kind, inline, caplog):
    """Both halves of a dependency, the handler and its tasks see one context."""
    seen = []

    def sync_handler(tasks: BackgroundTasks):
        tasks.add_task(lambda: seen.append(variable.get()))
        return variable.get()

    async def async_handler(tasks: BackgroundTasks):
        return sync_handler(tasks)

    async def suspending_handler(tasks: BackgroundTasks):
        await pause()
        return sync_handler(tasks)

    handlers = {"sync": sync_handler, "async": async_handler, "suspending": suspending_handler}
    app = App(async_inline=inline)
    app.get("/", dependencies=[Depends(dependency, scope=scope)])(handlers[kind])

    with caplog.at_level(logging.WARNING):
        assert ask(app).json == value

    assert seen == [value]
    assert caplog.records == []  # reset(token) was content
    assert variable.get() == "unset"  # nothing leaks into the server's thread


def test_a_request_begins_with_what_its_thread_has():
    """The context is a copy of the server's."""
    token = variable.set("server")
    try:
        assert ask(app_with(lambda: variable.get())).json == "server"
    finally:
        variable.reset(token)


def test_a_task_has_the_context_of_its_moment():
    """What is set after `add_task` is not seen by the task."""
    seen = []

    def handler(tasks: BackgroundTasks):
        variable.set("before")
        tasks.add_task(lambda: seen.append(variable.get()))
        variable.set("after")

    ask(app_with(handler))

    assert seen == ["before"]


# --- yield dependencies --------------------------------------------------------------------


def empty():
    if False:
        yield


async def async_empty():
    if False:
        yield


def twice():
    yield
    yield


async def async_twice():
    yield
    yield


@pytest.mark.parametrize("dependency", [empty, async_empty])
@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("wrong", [True, False])
@pytest.mark.parametrize("handler", [sync, waiting])
def test_a_dependency_that_never_yields_is_an_error(dependency, inline, wrong, handler, caplog):
    """The log says that it must yield once."""

    def first(number: int = 0):
        pass

    app = App(async_inline=inline, dependencies=[Depends(first), Depends(dependency)])
    app.get("/")(handler)

    answer = ask(app, "/?number=x" if wrong else "/")

    assert answer.status_code == 500
    assert "without a yield" in caplog.text
    assert "must yield once" in caplog.text


@pytest.mark.parametrize("dependency", [twice, async_twice])
@pytest.mark.parametrize("inline", [True, False])
def test_a_dependency_that_yields_twice_is_an_error(dependency, inline, caplog):
    """In function scope the client hears of it, later only the log does."""
    early = App(async_inline=inline, dependencies=[Depends(dependency, scope="function")])
    early.get("/")(sync)
    late = App(async_inline=inline, dependencies=[Depends(dependency)])
    late.get("/")(sync)

    for app, status in ((early, 500), (late, 200)):
        caplog.clear()
        assert ask(app).status_code == status
        assert f"{dependency.__name__}() yielded twice. It must yield exactly once." in caplog.text


@pytest.mark.parametrize("scope", ["function", "request"])
@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_dependency_may_turn_an_error_into_another(scope, inline, kind):
    """What it raises instead is what is answered."""

    def turning():
        try:
            yield
        except LookupError as error:
            raise HTTPException(404, "turned") from error

    async def async_turning():
        try:
            yield
        except LookupError as error:
            raise HTTPException(404, "turned") from error

    dependency = turning if kind == "sync" else async_turning
    app = App(async_inline=inline, dependencies=[Depends(dependency, scope=scope)])

    @app.get("/")
    def handler():
        raise LookupError

    answer = ask(app)

    assert (answer.status_code, answer.json) == (404, {"detail": "turned"})


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_dependency_that_swallows_an_error_leaves_no_answer(kind, caplog):
    """The log says what to do about it."""

    def swallowing():
        with suppress(LookupError):
            yield

    async def async_swallowing():
        with suppress(LookupError):
            yield

    app = App(dependencies=[Depends(swallowing if kind == "sync" else async_swallowing)])

    @app.get("/")
    def handler():
        raise LookupError

    assert ask(app).status_code == 500
    assert "swallows it" in caplog.text
    assert "Raise it again" in caplog.text


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration, RuntimeError])
def test_errors_that_python_uses_itself_pass_through_generators(inline, error):
    """PEP 479 wraps some of them on their way; the handler for them is found all the same."""

    def outer():
        yield

    async def async_outer():
        yield

    app = App(async_inline=inline, dependencies=[Depends(outer)])
    if error is not StopIteration:  # no coroutine can raise it: it arrives as a RuntimeError
        app = App(async_inline=inline, dependencies=[Depends(outer), Depends(async_outer)])

    @app.exception_handler(error)
    def handle(request: Request, exc: Exception):
        return PlainTextResponse(type(exc).__name__, status_code=418)

    @app.get("/")
    def handler():
        raise error("mine")

    answer = ask(app)

    assert (answer.status_code, answer.text) == (418, error.__name__)


@pytest.mark.parametrize("inline", [True, False])
def test_an_error_in_an_exit_of_function_scope_is_answered(inline):
    """It comes before the first byte."""

    def failing():
        yield
        raise HTTPException(409, "commit failed")

    async def async_failing():
        yield
        raise HTTPException(409, "commit failed")

    app = App(async_inline=inline)
    app.get("/sync", dependencies=[Depends(failing, scope="function")])(sync)
    app.get("/async", dependencies=[Depends(async_failing, scope="function")])(quick)
    browser = client(app)

    assert browser.get("/sync").status_code == 409
    assert browser.get("/async").status_code == 409


# --- threads -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sync", "async", "suspending"])
def test_requests_on_many_threads_do_not_meet(kind):
    """Each sees its own values, however it is called."""
    app = App()

    def remember(q: int):
        token = variable.set(str(q))
        yield q
        variable.reset(token)

    def sync_handler(q: int = Depends(remember)):
        return [q, variable.get()]

    async def async_handler(q: int = Depends(remember)):
        return [q, variable.get()]

    async def suspending_handler(q: int = Depends(remember)):
        await pause()
        return [q, variable.get()]

    handlers = {"sync": sync_handler, "async": async_handler, "suspending": suspending_handler}
    app.get("/")(handlers[kind])
    wrong = []

    def work(number):
        browser = client(app)
        for q in range(number * 100, number * 100 + 25):
            answer = browser.get(f"/?q={q}").json
            if answer != [q, str(q)]:
                wrong.append((q, answer))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert wrong == []


# --- the server's side ---------------------------------------------------------------------


def test_an_error_of_start_response_is_the_server_s():
    """A whole response that the server refuses is raised back to it."""

    def refusing(status, headers, exc_info=None):
        raise ConnectionError("gone")

    app = app_with(sync)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SERVER_NAME": "x", "SERVER_PORT": "1"}

    with pytest.raises(ConnectionError, match="gone"):
        app(environ, refusing)


def test_what_is_no_error_leaves_the_app():
    """`SystemExit` is the server's; the exits run before."""
    calls = []

    def dependency():
        try:
            yield
        finally:
            calls.append("exit")

    app = App(dependencies=[Depends(dependency)])

    @app.get("/")
    def handler(tasks: BackgroundTasks):
        tasks.add_task(calls.append, "task")
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        ask(app)
    assert calls == ["exit"]


def test_a_response_parameter_goes_the_general_way():
    """Status and headers that it gets are sent."""

    def handler(response: Response):
        response.status_code = 201
        response.headers["X-Made"] = "yes"
        return "made"

    answer = ask(checked(app_with(handler)))

    assert (answer.status_code, answer.headers["X-Made"], answer.json) == (201, "yes", "made")


def test_errors_of_use_are_fastapi_errors():
    """One class to catch them all."""
    assert issubclass(FastAPIError, RuntimeError)
