"""Dependencies inside background tasks, and `app.call`: what is injected when nobody asks."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import functools
import gc
import logging
import pickle
import signal
import threading
import time
import weakref
from typing import Annotated, Any

import pytest
from werkzeug.test import create_environ

from tests.support import Client, client
from wsgibg import (
    App,
    BackgroundTask,
    BackgroundTasks,
    Body,
    Cookie,
    Depends,
    Header,
    Injected,
    InlineExecutor,
    Path,
    Query,
    Request,
    Response,
    Security,
    TaskManager,
    ThreadExecutor,
    current_task,
    current_tasks,
    task,
    wrap,
)
from wsgibg.exceptions import (
    ClosedResourceWarning,
    FastAPIError,
    RegistrationError,
    TaskRefused,
)
from wsgibg.params import SecurityScopes

COLOUR = contextvars.ContextVar("colour", default="none")


class Mailer:
    """What the tasks of these tests need."""

    def __init__(self, host="post") -> None:
        self.host = host


def get_mailer():
    return Mailer()


@pytest.fixture(name="notes")
def _notes():
    return []


@pytest.fixture(name="app", params=["inline", "thread"])
def _app(request):
    """An application with either executor; drained by `post`."""
    executor = InlineExecutor() if request.param == "inline" else ThreadExecutor(workers=2)
    app = App(executor=executor)
    yield app
    assert app.shutdown() == []


def adding(app: App, *calls: Any) -> Client:
    """A client of an app whose handler adds tasks: functions, or tuples with their arguments."""

    @app.post("/")
    def handler(tasks: BackgroundTasks) -> str:
        for call in calls:
            func, *args = call if isinstance(call, tuple) else (call,)
            tasks.add_task(func, *args)
        return "accepted"

    return client(app)


def run(app: App, *calls: Any) -> None:
    """One request that adds the tasks, which have ended when this returns."""
    assert adding(app, *calls).post("/").json == "accepted"
    assert app.drain(10) == []


def refused(func: Any, *args: Any) -> str:
    """What `add_task` says of a call that it refuses, in the handler."""
    app = App()
    said = []

    @app.post("/")
    def handler(tasks: BackgroundTasks) -> str:
        with pytest.raises(TaskRefused) as refusal:
            tasks.add_task(func, *args)
        said.append(str(refusal.value))
        assert tasks.tasks == []
        return "refused"

    assert client(app).post("/").json == "refused"
    return said[0]


def failures(caplog) -> list[str]:
    """The errors that were logged as failures of tasks."""
    return [
        f"{record.exc_info[0].__name__}: {record.exc_info[1]}"
        for record in caplog.records
        if record.name == "wsgibg.background" and record.exc_info and record.task_id
    ]


# --- what is injected ----------------------------------------------------------------------


def by_default(notes):
    def send(to, mailer=Depends(get_mailer)):
        notes.append((to, mailer.host))

    return send


def by_annotation(notes):
    def send(to, mailer: Annotated[Mailer, Depends(get_mailer)] = Injected):
        notes.append((to, mailer.host))

    return send


def by_class(notes):
    def send(to, mailer: Annotated[Mailer, Depends(get_mailer)] = Injected, *, more: str = "x"):
        notes.append((to, mailer.host))

    return send


def by_keyword(notes):
    def send(to, *, mailer: Annotated[Mailer, Depends(get_mailer)] = Injected):
        notes.append((to, mailer.host))

    return send


def as_method(notes):
    class Sender:
        def send(self, to, mailer=Depends(get_mailer)):
            notes.append((to, mailer.host))

    return Sender().send


def as_object(notes):
    class Sender:
        def __call__(self, to, mailer=Depends(get_mailer)):
            notes.append((to, mailer.host))

    return Sender()


def as_class(notes):
    class Sending:
        def __init__(self, to, mailer=Depends(get_mailer)):
            notes.append((to, mailer.host))

    return Sending


def as_partial(notes):
    def send(subject, to, mailer=Depends(get_mailer)):
        notes.append((to, mailer.host))

    return functools.partial(send, "subject")


def as_task(notes):
    return task(by_default(notes), when="always")


def as_task_method(notes):
    class Sender:
        @task
        def send(self, to, mailer=Depends(get_mailer)):
            notes.append((to, mailer.host))

    return Sender().send


def as_coroutine(notes):
    async def send(to, mailer=Depends(get_mailer)):
        await asyncio.sleep(0)
        notes.append((to, mailer.host))

    return send


def as_coroutine_that_cannot_suspend(notes):
    async def send(to, mailer=Depends(get_mailer)):
        notes.append((to, mailer.host))

    return send


def as_lambda_of_a_coroutine(notes):
    send = as_coroutine(notes)
    return lambda to, mailer=Depends(get_mailer): send(to, mailer)


def decorated(notes):
    send = by_default(notes)

    @functools.wraps(send)
    def wrapper(*args, **kwargs):
        return send(*args, **kwargs)

    return wrapper


def decorated_method(notes):
    def decorate(func):
        @functools.wraps(func)
        def wrapper(*args, **kwargs):
            return func(*args, **kwargs)

        return wrapper

    class Sender:
        @decorate
        def send(self, to, mailer=Depends(get_mailer)):
            notes.append((to, mailer.host))

    return Sender().send


def decorated_by_a_class(notes):
    class Decorator:
        def __init__(self, func):
            functools.update_wrapper(self, func)

        def __call__(self, *args, **kwargs):
            return self.__wrapped__(*args, **kwargs)

    return Decorator(by_default(notes))


def decorated_by_an_unhashable_object(notes):
    class Decorator:
        __hash__ = None

        def __init__(self, func):
            functools.update_wrapper(self, func)

        def __call__(self, *args, **kwargs):
            return self.__wrapped__(*args, **kwargs)

    return Decorator(by_default(notes))


def own_parameter_of_a_wrapper(notes):
    def send(to):
        pass

    @functools.wraps(send)
    def wrapper(to, mailer=Depends(get_mailer)):
        notes.append((to, mailer.host))

    return wrapper


KINDS = [
    by_default,
    by_annotation,
    by_class,
    by_keyword,
    as_method,
    as_object,
    as_class,
    as_partial,
    as_task,
    as_task_method,
    as_coroutine,
    as_coroutine_that_cannot_suspend,
    as_lambda_of_a_coroutine,
    decorated,
    decorated_method,
    decorated_by_a_class,
    decorated_by_an_unhashable_object,
    own_parameter_of_a_wrapper,
]
EACH_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


@EACH_KIND
def test_every_kind_of_task_may_have_dependencies(app, notes, kind):
    """Functions, methods, classes, objects, partials, tasks; sync and async; decorated or not."""
    func = kind(notes)

    run(app, (func, "ada"), (func, "grace"))

    assert notes == [("ada", "post"), ("grace", "post")]


@EACH_KIND
def test_every_kind_may_be_called_by_the_app(notes, kind):
    """`app.call` injects what a task has injected."""
    App().call(kind(notes), "ada")

    assert notes == [("ada", "post")]


@EACH_KIND
def test_what_is_passed_wins(app, notes, kind):
    """An argument that `add_task` was given is not resolved, by keyword or in its place."""
    func = kind(notes)

    def never():
        raise AssertionError

    app.dependency_overrides[get_mailer] = never
    run(app, functools.partial(func, "ada", mailer=Mailer("own")))

    assert notes == [("ada", "own")]


def test_what_is_passed_by_position_wins(app, notes):
    """The parameter's place counts like its name."""
    run(app, (by_default(notes), "ada", Mailer("own")))

    assert notes == [("ada", "own")]


