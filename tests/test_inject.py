"""Views of other frameworks with injected parameters: `wsgibg.embedding.inject`."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
import io
import json
import signal
import sys
import threading
from typing import Annotated

import pytest
from werkzeug.exceptions import HTTPException as WerkzeugHTTPException
from werkzeug.test import create_environ

from tests.support import client, wait_for
from wsgibg import (
    App,
    BackgroundTasks,
    Body,
    Cookie,
    Depends,
    Header,
    Injected,
    Path,
    Query,
    Request,
    Response,
    ThreadExecutor,
    current_tasks,
    task,
    wrap,
)
from wsgibg.embedding import ViewValidationError, inject
from wsgibg.exceptions import (
    ClosedResourceWarning,
    FastAPIError,
    RegistrationError,
    RequestValidationError,
    TaskRefused,
)

TEXT = [("Content-Type", "text/plain")]
COLOUR = contextvars.ContextVar("colour", default="none")


@pytest.fixture(name="notes")
def _notes():
    return []


@pytest.fixture(name="_switching")
def _frequent_switches():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def serving(view, *args, **kwargs):
    """A bare application that calls a view with the framework's arguments, and shows its result.

    What Werkzeug knows as an HTTP answer is answered, as Flask does.
    """

    def app(environ, start_response):
        try:
            result = view(*args, **kwargs)
        except WerkzeugHTTPException as error:
            return error(environ, start_response)
        if hasattr(result, "__next__"):
            start_response("200 OK", TEXT)
            return result
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(result).encode()]

    return app


def get(view, *args, path="/", **kwargs):
    """What a view returns when its wrapped application is asked."""
    return client(wrap(serving(view, *args, **kwargs))).get(path).get_json()


def noting(notes, name="resource"):
    """A ``yield`` dependency that writes down how it is left."""

    def resource():
        notes.append(f"open {name}")
        try:
            yield name
        except Exception as error:
            notes.append(f"{name} saw {error}")
            raise
        notes.append(f"close {name}")

    return resource


def user(name: str = "nobody"):
    return name


# --- what is injected, and what is the framework's -----------------------------------------


def test_what_is_injected_and_what_is_the_frameworks():
    """Markers and the request's own classes are injected; everything else is passed on."""

    @inject
    def view(
        item_id,
        by_default=Depends(user),
        *,
        bare: Annotated[str, Depends(user)],
        left_out: Annotated[str, Depends(user)] = Injected,
        tasks: BackgroundTasks,
        request: Request,
        q: Annotated[int, Query()] = 3,
        x_token: Annotated[str, Header()],
        visits: int = Cookie(),
        colour="red",
    ):
        assert tasks is current_tasks()
        return [item_id, by_default, bare, left_out, request.url.path, q, x_token, visits, colour]

    browser = client(wrap(serving(view, 5, colour="blue")))
    browser.set_cookie("visits", "7")
    answer = browser.get("/here?name=Ada&q=4", headers={"X-Token": "secret"})

    assert answer.get_json() == [5, "Ada", "Ada", "Ada", "/here", 4, "secret", 7, "blue"]


def test_the_signature_that_a_framework_sees():
    """It lacks what is injected, also in the annotations; the name is the view's."""

    @inject
    def view(item_id: int, *rest: int, tasks: BackgroundTasks, who=Depends(user), colour="red"):
        """Documented."""

    assert str(inspect.signature(view)) == "(item_id: 'int', *rest: 'int', colour='red')"
    assert inspect.getfullargspec(view).args == ["item_id"]
    assert set(view.__annotations__) == {"item_id", "rest"}
    assert (view.__name__, view.__doc__) == ("view", "Documented.")


def test_positional_arguments_pass_over_what_is_injected():
    """A framework counts the parameters that it sees."""

    @inject
    def view(first, who=Depends(user), second="two"):
        return [first, who, second]

    @inject
    def variadic(first, *rest, who=Depends(user), **others):
        return [first, list(rest), who, others]

    assert get(view, "one") == ["one", "nobody", "two"]
    assert get(view, "one", "three") == ["one", "nobody", "three"]
    assert get(view, "one", second="four") == ["one", "nobody", "four"]
    assert get(variadic, 1, 2, 3, four=4) == [1, [2, 3], "nobody", {"four": 4}]