def test_each_set_of_parameters_has_its_plan(notes):
    """What one call leaves out another may pass; the other's dependencies are not called."""

    def first():
        notes.append("first")

    def second():
        notes.append("second")

    def send(a=Depends(first), b=Depends(second)):
        pass

    run(App(), send, functools.partial(send, a=1), functools.partial(send, b=1), send)

    assert notes == ["first", "second", "second", "first", "first", "second"]


def test_depends_without_a_function_takes_the_annotation(notes):
    """`Depends()` alone calls the class that the parameter is of (FastAPI's rule)."""

    class Clock:
        pass

    def send(clock: Clock = Depends()):
        notes.append(type(clock))

    send.__annotations__["clock"] = Clock
    run(App(), send)

    assert notes == [Clock]


def test_a_default_that_is_no_marker_is_a_default(notes):
    """Only `Injected` and `Depends(f)` stand for a value that is given."""

    def send(mailer: Annotated[Mailer | None, Depends(get_mailer)] = None):
        notes.append(mailer)

    run(App(), send)

    assert notes == [None]


def test_injected_is_one_object():
    """It can be copied and stored, and says what it is."""
    assert copy.deepcopy(Injected) is Injected
    assert pickle.loads(pickle.dumps(Injected)) is Injected
    assert repr(Injected) == "Injected"


def where(q: Annotated[str, Query()] = Injected) -> str:
    return q


def test_injected_is_no_default_for_a_request():
    """A handler and its dependencies get what `Annotated` says, as without it."""
    app = App()

    @app.get("/")
    def handler(q: Annotated[str, Depends(where)] = Injected) -> str:
        return q

    assert client(app).get("/?q=1").json == "1"
    assert client(app).get("/").status_code == 422


def test_injected_without_a_word_from_where():
    """`= Injected` says that something is given; the annotation says what."""

    def send(to, mailer: Mailer = Injected):
        pass

    def send_local(to, mailer: Annotated[Mailer, Depends(send)] = Injected):
        pass

    said = refused(send, "ada")

    assert f"{__file__}:" in said
    assert "Depends(send)] names something that cannot be found" in refused(send_local, "ada")
    assert "send(), parameter 'mailer': nothing says what is injected" in said
    with pytest.raises(RegistrationError, match="Annotated"):
        App().get("/")(send)


# --- resolving -----------------------------------------------------------------------------


def test_dependencies_of_dependencies(app, notes):
    """Depth first; what is asked for twice is called once in an attempt."""

    def connect():
        notes.append("connect")
        return object()

    def users(connection=Depends(connect)):
        notes.append("users")
        return connection

    def mails(connection=Depends(connect), fresh=Depends(connect, use_cache=False)):
        return connection, fresh

    def send(a=Depends(users), b=Depends(mails)):
        notes.append(("send", a is b[0], a is b[1]))

    run(app, send, send)

    assert notes == ["connect", "users", "connect", ("send", True, False)] * 2


def test_nothing_is_shared_with_the_request(app, notes):
    """The handler's value and the task's are made apart, by the same function."""

    def session():
        notes.append("open")
        yield object()
        notes.append("close")

    seen = []

    def send(session=Depends(session)):
        notes.append("send")
        seen.append(session)

    @app.post("/")
    def handler(tasks: BackgroundTasks, session: object = Depends(session)) -> None:
        seen.append(session)
        tasks.add_task(send)

    client(app).post("/")
    assert app.drain(10) == []

    assert notes == ["open", "close", "open", "send", "close"]
    assert seen[0] is not seen[1]


def test_exits_run_after_the_task_last_in_first_out(app, notes):
    """Whatever their scope, and before the next task."""

    def note(name, scope):
        def dependency():
            notes.append(f"open {name}")
            yield name
            notes.append(f"close {name}")

        return Depends(dependency, scope=scope)

    def send(a=note("a", "tasks"), b=note("b", "function"), c=note("c", None)):
        notes.append("send")

    run(app, send, lambda: notes.append("next"))

    opened = ["open a", "open b", "open c"]
    assert notes == [*opened, "send", "close c", "close b", "close a", "next"]


@pytest.mark.parametrize("suspends", [False, True], ids=["lent", "hop"])
def test_async_dependencies_and_exits(app, notes, suspends):
    """They share the context with sync ones: a variable is set, seen and reset."""
    threads = set()

    def outer():
        token = COLOUR.set("red")
        yield
        notes.append(COLOUR.get())
        COLOUR.reset(token)
        notes.append(COLOUR.get())

    async def plain():
        threads.add(threading.get_ident())
        return COLOUR.get()

    async def suspending():
        await asyncio.sleep(0)
        threads.add(threading.get_ident())
        assert current_task().attempt == 1
        return COLOUR.get()

    async def inner(colour=Depends(suspending if suspends else plain)):
        token = COLOUR.set(f"dark {colour}")
        yield
        COLOUR.reset(token)

    async def send(a=Depends(outer), b=Depends(inner)):
        threads.add(threading.get_ident())
        notes.append((COLOUR.get(), current_task().attempt))

    def send_sync(a=Depends(outer), b=Depends(inner)):
        notes.append((COLOUR.get(), current_task().attempt))

    run(app, send, send_sync)

    assert notes == [("dark red", 1), "red", "none"] * 2
    assert len(threads) == 1 or not app.tasks.lends


def test_a_task_sees_its_snapshot(app, notes):
    """The context is that of `add_task`; what one attempt sets no other sees."""

    def paint():
        notes.append(COLOUR.get())
        COLOUR.set("red")

    def send(_=Depends(paint)):
        notes.append(COLOUR.get())

    @app.post("/")
    def handler(tasks: BackgroundTasks) -> None:
        COLOUR.set("blue")
        tasks.add_task(send)
        tasks.add_task(send)

    client(app).post("/")
    assert app.drain(10) == []

    assert notes == ["blue", "red"] * 2


def test_current_task_in_a_coroutine_that_was_not_foreseen(app, notes):
    """A function that returns one is awaited as this task."""

    async def late():
        await asyncio.sleep(0)
        notes.append(current_task().id)

    run(app, lambda mailer=Depends(get_mailer): late())

    assert len(notes) == 1