def test_arguments_beyond_the_views_are_its_own_error():
    """Python's message names the view."""

    @inject
    def view(first, who=Depends(user)):
        return None

    with pytest.raises(TypeError, match="view"):
        get(view, "one", "two")
    with pytest.raises(TypeError, match="multiple values for argument 'first'"):
        get(view, "one", first="two")
    with pytest.raises(TypeError, match="multiple values for argument"):
        get(inject(lambda who=Depends(user), second=1: second), "one", second="two")


def test_a_method_keeps_its_instance():
    """As in Flask's `MethodView` and Django's `View`."""

    class View:
        name = "view"

        @inject
        def get(self, pk, who: Annotated[str, Depends(user)] = Injected):
            return [self.name, pk, who]

    assert get(View().get, pk=1) == ["view", 1, "nobody"]


def test_a_decorated_view():
    """A wrapper that passes any keyword on speaks for the view inside it."""

    def checked(view):
        @functools.wraps(view)
        def wrapper(*args, **kwargs):
            return ["checked", view(*args, **kwargs)]

        return wrapper

    @inject
    @checked
    def view(pk, who: str = Depends(user)):
        return [pk, who]

    assert get(view, pk=1) == ["checked", [1, "nobody"]]


def test_a_partial_and_a_callable_object():
    """What a partial has filled is nobody's any more; an object is called by its method."""

    def view(prefix, pk, who: Annotated[str, Depends(user)]):
        return [prefix, pk, who]

    class View:
        def __call__(self, pk, who: Annotated[str, Depends(user)]):
            return [pk, who]

    filled = inject(functools.partial(view, "prefix"))
    assert str(inspect.signature(filled)) == "(pk)"
    assert get(filled, 3) == ["prefix", 3, "nobody"]
    assert get(inject(View()), pk=3) == [3, "nobody"]


def test_what_is_passed_is_not_injected():
    """So a test may call a view without a request."""

    @inject
    def view(pk, first: str = Depends(user), second: str = Depends(user)):
        return [pk, first, second]

    @inject
    async def later(who: str = Depends(user)):
        await asyncio.sleep(0)
        return who

    assert view(1, first="a", second="b") == [1, "a", "b"]
    assert get(view, 1, second="b") == [1, "nobody", "b"]
    assert later(who="Ada") == "Ada"


def test_a_bare_application():
    """It is a view of WSGI's own; a generator's body comes after the exits of scope "function"."""

    @inject
    def app(environ, start_response, who: str = Depends(user)):
        start_response("200 OK", TEXT)
        yield who.encode()

    assert client(wrap(app)).get("/?name=Ada").text == "Ada"


def test_a_hand_made_collector_of_a_dependency_is_adopted(notes):
    """Its tasks are the request's."""

    def audit():
        tasks = BackgroundTasks()
        tasks.add_task(notes.append, "audit")
        return tasks

    @inject
    def view(audited=Depends(audit)):
        return None

    get(view)

    assert notes == ["audit"]


def test_the_files_of_a_form_are_closed(notes):
    """At the end of the request that asked for it by our `Request`."""

    @inject
    def view(request: Request, tasks: BackgroundTasks):
        notes.append(request.files["file"])
        tasks.add_task(lambda: notes.append(notes[0].closed))

    wrapped = wrap(serving(view))
    client(wrapped).post("/", data={"file": (io.BytesIO(b"content"), "a.txt")})

    assert notes[1] is False
    assert notes[0].closed


# --- dependencies --------------------------------------------------------------------------


def test_a_dependency_is_called_once_per_call_of_the_view(notes):
    """FastAPI's rule; a second injected function of the same request calls it again."""

    def counted():
        notes.append("called")
        return len(notes)

    def sub(number: int = Depends(counted)):
        return number

    @inject
    def helper(number: int = Depends(counted)):
        return number

    @inject
    def view(
        first: int = Depends(counted),
        second: int = Depends(sub),
        third: int = Depends(counted, use_cache=False),
    ):
        return [first, second, third, helper()]

    assert get(view) == [1, 1, 2, 3]