def test_the_batch_is_the_collector(app, notes):
    """A `BackgroundTasks` parameter of a task and of its dependencies adds to the same pass."""

    def helper(tasks: BackgroundTasks):
        tasks.add_task(notes.append, "by the dependency")
        return tasks

    def send(mine: BackgroundTasks = Injected, theirs: BackgroundTasks = Depends(helper)):
        assert mine is theirs is current_tasks()
        notes.append("send")
        mine.add_task(again)

    def again(mailer: Mailer = Depends(get_mailer)):
        notes.append(mailer.host)

    run(app, send, lambda: notes.append("next"))

    assert notes == ["send", "next", "by the dependency", "post"]


def test_a_collector_that_a_dependency_made_is_adopted(app, notes):
    """As it is in a request."""

    def helper():
        tasks = BackgroundTasks()
        tasks.add_task(notes.append, "adopted")
        return tasks

    def send(theirs=Depends(helper)):
        notes.append("send")

    run(app, send)

    assert notes == ["send", "adopted"]


def test_order_and_options_are_those_of_any_task(app, notes):
    """First in, first out among plain tasks; `when` and `executor` count."""
    send = by_default(notes)

    @app.post("/fails")
    def fails(tasks: BackgroundTasks) -> None:
        tasks.add_task(send, "dropped")
        tasks.add_task(task(send, when="error", executor=InlineExecutor()), "sent")
        raise ValueError

    run(app, lambda: notes.append(1), (send, "ada"), (notes.append, 3))
    client(app).post("/fails")
    assert app.drain(10) == []

    assert notes == [1, ("ada", "post"), 3, ("sent", "post")]


def test_a_response_may_bring_such_a_task(app, notes):
    """Made by hand, at any time, it is resolved like one that was added."""
    single = BackgroundTask(by_default(notes), "ada")
    collected = BackgroundTasks([BackgroundTask(by_default(notes), "grace")])

    @app.post("/{which}")
    def handler(which: str) -> Response:
        return Response("", background=single if which == "single" else collected)

    for which in ("single", "single", "collected"):
        client(app).post(f"/{which}")
        assert app.drain(10) == []

    assert notes == [("ada", "post"), ("ada", "post"), ("grace", "post")]


def test_hooks_hear_of_it(app, notes):
    """Added, started, then succeeded, after the exits."""

    def session():
        yield
        notes.append("closed")

    def send(session=Depends(session)):
        pass

    app.on_task(lambda event: notes.append(event.kind))
    run(app, send)

    assert notes == ["added", "started", "closed", "succeeded"]


# --- overrides -----------------------------------------------------------------------------


def test_overrides_count_when_the_task_runs(app, notes):
    """They are looked up then, and may change between requests."""
    send = by_default(notes)
    browser = adding(app, (send, "ada"))

    for host in ("one", "two", None):
        if host is None:
            app.dependency_overrides.clear()
        else:
            app.dependency_overrides = {get_mailer: functools.partial(Mailer, host)}
        browser.post("/")
        assert app.drain(10) == []

    assert notes == [("ada", "one"), ("ada", "two"), ("ada", "post")]


def test_an_override_between_adding_and_running(notes):
    """What holds is what holds at the run."""
    app = App()

    def swap():
        app.dependency_overrides[get_mailer] = lambda: Mailer("swapped")

    run(app, swap, (by_default(notes), "ada"))

    assert notes == [("ada", "swapped")]


def test_an_override_that_cannot_work_is_the_tasks_failure(caplog):
    """Set after `add_task`, it is found when the task runs."""
    app = App()

    def needs_request(request: Request):
        pass

    def swap():
        app.dependency_overrides[get_mailer] = needs_request

    run(app, swap, (by_default([]), "ada"))

    assert len(failures(caplog)) == 1
    assert "Request belongs to a request" in failures(caplog)[0]


def test_an_override_that_cannot_work_is_refused():
    """Set before `add_task`, it is refused there."""
    app = App()
    app.dependency_overrides[get_mailer] = lambda request_id: None

    @app.post("/")
    def handler(tasks: BackgroundTasks) -> None:
        with pytest.raises(TaskRefused, match="query string"):
            tasks.add_task(by_default([]), "ada")

    client(app).post("/")


def test_an_override_does_not_hide_what_is_refused():
    """A test with overrides refuses what would be refused in production."""
    app = App()

    def needs_request(request: Request):
        pass

    app.dependency_overrides[needs_request] = get_mailer

    @app.post("/")
    def handler(tasks: BackgroundTasks) -> None:
        with pytest.raises(TaskRefused, match="Request"):
            tasks.add_task(lambda mailer=Depends(needs_request): None)

    client(app).post("/")


def test_apps_that_share_a_manager_have_their_own_overrides(notes):
    """A task is resolved by the app that it was added in."""
    manager = TaskManager(InlineExecutor())
    first, second = App(tasks=manager), App(tasks=manager)
    second.dependency_overrides[get_mailer] = lambda: Mailer("second")
    send = by_default(notes)

    run(first, (send, "ada"))
    run(second, (send, "ada"))
    manager.call(send, "script")

    assert notes == [("ada", "post"), ("ada", "second"), ("script", "post")]


def test_an_app_inside_a_wrap_keeps_its_overrides(notes):
    """The outer application carries the task, the inner one resolves it."""
    inner = App()
    inner.dependency_overrides[get_mailer] = lambda: Mailer("inner")
    adding(inner, (by_default(notes), "ada"))

    client(wrap(inner)).post("/")

    assert notes == [("ada", "inner")]


def test_a_wrapped_application_injects_too(notes):
    """There are no overrides, and everything else is the same."""

    def legacy(environ, start_response):
        current_tasks().add_task(by_default(notes), "ada")
        with pytest.raises(TaskRefused, match="Request"):
            current_tasks().add_task(lambda request=Depends(needs): None)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    def needs(request: Request):
        pass

    app = wrap(legacy)
    client(app).get("/")
    app.call(by_default(notes), "grace")

    assert notes == [("ada", "post"), ("grace", "post")]


# --- failures ------------------------------------------------------------------------------


def test_a_failing_dependency_is_the_tasks_failure(app, notes, caplog):
    """It is logged, the task is not called, what was opened is closed, the next task runs."""

    def session():
        try:
            yield
        except ValueError as error:
            notes.append(f"rolled back: {error}")
            raise

    def fail(session=Depends(session)):
        raise ValueError("no mailer")

    def send(mailer=Depends(fail)):
        notes.append("never")

    run(app, send, lambda: notes.append("next"))

    assert notes == ["rolled back: no mailer", "next"]
    assert failures(caplog) == ["ValueError: no mailer"]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_failing_task_is_shown_to_its_dependencies(app, notes, caplog, is_async):
    """Each exit sees the error; one that swallows it does not turn it into a success."""

    def outer():
        try:
            yield
        except ValueError:
            notes.append("outer")
            raise

    async def inner(outer=Depends(outer)):
        try:
            yield
        except ValueError:
            notes.append("inner")
            raise

    def swallowing():
        try:
            yield
        except ValueError:
            notes.append("swallowed")

    def send(inner=Depends(inner), swallowed=Depends(swallowing)):
        raise ValueError("bad")

    async def send_async(inner=Depends(inner)):
        await asyncio.sleep(0)
        raise ValueError("bad")

    run(app, send_async if is_async else send)

    assert notes == (["inner", "outer"] if is_async else ["swallowed"])
    assert failures(caplog) == ["ValueError: bad"]


def test_an_exit_that_raises_is_the_tasks_failure(app, notes, caplog):
    """The commit failed, so the task did; the exits around it see that."""

    def outer():
        try:
            yield
        except KeyError as error:
            notes.append(repr(error))
            raise

    def session(outer=Depends(outer)):
        yield
        raise KeyError("commit")

    def send(session=Depends(session)):
        notes.append("send")

    run(app, send)

    assert notes == ["send", "KeyError('commit')"]
    assert failures(caplog) == ["KeyError: 'commit'"]


def no_yield():
    if COLOUR.get() == "never":
        yield


async def no_yield_async():
    if COLOUR.get() == "never":
        yield


def two_yields():
    yield
    yield


async def await_nothing():
    pass


@pytest.mark.parametrize("dependency", [no_yield, no_yield_async, two_yields])
def test_a_dependency_that_does_not_yield_once(app, caplog, dependency):
    """It is named."""

    def send(value=Depends(dependency)):
        pass

    run(app, send)

    assert len(failures(caplog)) == 1
    assert f"The dependency {dependency.__name__}()" in failures(caplog)[0]


def test_exits_of_the_process_are_the_tasks_own(app, notes, caplog):
    """`sys.exit()` in a dependency is the failure of this task."""

    def leave():
        raise SystemExit(3)

    def send(value=Depends(leave)):
        pass

    run(app, send, lambda: notes.append("next"))

    assert (notes, failures(caplog)) == (["next"], ["SystemExit: 3"])