def test_a_dependency_gets_the_frameworks_arguments_by_name():
    """They are its path parameters: by their name, or by Path(); validated all the same."""

    def item(pk: int, size: int = 10):
        return [pk, size]

    def explicit(key: Annotated[int, Path(alias="pk", le=9)]):
        return key

    @inject
    def view(request, pk, section="all", found=Depends(item), key=Depends(explicit)):
        return [found, key]

    @inject
    def defaulted(pk=7, found=Depends(item)):
        return found

    assert get(view, "request", "3", path="/?size=5") == [[3, 5], 3]
    assert get(view, "request", pk="4") == [[4, 10], 4]
    assert get(defaulted) == [7, 10]
    wrong = get(view, "request", pk="ten")
    assert [each["loc"] for each in wrong["detail"]] == [["path", "pk"], ["path", "pk"]]


def test_an_argument_that_only_a_dependency_takes():
    """By Path() it takes it off the framework's arguments, also with an override."""

    def item(pk: Annotated[int, Path()]):
        return pk

    def other(key: Annotated[str, Path(alias="pk")]):
        return key

    @inject
    def view(found=Depends(item)):
        return found

    @inject
    def any_view(found=Depends(item), **rest):
        return [found, rest]

    assert str(inspect.signature(view)) == "(*, pk)"
    assert str(inspect.signature(any_view)) == "(**rest)"
    assert get(view, pk="3") == 3
    assert get(any_view, pk="3") == [3, {"pk": "3"}]
    wrapped = wrap(serving(view, pk="3"))
    wrapped.dependency_overrides[item] = other
    assert client(wrapped).get("/").get_json() == "3"


def test_an_argument_that_the_framework_does_not_pass():
    """The error names the parameter and the view."""

    def item(key: Annotated[int, Path()]):
        return key

    @inject
    def view(found=Depends(item)):
        return found

    with pytest.raises(FastAPIError, match=r"'key'.*has passed no 'key' to .*view"):
        get(view)


def test_wrong_values_are_answered_by_422():
    """With FastAPI's body, every error in it; the view is not called."""

    def page(skip: int, limit: Annotated[int, Query(le=100)] = 10):
        raise AssertionError("never called")

    @inject
    def view(paging=Depends(page), x_size: int = Header()):
        raise AssertionError("never called")

    answer = client(wrap(serving(view))).get("/?limit=1000")

    assert answer.status_code == 422
    assert answer.content_type == "application/json"
    errors = answer.get_json()["detail"]
    assert [each["loc"] for each in errors] == [
        ["query", "skip"],
        ["query", "limit"],
        ["header", "x-size"],
    ]


def test_the_error_of_wrong_values_is_of_both_families():
    """A handler for FastAPI's class or for Werkzeug's catches it; its text names the view."""

    @inject
    def view(size: Annotated[int, Query()]):
        return None

    with pytest.raises(RequestValidationError, match=r"GET /x .*test_inject.py:\d+ view\(\)") as it:
        client(wrap(lambda environ, start_response: view())).get("/x")

    assert isinstance(it.value, ViewValidationError)
    assert isinstance(it.value, WerkzeugHTTPException)
    assert it.value.code == 422


def test_dependencies_are_overridden_by_the_wrapped_application(notes):
    """For injected views and for tasks; the declared ones come back when the override goes."""

    def mailer():
        return "declared"

    def send(by: str = Depends(mailer)):
        notes.append(by)

    @inject
    def view(by: str = Depends(mailer), tasks: BackgroundTasks = Injected):
        tasks.add_task(send)
        return by

    wrapped = wrap(serving(view))
    browser = client(wrapped)
    wrapped.dependency_overrides[mailer] = lambda: "override"
    assert [browser.get("/").get_json() for _ in range(2)] == ["override"] * 2
    wrapped.dependency_overrides = {mailer: lambda: "other"}
    assert browser.get("/").get_json() == "other"
    assert wrapped.dependency_overrides.keys() == {mailer}
    assert wrapped.call(send) is None
    wrapped.dependency_overrides.clear()
    assert browser.get("/").get_json() == "declared"

    assert notes == ["override", "override", "other", "other", "declared"]