def test_stop_ends_the_batch(notes, caplog):
    """A failure in a dependency counts as one of the task."""
    app = App(after_task_error="stop")

    def fail():
        raise ValueError("bad")

    run(app, lambda value=Depends(fail): None, (notes.append, "dropped"))

    assert notes == []
    assert "was dropped" in caplog.text


def test_a_generator_that_nobody_runs_is_a_failure(app, caplog):
    """As for any task."""
    run(app, lambda value=Depends(get_mailer): (each for each in "ab"))

    assert len(failures(caplog)) == 1
    assert "returned a generator" in failures(caplog)[0]


def wait_sync(session=Depends(get_mailer)):
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        pass


async def wait_async(session=Depends(get_mailer)):
    await asyncio.sleep(5)


def wait_in_a_dependency(waited=Depends(wait_async)):
    raise AssertionError


@pytest.mark.parametrize("waiting", [wait_sync, wait_async, wait_in_a_dependency])
def test_what_a_signal_handler_raises_is_the_servers(notes, caplog, waiting):
    """Its own exits run, whatever they do about it, and the task is reported as interrupted."""

    def leave(number, frame):
        raise SystemExit(1)

    def session():
        try:
            yield
        except SystemExit:
            raise ValueError("rollback failed") from None

    async def around(session=Depends(session), other=Depends(waiting)):
        notes.append("never")

    app = App()
    app.on_task(lambda event: notes.append(event.kind))
    before = signal.signal(signal.SIGALRM, leave)
    browser = adding(app, around, (notes.append, "never"))
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(SystemExit) as exit_:
            browser.post("/")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert notes == ["added", "added", "started", "interrupted", "lost"]
    assert exit_.value.__notes__ == ["An exit has raised ValueError('rollback failed') then."]


def test_something_may_be_put_around_what_a_task_awaits(notes):
    """For time limits: its dependencies hear of them."""
    app = App()

    def session():
        try:
            yield
        except TimeoutError:
            notes.append("session")
            raise

    async def send(session=Depends(session)):
        await asyncio.sleep(5)

    async def limited(awaitable, *, leaving=False):
        if leaving:
            return await awaitable
        async with asyncio.timeout(0.01):
            return await awaitable

    @app.post("/")
    def handler(tasks: BackgroundTasks) -> None:
        made = tasks.add_task(send)
        with pytest.raises(TimeoutError):
            app.tasks.invoke(made, limited)
        tasks.tasks.clear()

    client(app).post("/")

    assert notes == ["session"]


# --- what is refused -----------------------------------------------------------------------


def reads_request(request: Request):
    pass


def reads_response(response: Response):
    pass


def reads_scopes(scopes: SecurityScopes):
    pass


def reads_query(q: Annotated[str, Query()] = ""):
    pass


def reads_header(user_agent: Annotated[str, Header()]):
    pass


def reads_cookie(session: str = Cookie()):
    pass


def reads_path(item_id: Annotated[int, Path()]):
    pass


def reads_body(body: Annotated[dict[str, int], Body()]):
    pass


def reads_plain(page: int = 1):
    pass


@pytest.mark.parametrize(
    ("dependency", "parameter", "said"),
    [
        (reads_request, "request", "Request belongs to a request"),
        (reads_response, "response", "Response belongs to a request"),
        (reads_scopes, "scopes", "SecurityScopes belongs to a request"),
        (reads_query, "q", "it would be read from the query string of a request"),
        (reads_header, "user_agent", "it would be read from the headers of a request"),
        (reads_cookie, "session", "it would be read from the cookies of a request"),
        (reads_path, "item_id", "it would be read from the path of a request"),
        (reads_body, "body", "it would be read from the body of a request"),
        (reads_plain, "page", "it would be read from the query string of a request"),
    ],
)
def test_what_only_a_request_has_is_refused(dependency, parameter, said):
    """In the handler, with the place, the way to it, the reason and the remedy."""

    def middle(value=Security(dependency, scopes=["a"])):
        pass

    def send(to, middle=Depends(middle)):
        pass

    text = refused(send, "ada")

    assert text.startswith(f"{__file__}:")
    assert f" send(), parameter {parameter!r} via middle -> {dependency.__name__}" in text
    assert said in text
    assert "which tasks and app.call() run without" in text
    assert "in the handler, and pass it to add_task()" in text
    with pytest.raises(TaskRefused, match=said):
        App().call(send, "ada")


@pytest.mark.parametrize(
    ("annotation", "default", "said"),
    [
        (Request, Injected, "Request belongs to a request"),
        (str, Query(), "read from the query string of a request"),
        (str, Header("x"), "read from the headers of a request"),
        (Annotated[str, Body()], Injected, "read from the body of a request"),
    ],
)
def test_a_task_itself_is_no_handler(annotation, default, said):
    """Its own parameters are arguments or dependencies."""

    def send(to, value=default):
        pass

    send.__annotations__["value"] = annotation

    assert said in refused(send, "ada")


def test_a_subclass_of_the_collector_is_refused():
    """The batch is a plain collector."""

    class Mine(BackgroundTasks):
        pass

    def send(tasks=Injected):
        pass

    send.__annotations__["tasks"] = Mine

    assert "a task gets the collector of its batch, which is no Mine" in refused(send)


def needs_dependency(to, mailer: Annotated[Mailer, Depends(get_mailer)]):
    pass


def needs_collector(to, mailer: BackgroundTasks):
    pass


@pytest.mark.parametrize("func", [needs_dependency, needs_collector])
def test_a_dependency_without_a_default_is_refused_with_the_remedy(func):
    """A typed call could not leave it out."""
    text = refused(func, "ada")

    assert "missing a required argument: 'mailer'" in text
    assert text.endswith("For 'mailer' to be injected, write `= Injected` behind its annotation.")


def test_a_hint_is_only_given_where_it_helps():
    """Not for other mistakes, and not where the annotations cannot be read."""

    def odd(to, mailer: Nowhere):  # noqa: F821
        pass

    assert refused(needs_dependency).count("Injected") == 1
    assert "Injected" not in refused(odd, "ada")
    assert "Injected" not in refused(needs_dependency, "ada", "b", "c")


def test_a_positional_only_parameter_is_refused():
    """It could not be passed by its name."""

    def send(to, mailer=Depends(get_mailer), /):
        pass

    assert "parameter in front of `/` does not take" in refused(send, "ada")


def test_other_mistakes_keep_their_words():
    """A wrong declaration is refused like that of a handler."""

    def odd(connection: threading.Thread):
        pass

    def send(value=Depends(3)):
        pass

    def send_odd(value=Depends(odd)):
        pass

    assert "Depends(3) cannot be called" in refused(send)
    assert "is not a type that pydantic can validate" in refused(send_odd)


def test_a_circle_is_refused():
    """A dependency that leads back to itself, or to the task."""

    def send(again=Injected):
        pass

    send.__annotations__["again"] = Annotated[object, Depends(send)]

    assert "it depends on itself" in refused(send)


def test_a_hand_made_task_is_refused_before_the_first_byte(caplog):
    """The client hears of it, because nothing was told it yet."""
    app = App()

    @app.post("/")
    def handler() -> Response:
        return Response("ok", background=BackgroundTask(lambda a=Depends(reads_request): None))

    assert client(app).post("/").status_code == 500
    assert "Request belongs to a request" in caplog.text


def test_awaiting_by_hand_is_refused(notes):
    """Outside an application nobody knows what to inject."""
    made = BackgroundTask(by_default(notes), "ada")

    with pytest.raises(TaskRefused, match=r"parameters to inject \('mailer'\).*app\.call"):
        asyncio.run(made())


def test_a_manager_of_nobody_cannot_inject(notes):
    """It says what it needs."""
    manager = TaskManager(InlineExecutor())

    with pytest.raises(FastAPIError, match="belongs to no application"):
        manager.call(by_default(notes), "ada")


def test_a_wrapper_that_passes_other_arguments_on_sees_to_it_itself(notes):
    """What a wrapper fills in is none of ours."""
    send = by_default(notes)

    @functools.wraps(send)
    def wrapper(**kwargs):
        send("ada", Mailer("wrapper"))

    run(App(), wrapper)

    assert notes == [("ada", "wrapper")]


# --- app.call ------------------------------------------------------------------------------


def test_call_returns_what_the_function_returns():
    """Sync or async, with or without dependencies."""

    async def double(number: int, mailer: Mailer = Depends(get_mailer)) -> int:
        await asyncio.sleep(0)
        return number * 2

    async def at_once() -> int:
        return 5

    app = App()

    assert app.call(double, 4) == 8
    assert app.call(double, number=4) == 8
    assert app.call(at_once) == 5
    assert app.call(len, "four") == 4
    assert app.tasks.call(lambda mailer=Depends(get_mailer): mailer.host) == "post"


def test_call_has_the_overrides():
    """Those of the app that is asked."""
    app = App()
    app.dependency_overrides[get_mailer] = lambda: Mailer("fake")

    assert app.call(lambda mailer=Depends(get_mailer): mailer.host) == "fake"