def test_an_override_that_cannot_be_injected():
    """It is told when the view is called."""

    @inject
    def view(who: str = Depends(user)):
        return who

    def replacement(item: dict):
        return item

    wrapped = wrap(serving(view))
    wrapped.dependency_overrides[user] = replacement

    with pytest.raises(RegistrationError, match=r"'item'.* body, which is the framework's"):
        client(wrapped).get("/")


@pytest.mark.usefixtures("_switching")
def test_many_threads_and_changing_overrides(notes):
    """Each call enters and leaves its own, whoever changes the overrides meanwhile."""
    opened, closed = [], []

    def resource(name: str):
        opened.append(name)
        yield name
        closed.append(name)

    def replacement(name: str):
        opened.append(name)
        yield name
        closed.append(name)

    @inject
    def view(
        tasks: BackgroundTasks,
        one=Depends(resource),
        two: str = Query(alias="name"),
        three=Depends(quick),
    ):
        assert one == two
        tasks.add_task(notes.append, one)

    wrapped = wrap(serving(view))

    def serve(thread):
        for number in range(50):
            client(wrapped).get(f"/?name={thread}-{number}")
            if number % 10 == 0:
                wrapped.dependency_overrides = {resource: replacement} if thread % 2 else {}

    threads = [threading.Thread(target=serve, args=(each,)) for each in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert len(notes) == 300
    assert sorted(opened) == sorted(closed) == sorted(notes)


# --- exits ---------------------------------------------------------------------------------


def test_exits_by_their_scopes(notes):
    """When the view has returned; when the body was closed, before the tasks; after them."""

    @inject
    def view(
        tasks: BackgroundTasks,
        early=Depends(noting(notes, "early"), scope="function"),
        normal=Depends(noting(notes, "normal")),
        inner=Depends(noting(notes, "inner")),
        late=Depends(noting(notes, "late"), scope="tasks"),
    ):
        tasks.add_task(notes.append, "task")
        notes.append("view")
        return body()

    def body():
        notes.append("body")
        yield b"x"
        notes.append("body's end")

    assert client(wrap(serving(view))).get("/").text == "x"

    opened = ["open early", "open normal", "open inner", "open late"]
    left = ["body", "body's end", "close inner", "close normal", "task", "close late"]
    assert notes == [*opened, "view", "close early", *left]


def test_an_exit_of_a_request_without_tasks(notes):
    """It waits for the body's end, whatever the body is."""

    @inject
    def view(resource=Depends(noting(notes))):
        return None

    body = wrap(serving(view))(create_environ("/"), lambda *args: None)
    assert list(body) == [b"null"]
    assert notes == ["open resource"]
    body.close()

    assert notes == ["open resource", "close resource"]


def test_a_view_that_raises(notes, caplog):
    """Every exit sees its error at once; tasks are dropped unless they wait for that."""

    @inject
    def view(
        tasks: BackgroundTasks,
        early=Depends(noting(notes, "early"), scope="function"),
        normal=Depends(noting(notes, "normal")),
        late=Depends(noting(notes, "late"), scope="tasks"),
    ):
        tasks.add_task(notes.append, "unwanted")
        tasks.add_task(task(notes.append, when="error"), "error")
        tasks.add_task(task(notes.append, when="always"), "always")
        raise LookupError("lost")

    def app(environ, start_response):
        current_tasks().add_task(notes.append, "before")
        try:
            view()
        except LookupError:
            notes.append("error page")
        start_response("500 Internal Server Error", TEXT)
        return [b"sorry"]

    assert client(wrap(app)).get("/").status_code == 500

    seen = ["early saw lost", "normal saw lost", "late saw lost", "error page"]
    assert notes[3:] == [*seen, "before", "error", "always"]
    (record,) = [each for each in caplog.records if "was dropped" in each.message]
    assert "view() failed (LookupError: lost)" in record.message


def test_a_failed_call_that_the_view_makes_up_for(notes):
    """Its own tasks are dropped; what is added later is asked how the request ends."""

    @inject
    def helper(tasks: BackgroundTasks):
        tasks.add_task(notes.append, "unwanted")
        raise LookupError("lost")

    @inject
    def view(tasks: BackgroundTasks):
        tasks.add_task(notes.append, "first")
        with contextlib.suppress(LookupError):
            helper()
        tasks.add_task(task(notes.append, when="error"), "unwanted")
        tasks.add_task(notes.append, "second")

    get(view)

    assert notes == ["first", "second"]


def test_a_dependency_that_swallows_the_error(notes):
    """There is no result to go on with, so another error takes its place."""

    def swallowing():
        try:
            yield
        except LookupError:
            notes.append("swallowed")

    @inject
    def view(outer=Depends(noting(notes)), inner=Depends(swallowing)):
        raise LookupError("lost")

    with pytest.raises(FastAPIError, match="swallows it") as caught:
        get(view)

    assert isinstance(caught.value.__cause__, LookupError)
    assert notes == ["open resource", "swallowed", "close resource"]


def test_an_early_dependency_that_swallows_the_error(notes):
    """Those whose exit comes later must not commit."""

    def swallowing():
        with contextlib.suppress(LookupError):
            yield

    @inject
    def view(outer=Depends(noting(notes)), inner=Depends(swallowing, scope="function")):
        raise LookupError("lost")

    with pytest.raises(FastAPIError, match="swallows it"):
        get(view)

    assert notes[0] == "open resource"
    assert "resource saw The request is raising" in notes[1]


def test_a_dependency_that_raises_another_error(notes):
    """It replaces the view's."""

    def translating():
        try:
            yield
        except LookupError as error:
            raise OSError("translated") from error

    @inject
    def view(outer=Depends(noting(notes)), inner=Depends(translating)):
        raise LookupError("lost")

    with pytest.raises(OSError, match="translated"):
        get(view)

    assert notes == ["open resource", "resource saw translated"]


def test_an_early_exit_that_raises_fails_the_view(notes):
    """The other exits see it."""

    def failing():
        yield
        raise OSError("commit")

    @inject
    def view(normal=Depends(noting(notes)), early=Depends(failing, scope="function")):
        return None

    with pytest.raises(OSError, match="commit"):
        get(view)

    assert notes == ["open resource", "resource saw commit"]


def test_an_exit_that_raises_after_the_response(notes, caplog):
    """It is logged, and the tasks that were to follow it are dropped."""

    def failing():
        yield
        raise OSError("commit")

    @inject
    def view(tasks: BackgroundTasks, resource=Depends(failing)):
        tasks.add_task(notes.append, "unwanted")
        return "answer"

    assert get(view) == "answer"

    assert notes == []
    assert "An exit raised OSError: commit after the response." in caplog.text
    assert "an exit of its request raised OSError: commit" in caplog.text


def test_a_signal_during_an_exit(notes, caplog):
    """What its handler raises is raised again, for the server; the tasks are dropped."""

    def leave(*_):
        raise SystemExit(1)

    def interrupted():
        yield
        signal.raise_signal(signal.SIGALRM)

    @inject
    def view(tasks: BackgroundTasks, resource=Depends(interrupted)):
        tasks.add_task(notes.append, "unwanted")

    before = signal.signal(signal.SIGALRM, leave)
    try:
        with pytest.raises(SystemExit):
            get(view)
    finally:
        signal.signal(signal.SIGALRM, before)

    assert notes == []
    assert "was dropped: an exit of its request raised SystemExit: 1" in caplog.text


def test_an_application_that_raises_after_the_view(notes):
    """The exits that waited for the response see its error."""

    @inject
    def view(tasks: BackgroundTasks, resource=Depends(noting(notes))):
        tasks.add_task(notes.append, "unwanted")

    def app(environ, start_response):
        view()
        raise LookupError("template")

    with pytest.raises(LookupError, match="template"):
        client(wrap(app)).get("/")

    assert notes == ["open resource", "resource saw template"]


def test_a_body_that_breaks(notes):
    """The exits see its error, after the body's own close."""

    class Body:
        def __iter__(self):
            return self

        def __next__(self):
            raise OSError("disk")

        def close(self):
            notes.append("body closed")

    @inject
    def view(
        tasks: BackgroundTasks,
        resource=Depends(noting(notes)),
        late=Depends(noting(notes, "late"), scope="tasks"),
    ):
        tasks.add_task(notes.append, "unwanted")
        return Body()

    body = wrap(serving(view))(create_environ("/"), lambda *args: None)
    with pytest.raises(OSError, match="disk"):
        next(body)
    body.close()

    opened = ["open resource", "open late"]
    assert notes == [*opened, "body closed", "resource saw disk", "late saw disk"]


def test_a_view_that_calls_another_injected_function(notes):
    """What was entered last is left first."""

    @inject
    def helper(inner=Depends(noting(notes, "inner"))):
        return inner

    @inject
    def view(outer=Depends(noting(notes, "outer"))):
        return [outer, helper()]

    assert get(view) == ["outer", "inner"]

    assert notes == ["open outer", "open inner", "close inner", "close outer"]


@pytest.mark.parametrize("fails", [False, True])
def test_a_call_that_outlives_its_request(notes, fails):
    """Its dependencies were left with the request; nobody leaves them twice."""
    go = threading.Event()
    threads = []

    @inject
    def slow(resource=Depends(noting(notes))):
        notes.append("inside")
        assert go.wait(5)
        if fails:
            raise LookupError("too late")

    def run():
        with contextlib.suppress(LookupError):
            slow()

    def app(environ, start_response):
        threads.append(threading.Thread(target=contextvars.copy_context().run, args=(run,)))
        threads[0].start()
        wait_for(lambda: "inside" in notes)
        start_response("200 OK", TEXT)
        return [b"hello"]

    client(wrap(app)).get("/")
    assert notes == ["open resource", "inside", "close resource"]
    go.set()
    threads[0].join()

    assert notes == ["open resource", "inside", "close resource"]


class Resource:
    """Something that is closed."""

    def close(self):
        pass


def closed():
    yield Resource()


def test_a_task_that_is_given_what_will_be_closed(notes):
    """It is warned of in the view, or refused in strict mode."""

    @inject
    def view(tasks: BackgroundTasks, resource=Depends(closed)):
        tasks.add_task(notes.append, resource)

    with pytest.warns(ClosedResourceWarning, match='scope="tasks"'):
        get(view)

    def note(each):
        notes.append(each)

    @inject
    def later(tasks: BackgroundTasks, resource=Depends(closed)):
        tasks.add_task(note, resource)

    @inject
    def earlier(tasks: BackgroundTasks):
        tasks.add_task(note, 1)  # (what was added before is asked about again)
        later()

    with pytest.warns(ClosedResourceWarning, match='scope="tasks"'):
        get(earlier)
    with pytest.raises(TaskRefused):
        client(wrap(serving(view), strict=True)).get("/")


def test_a_resource_that_stays_open_for_the_tasks(notes):
    """Under a pool its exit runs there, in the context in which it was entered."""

    def late():
        token = COLOUR.set("late")
        yield COLOUR.get()
        COLOUR.reset(token)
        notes.append(f"{threading.current_thread() is main} {COLOUR.get()}")

    @inject
    def view(tasks: BackgroundTasks, resource=Depends(late, scope="tasks")):
        tasks.add_task(notes.append, resource)
        return COLOUR.get()

    main = threading.current_thread()
    wrapped = wrap(serving(view), executor=ThreadExecutor(workers=1))
    context = contextvars.copy_context()

    assert context.run(lambda: client(wrapped).get("/").get_json()) == "none"
    assert wrapped.drain(5) == []
    assert notes == ["late", "False none"]
    wrapped.shutdown()


# --- async ---------------------------------------------------------------------------------


async def quick():
    return "quick"


async def slow():
    await asyncio.sleep(0)
    return "slow"


def async_noting(notes, *, suspends):
    async def resource():
        token = COLOUR.set("red")
        notes.append("open")
        if suspends:
            await asyncio.sleep(0)
        try:
            yield "value"
        except LookupError:
            notes.append("error")
            raise
        finally:
            COLOUR.reset(token)
            notes.append("close")

    return resource


@pytest.mark.parametrize("scope", ["function", "request", "tasks"])
@pytest.mark.parametrize("suspends", [False, True], ids=["lent", "hop"])
def test_async_dependencies_of_a_sync_view(notes, suspends, scope):
    """Their variables are the view's (but for "tasks"), and gone with the dependency."""
    resource = async_noting(notes, suspends=suspends)

    @inject
    def view(
        fail: bool = Query(False),
        one=Depends(quick),
        two=Depends(slow if suspends else quick),
        three=Depends(resource, scope=scope),
    ):
        notes.append(COLOUR.get())
        if fail:
            raise LookupError("lost")
        return [one, two, three]

    colour = "none" if scope == "tasks" else "red"

    context = contextvars.copy_context()
    wrapped = wrap(serving(view))

    def serve(path):
        return client(wrapped).get(path).get_json()

    assert context.run(serve, "/") == ["quick", "slow" if suspends else "quick", "value"]
    assert notes == ["open", colour, "close"]
    assert context.run(COLOUR.get) == "none"
    with pytest.raises(LookupError):
        context.run(serve, "/?fail=1")
    assert notes[3:] == ["open", colour, "error", "close"]
    assert context.run(COLOUR.get) == "none"


@pytest.mark.parametrize("suspends", [False, True], ids=["lent", "hop"])
def test_an_async_view(suspends):
    """The framework sees a sync one; it runs on the process's loop, with the variables of here."""

    async def body(who):
        if suspends:
            await asyncio.sleep(0)
        return who, COLOUR.get()

    if suspends:

        @inject
        async def view(pk, who: str = Depends(user)):
            return [pk, *await body(who)]

    else:

        @inject
        async def view(pk, who: str = Depends(user)):
            return [pk, who, COLOUR.get()]

    assert not inspect.iscoroutinefunction(view)
    COLOUR.set("green")
    assert get(view, 1) == [1, "nobody", "green"]


def test_a_sync_view_that_returns_an_awaitable():
    """It is awaited, as a handler's is."""
    view = inject(functools.wraps(user)(lambda who=Depends(user): slow()))

    assert get(view) == "slow"


def test_what_a_sync_view_sets_is_seen_by_a_later_step(notes):
    """Variables go both ways, also between two hops."""

    async def first():
        await asyncio.sleep(0)
        COLOUR.set("first")

    def second(_=Depends(first)):
        notes.append(COLOUR.get())
        COLOUR.set("second")

    async def third(_=Depends(second)):
        await asyncio.sleep(0)
        notes.append(COLOUR.get())

    @inject
    def view(_=Depends(third)):
        return COLOUR.get()

    assert contextvars.copy_context().run(get, view) == "second"

    assert notes == ["first", "second"]


def test_an_exit_in_another_thread(notes):
    """The variable of the thread that closes is left alone."""
    resource = async_noting(notes, suspends=True)

    @inject
    def view(_=Depends(resource)):
        return COLOUR.get()

    body = contextvars.copy_context().run(
        wrap(serving(view)), create_environ("/"), lambda *args: None
    )
    thread = threading.Thread(target=body.close)
    thread.start()
    thread.join()

    assert notes == ["open", "close"]


def test_a_dependency_that_does_not_yield_once():
    """Sync or async, the error names it."""

    def never():
        yield from ()

    async def never_async():
        for each in ():
            yield each

    for dependency in (never, never_async):

        @inject
        def view(_=Depends(dependency)):
            return None

        with pytest.raises(FastAPIError, match=r"never.* ended without a yield"):
            get(view)


def test_an_async_dependency_that_yields_twice(caplog):
    """It is given up, and told of."""

    async def twice():
        yield 1
        yield 2

    @inject
    def view(_=Depends(twice)):
        return None

    get(view)

    assert "twice() yielded twice" in caplog.text


# --- what cannot be ------------------------------------------------------------------------


class Kind(BackgroundTasks):
    """A collector of one's own."""


def of_body(item: Annotated[str, Body()]):
    return item


def of_response(response: Response):
    return response


def of_collector(tasks: Kind):
    return tasks


@pytest.mark.parametrize(
    ("dependency", "message"),
    [
        (of_body, "'item' via of_body.* would be read from the body.*framework's own request"),
        (of_response, "'response' via of_response.*cannot have a Response.*own response"),
        (of_collector, "'tasks' via of_collector.* cannot have a Kind.* as BackgroundTasks"),
    ],
)
def test_a_dependency_that_asks_for_what_the_framework_has(dependency, message):
    """Refused when the view is decorated, with the way to it and the remedy."""

    def view(value=Depends(dependency)):
        raise AssertionError("never called")

    with pytest.raises(RegistrationError, match=message) as caught:
        inject(view)

    assert "test_inject.py" in str(caught.value)


def test_views_that_cannot_be_injected():
    """Refused when they are decorated; each message says what to do."""

    def nothing(pk: int):
        return pk

    def path(pk: Annotated[int, Path()]):
        return pk

    def positional(tasks: BackgroundTasks, /):
        return tasks

    def variadic(tasks: BackgroundTasks, *rest):
        return tasks

    async def generator(tasks: BackgroundTasks):
        yield tasks

    class View:
        def get(self, tasks: BackgroundTasks):
            return tasks

    for view, message in [
        (nothing, "found nothing to inject. Mark a parameter"),
        (path, "'pk': the path's parameters are the framework's to give"),
        (positional, "'tasks': it is injected by its name, which a parameter in front of `/`"),
        (variadic, r"'tasks': it is injected by its name, which a parameter in front of `\*args`"),
        (generator, "an async generator is no view"),
        (View, "takes a function or a method. Decorate each method"),
        (classmethod(nothing), "takes a function or a method"),
    ]:
        with pytest.raises(RegistrationError, match=message):
            inject(view)


def test_an_annotation_that_cannot_be_found():
    """One that is meant to be injected is refused: the name is imported for type checkers only."""

    class Local:
        pass

    def depends(value: Annotated[Local, Depends(user)]):
        return value

    def collects(request: Missing, tasks: Hidden.BackgroundTasks):  # noqa: F821
        return tasks

    for view in (depends, collects):
        with pytest.raises(RegistrationError, match="names something that cannot be found"):
            inject(view)


@inject
def needs_user(who: str = Depends(user)):
    return who


def test_a_call_outside_of_a_request():
    """The error names the view, its parameters and the remedy."""
    with pytest.raises(
        FastAPIError, match=r"needs_user\(\) has .* \('who'\) .* outside of a request.*wsgibg.wrap"
    ):
        needs_user()


def test_a_call_by_a_background_task(caplog):
    """A task has dependencies of its own."""

    def library():
        needs_user()

    def app(environ, start_response):
        current_tasks().add_task(library)
        start_response("200 OK", TEXT)
        return [b"hello"]

    client(wrap(app)).get("/")

    assert (
        "after its request had ended. Let a background task declare Depends() itself" in caplog.text
    )


def test_a_call_by_an_apps_handler():
    """A handler has dependencies of its own, and so has what `call` is given."""
    app = App()

    @app.get("/")
    def read():
        with pytest.raises(FastAPIError, match=r"by an App's own code. Let the handler"):
            needs_user()

    assert client(app).get("/").status_code == 200
    app.call(read)


def test_a_call_after_the_request():
    """What was left cannot be entered any more."""
    kept = []

    def app(environ, start_response):
        kept.append(contextvars.copy_context())
        start_response("200 OK", TEXT)
        return [b"hello"]

    client(wrap(app)).get("/")

    with pytest.raises(FastAPIError, match="after its request had ended"):
        kept[0].run(needs_user)