def test_call_runs_exits_then_tasks(app, notes):
    """As a request does: the commit, the tasks, what stays open for them."""

    def session():
        yield
        notes.append("commit")

    def kept():
        yield
        notes.append("closed after the tasks")

    def work(
        tasks: BackgroundTasks = Injected,
        session=Depends(session),
        kept=Depends(kept, scope="tasks"),
    ):
        tasks.add_task(notes.append, "task")
        current_tasks().add_task(by_default(notes), "ada")
        notes.append("work")
        return "done"

    assert app.call(work) == "done"
    assert app.drain(10) == []

    assert notes == ["work", "commit", "task", ("ada", "post"), "closed after the tasks"]


def test_a_failed_call_raises_and_drops_its_tasks(app, notes, caplog):
    """Each exit sees the error; a task that asks for it runs all the same."""

    def note(name):
        def session():
            try:
                yield
            except ValueError:
                notes.append(name)

        return session

    def work(a=Depends(note("late"), scope="tasks"), b=Depends(note("session"))):
        current_tasks().add_task(notes.append, "never")
        current_tasks().add_task(task(notes.append, when="error"), "alarm")
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        app.call(work)
    assert app.drain(10) == []

    assert notes == ["session", "late", "alarm"]
    assert "was dropped: its call failed (ValueError: bad)" in caplog.text


def test_an_exit_that_fails_fails_the_call(app, notes, caplog):
    """The commit failed, so its tasks are dropped."""

    def session():
        yield
        raise KeyError("commit")

    def work(session=Depends(session)):
        current_tasks().add_task(notes.append, "never")

    with pytest.raises(KeyError):
        app.call(work)
    assert app.drain(10) == []

    assert notes == []
    assert "was dropped" in caplog.text


def test_a_call_inside_a_request_is_apart(notes):
    """It has a collector and a context of its own."""
    app = App()

    def work(tasks: BackgroundTasks = Injected):
        COLOUR.set("red")
        tasks.add_task(notes.append, "task of the call")

    @app.post("/")
    def handler(tasks: BackgroundTasks) -> str:
        tasks.add_task(notes.append, "task of the request")
        app.call(work)
        notes.append("handler")
        return COLOUR.get()

    assert client(app).post("/").json == "none"
    assert notes == ["task of the call", "handler", "task of the request"]


def test_a_call_warns_of_closed_resources():
    """A task must not be given what the call closes before it runs."""

    class Session:
        def close(self):
            pass

    def session():
        yield Session()

    def work(session=Depends(session)):
        current_tasks().add_task(print, session)

    with pytest.warns(ClosedResourceWarning, match="closes before the task runs"):
        App().call(work)


def test_a_call_that_cannot_succeed_is_refused():
    """As by `add_task`."""
    with pytest.raises(TaskRefused, match="missing a required argument"):
        App().call(by_default([]))  # type: ignore[call-arg]


# --- memory --------------------------------------------------------------------------------


def test_a_function_that_goes_takes_its_plan_along(notes):
    """Plans are kept weakly, so that functions made for each request do not pile up."""
    app = App()

    def add() -> weakref.ref[Any]:
        send = by_default(notes)
        app.call(send, "ada")
        return weakref.ref(send)

    gc.disable()
    try:
        assert add()() is None
    finally:
        gc.enable()


def make_session():
    yield object()


async def make_session_async():
    yield object()


def quiet(session=Depends(make_session), other=Depends(make_session_async)):
    """A task that does nothing."""


async def quiet_async(session=Depends(make_session)):
    await asyncio.sleep(0)


def failing(session=Depends(make_session), other=Depends(make_session_async)):
    raise ValueError("bad")


def failing_call(tasks: BackgroundTasks = Injected, session=Depends(make_session)):
    tasks.add_task(get_mailer)
    raise ValueError("bad")


@pytest.mark.parametrize("func", [quiet, quiet_async, failing])
def test_tasks_leave_no_cycles(func):
    """Everything is freed by its reference count."""
    app = App()
    adding(app, func, func)
    environ = create_environ("/", method="POST")

    def serve():
        answer = app(environ.copy(), lambda *args: None)
        list(answer)
        answer.close()

    assert collected(serve) == 0


@pytest.mark.parametrize("func", [quiet, quiet_async, failing, failing_call])
def test_calls_leave_no_cycles(func):
    """Nor do calls, whether they fail or not."""
    app = App()

    def call():
        with contextlib.suppress(ValueError):
            app.call(func)

    assert collected(call) == 0


def collected(step) -> int:
    """What the garbage collector finds after a hundred repetitions."""
    log = logging.getLogger("wsgibg.background")
    log.disabled = True
    gc.disable()
    try:
        step()
        gc.collect()
        for _ in range(100):
            step()
        return gc.collect()
    finally:
        gc.enable()
        log.disabled = False
