"""The middleware: a collector for each request, which ends when its response is closed."""

from __future__ import annotations

import gc
import io
import warnings
import weakref
from typing import ClassVar
from wsgiref.util import FileWrapper

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished
from django.http import FileResponse, Http404, HttpResponse, HttpResponseRedirect
from django.http import StreamingHttpResponse as Streaming
from django.http.response import HttpResponseBase
from django.test import AsyncClient, override_settings
from django.utils import translation
from werkzeug.test import create_environ

from tests.integrations.django.project import MIDDLEWARE
from tests.support import client, wait_for
from wsgibg import App, InlineExecutor, current_tasks, task, wrap
from wsgibg.embedding import drop_tasks
from wsgibg.exceptions import TaskRefused
from wsgibg.integrations.django import task_manager
from wsgibg.responses import WSGIResponse


@pytest.fixture
def notes():
    return []


def plain(content="hello", **options):
    return lambda: HttpResponse(content, **options)


def no_content():
    response = HttpResponse(status=204)
    del response["Content-Type"]  # (the validator takes Django's default for a mistake)
    return response


KINDS = {
    "plain": plain(),
    "stream": lambda: Streaming(iter([b"hel", b"lo"])),
    "file": lambda: FileResponse(io.BytesIO(b"hello"), filename="a.txt"),
    "204": no_content,
    "redirect": lambda: HttpResponseRedirect("/there"),
    "returned 404": plain(status=404),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["get", "head"])
def test_tasks_run_after_every_kind_of_response(ask, notes, kind, method):
    """Whatever a view returns, its tasks run once, when the response is closed."""

    def view(request):
        current_tasks().add_task(notes.append, "task")
        return KINDS[kind]()

    ask(view, method=method)

    assert notes == ["task"]


def test_django_ends_the_request_before_the_tasks(ask, notes):
    """Resources are closed and `request_finished` is sent first: a task holds nothing up."""

    def view(request):
        current_tasks().add_task(notes.append, "task")
        response = HttpResponse("hello")
        response._resource_closers.append(lambda: notes.append("closed"))
        return response

    def finished(**_):
        current_tasks().add_task(notes.append, "task of request_finished")
        notes.append("finished")

    request_finished.connect(finished)
    try:
        ask(view)
    finally:
        request_finished.disconnect(finished)

    assert notes == ["closed", "finished", "task", "task of request_finished"]


def test_a_stream_adds_tasks_while_it_is_sent(ask, notes):
    """The collector is there in each step of the body."""

    def body():
        for number in range(3):
            current_tasks().add_task(notes.append, number)
            yield b"x"

    assert ask(lambda request: Streaming(body())).body == b"xxx"
    assert notes == [0, 1, 2]


def raises(error):
    def view(request):
        current_tasks().add_task(print, "never")
        current_tasks().add_task(task(request.notes.append, when="error"), "error")
        current_tasks().add_task(task(request.notes.append, when="always"), "always")
        raise error

    return view


class Refuses:
    """A middleware that refuses what the view has answered."""

    drops = False

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        self.get_response(request).close()
        if self.drops:
            drop_tasks("it was refused")
        raise PermissionDenied


class RefusesAndDrops(Refuses):
    """The same, for its tasks as well."""

    drops = True


@pytest.mark.parametrize("kind", [Refuses, RefusesAndDrops])
def test_a_middleware_that_refuses_a_request(ask, notes, kind):
    """Django tells nobody, so it is for the middleware to say what becomes of the tasks."""

    def view(request):
        current_tasks().add_task(notes.append, "task")
        return HttpResponse("hello")

    with override_settings(MIDDLEWARE=[MIDDLEWARE, f"{__name__}.{kind.__name__}"]):
        assert ask(view).status_code == 403

    assert notes == ([] if kind.drops else ["task"])


@pytest.mark.parametrize("error", [KeyError("x"), Http404("gone"), PermissionDenied("no")])
def test_a_view_that_raises_drops_its_tasks(ask, notes, caplog, error):
    """Django makes a response of the error, and the request has failed all the same."""

    def view(request):
        request.notes = notes
        return raises(error)(request)

    answer = ask(view)

    assert answer.status_code in (403, 404, 500)
    assert notes == ["error", "always"]
    dropped = [each.getMessage() for each in caplog.records if "dropped" in each.getMessage()]
    assert len(dropped) == 1
    assert "builtins.print" in dropped[0]
    assert f"its request failed ({type(error).__name__}" in dropped[0]


class Raising:
    """A middleware that fails once the view has returned."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        self.get_response(request)
        msg = "broken"
        raise RuntimeError(msg)


class Answering:
    """A middleware that has an answer to what a view raises."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_exception(self, request, exception):
        return HttpResponse("handled")


def test_a_middleware_that_raises_drops_the_tasks(ask, notes, caplog):
    """What is not the view's own error is told by a signal."""

    def view(request):
        current_tasks().add_task(notes.append, 1)
        return HttpResponse("hello")

    with override_settings(MIDDLEWARE=[MIDDLEWARE, f"{__name__}.Raising"]):
        assert ask(view).status_code == 500

    assert notes == []
    assert "its request failed (RuntimeError: broken)" in caplog.text


def test_an_error_that_a_middleware_answers_is_no_failure(ask, notes):
    """It was taken care of before it came to this middleware."""

    def view(request):
        current_tasks().add_task(notes.append, 1)
        raise KeyError

    with override_settings(MIDDLEWARE=[MIDDLEWARE, f"{__name__}.Answering"]):
        assert ask(view).body == b"handled"

    assert notes == [1]


def test_an_error_that_leaves_django_drops_the_tasks(ask, notes, caplog):
    """With `DEBUG_PROPAGATE_EXCEPTIONS` no response is made."""

    def view(request):
        current_tasks().add_task(notes.append, 1)
        raise KeyError("x")

    with override_settings(DEBUG_PROPAGATE_EXCEPTIONS=True), pytest.raises(KeyError):
        ask(view)

    assert notes == []
    assert "was dropped" in caplog.text


def test_a_broken_stream_drops_its_tasks(ask, notes, caplog):
    """The client has not got what the view has promised."""

    def body():
        current_tasks().add_task(notes.append, 1)
        yield b"x"
        raise KeyError("x")

    with pytest.raises(KeyError):
        ask(lambda request: Streaming(body()))

    wait_for(lambda: "was dropped" in caplog.text)
    assert notes == []


def test_delivered_means_to_the_last_chunk(ask, notes, serve):
    """The body is watched, as it is by `wrap`."""

    def view(request):
        current_tasks().add_task(task(notes.append, when="delivered"), request.path)
        return Streaming(iter([b"x", b"y"])) if request.path == "/stream" else HttpResponse("xy")

    for path in ("/plain", "/stream"):
        ask(view, path=path)

    assert notes == ["/plain", "/stream"]


@pytest.mark.parametrize("kind", ["plain", "stream", "file"])
def test_what_is_cut_off_is_not_delivered(serve, notes, caplog, kind):
    """A client that goes away in the middle has not got its response."""

    def view(request):
        current_tasks().add_task(task(notes.append, when="delivered"), 1)
        if kind == "plain":
            response = HttpResponse("hello")
            response.write("more")
            return response
        return KINDS[kind]() if kind == "stream" else FileResponse(io.BytesIO(b"x" * 10_000))

    serve(view)
    body = WSGIHandler()(create_environ("/"), lambda *_: None)
    next(iter(body))
    body.close()

    assert notes == []
    assert "the body was not delivered whole" in caplog.text


def test_the_server_sends_a_file_by_itself_where_no_task_waits(serve, notes):
    """With a task Django sends it, since not every server closes what it sends by itself."""
    path = __file__

    def view(request):
        if request.GET:
            current_tasks().add_task(notes.append, "task")
        return FileResponse(open(path, "rb"))  # noqa: PTH123 (the response closes it)

    serve(view)
    bodies = []
    for url in ("/", "/?task=1"):
        environ = create_environ(url) | {"wsgi.file_wrapper": FileWrapper}
        bodies.append(WSGIHandler()(environ, lambda *_: None))

    assert [type(each) for each in bodies] == [FileWrapper, FileResponse]
    for body in bodies:
        body.close()
    assert notes == ["task"]


def test_a_response_is_closed_twice(serve, notes):
    """The second time is Django's own business."""

    def view(request):
        current_tasks().add_task(notes.append, "task")
        return HttpResponse("hello")

    serve(view)
    body = WSGIHandler()(create_environ("/"), lambda *_: None)
    close = body.close
    body.close()
    close()
    body.close()

    assert notes == ["task"]
    assert "close" not in vars(body)


def test_somebody_else_stands_in_for_close(serve, notes):
    """What was put in its place later is left there, and calls it."""

    def view(request):
        current_tasks().add_task(notes.append, "task")
        return HttpResponse("hello")

    serve(view)
    body = WSGIHandler()(create_environ("/"), lambda *_: None)
    ours = body.close
    body.close = theirs = lambda: (notes.append("theirs"), ours())
    body.close()

    assert notes == ["theirs", "task"]
    assert body.close is theirs


def test_a_response_that_is_thrown_away_ends_its_request(serve, notes, recwarn):
    """Nothing is lost, and a warning says what to do."""

    def view(request):
        current_tasks().add_task(notes.append, "task")
        return Streaming(iter([b"x"]))

    serve(view)
    warnings.simplefilter("always")
    WSGIHandler()(create_environ("/"), lambda *_: None)
    gc.collect()

    wait_for(lambda: notes == ["task"])
    wait_for(lambda: [each for each in recwarn if each.category is ResourceWarning])


def test_nothing_of_a_request_is_left(serve):
    """Its scope goes with the response, without the garbage collector's help."""
    scopes = []

    def view(request):
        current_tasks().add_task(print, "task")
        scopes.append(weakref.ref(request))
        scopes.append(weakref.ref(current_tasks()))
        return HttpResponse("hello")

    serve(view)
    gc.collect()
    gc.disable()
    try:
        client(WSGIHandler()).get("/")
        assert [each() for each in scopes] == [None, None]
    finally:
        gc.enable()


def test_after_the_request_a_task_is_refused(ask, notes):
    """A thread of the view's that is late hears of it."""

    def view(request):
        notes.append(current_tasks())
        return HttpResponse("hello")

    ask(view)

    with pytest.raises(TaskRefused):
        notes[0].add_task(print)


def test_a_task_starts_others(ask, notes):
    """Inside a task the collector is its batch, and the context is that of the view."""

    def first():
        current_tasks().add_task(notes.append, translation.get_language())

    def view(request):
        with translation.override("nl"):
            current_tasks().add_task(first)
        return HttpResponse("hello")

    ask(view)

    assert notes == ["nl"]


def test_an_async_view(ask, notes):
    """It is served by WSGI, in a loop of Django's, and has the same collector."""

    async def view(request):
        current_tasks().add_task(notes.append, 1)
        await sync_to_async(lambda: current_tasks().add_task(notes.append, 2))()
        return HttpResponse("hello")

    assert ask(view, path="/async").body == b"hello"
    assert notes == [1, 2]


async def characters(text):
    for one in text:
        current_tasks().add_task(print, one)
        yield one


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
def test_an_async_stream_under_wsgi(serve, capsys):
    """Django collects it first; each step is inside the request."""
    serve(lambda request: Streaming(characters("ab")))

    assert client(WSGIHandler()).get("/").data == b"ab"
    assert capsys.readouterr().out == "a\nb\n"


@async_to_sync
async def by_asgi(path):
    """Ask through Django's async handler, which this middleware makes wait."""
    response = await AsyncClient().get(path)
    if not response.streaming:
        return response.content
    return b"".join([chunk async for chunk in response.streaming_content])


@pytest.mark.parametrize("path", ["/async", "/"])
def test_under_asgi(serve, capsys, path):
    """Django adapts the middleware, so the same happens."""

    def view(request):
        current_tasks().add_task(print, "task")
        return HttpResponse("hello")

    serve(view)

    assert by_asgi(path) == b"hello"
    assert capsys.readouterr().out == "task\n"


def test_an_async_stream_under_asgi(serve, capsys):
    """Each step is inside the request, and its end ends that."""
    serve(lambda request: Streaming(characters("ab")))

    assert by_asgi("/") == b"ab"
    assert capsys.readouterr().out == "a\nb\n"


def test_a_broken_async_stream_drops_its_tasks(serve, caplog):
    """As one that is not async."""

    async def body():
        current_tasks().add_task(print, "never")
        yield b"x"
        raise KeyError("x")

    serve(lambda request: Streaming(body()))

    with pytest.raises(KeyError):
        by_asgi("/")

    gc.collect()
    wait_for(lambda: "was dropped: its response broke (KeyError" in caplog.text)


def test_wrap_around_the_middleware(serve, notes, caplog):
    """There is one collector, whose tasks run once, by the options of `wrap`, with a warning."""
    app = wrap(WSGIHandler())
    app.tasks.on_task(lambda event: notes.append(event.kind))

    def view(request):
        assert request.META["wsgibg.tasks"] is current_tasks()
        current_tasks().add_task(notes.append, "task")
        return HttpResponse("hello")

    serve(view)
    for _ in range(2):
        client(app).get("/")

    assert notes == ["added", "started", "task", "succeeded"] * 2
    (warning,) = caplog.records
    assert warning.getMessage().startswith("Django is inside wsgibg.wrap()")


def test_wrap_with_the_same_manager(serve, notes, caplog):
    """Nothing is in doubt then, nor warned of; what Django makes of errors is still seen."""

    def view(request):
        current_tasks().add_task(notes.append, request.path)
        if request.path == "/wrong":
            raise KeyError("x")
        return HttpResponse("hello")

    serve(view)
    app = wrap(WSGIHandler(), tasks=task_manager())
    for path in ("/wrong", "/right"):
        client(app).get(path)

    assert notes == ["/right"]
    said = [each.getMessage() for each in caplog.records if each.name.startswith("wsgibg")]
    assert [text.rpartition(" was ")[2] for text in said] == [
        "dropped: its request failed (KeyError: 'x')."
    ]


def test_an_error_inside_wrap_alone(serve, notes):
    """Without the middleware a response of Django's is a response, whatever it was made of."""

    def view(request):
        current_tasks().add_task(notes.append, "task")
        raise KeyError("x")

    serve(view)
    with override_settings(MIDDLEWARE=[]):
        assert client(wrap(WSGIHandler())).get("/").status_code == 500

    assert notes == ["task"]


def test_the_middleware_twice(ask, notes, caplog):
    """The first one is enough, and a warning says so."""

    def view(request):
        current_tasks().add_task(notes.append, "task")
        return HttpResponse("hello")

    with override_settings(MIDDLEWARE=[MIDDLEWARE, MIDDLEWARE]):
        ask(view)
        ask(view)

    assert notes == ["task"] * 2
    (warning,) = caplog.records
    assert warning.getMessage().startswith("BackgroundTasksMiddleware is in MIDDLEWARE twice")


def test_django_inside_an_app(serve, notes):
    """A project that is mounted, or is an answer, leaves its tasks to the app."""
    app = App()
    app.mount("/legacy", WSGIHandler())

    @app.get("/answer")
    def answer():
        return WSGIResponse(WSGIHandler())

    def view(request):
        current_tasks().add_task(notes.append, "task")
        return HttpResponse("hello")

    serve(view)

    assert client(app).get("/legacy/x").data == b"hello"
    assert client(app).get("/answer").data == b"hello"
    assert notes == ["task"] * 2


def test_a_middleware_before_it_is_warned_of(ask, caplog):
    """What comes before has no collector, and may throw the response away."""
    with override_settings(MIDDLEWARE=[f"{__name__}.Answering", MIDDLEWARE]):
        ask(lambda request: HttpResponse("hello"))

    assert f"comes after {__name__}.Answering in MIDDLEWARE" in caplog.text


CACHE = "django.middleware.cache"


def test_a_project_with_a_cache(ask, notes):
    """A page from the cache runs no view, and so has no task; nothing of the first is kept."""

    def view(request):
        current_tasks().add_task(notes.append, "task")
        return HttpResponse("hello")

    middleware = [MIDDLEWARE, f"{CACHE}.UpdateCacheMiddleware", f"{CACHE}.FetchFromCacheMiddleware"]
    with override_settings(MIDDLEWARE=middleware):
        bodies = [ask(view).body for _ in range(3)]
    cache.clear()

    assert bodies == [b"hello"] * 3
    assert notes == ["task"]


class Durable(InlineExecutor):
    """Notes what it holds, and may fail to."""

    durable = True
    held: ClassVar[list] = []
    fails = False

    def hold(self, batch):
        if self.fails:
            msg = "disk full"
            raise OSError(msg)
        self.held.append(len(batch.tasks))


def test_tasks_are_held_before_the_first_byte(ask, notes):
    """A durable executor stores them before the response leaves Django."""
    executor = Durable()

    def view(request):
        current_tasks().add_task(notes.append, "task")
        return HttpResponse("hello")

    with override_settings(WSGIBG={"EXECUTOR": executor}):
        ask(view)
    assert (executor.held.pop(), notes) == (1, ["task"])

    executor.fails = True
    with override_settings(WSGIBG={"EXECUTOR": executor}):
        assert ask(view).status_code == 500
    assert notes == ["task"]


def test_a_response_whose_tasks_cannot_be_held_is_closed(ask, notes):
    """The client gets another one, so nobody else would close its file."""
    executor = Durable()
    executor.fails = True

    def view(request):
        current_tasks().add_task(notes.append, "task")
        response = FileResponse(io.BytesIO(b"hello"))
        response._resource_closers.append(lambda: notes.append("closed"))
        return response

    with override_settings(WSGIBG={"EXECUTOR": executor}):
        assert ask(view).status_code == 500

    assert notes == ["closed"]


def test_a_response_of_the_projects_own_class(serve, notes):
    """It need not keep its content where Django does."""

    class Bare(HttpResponseBase):
        streaming = False

        def __iter__(self):
            return iter([b"hello"])

    def view(request):
        current_tasks().add_task(notes.append, "task")
        return Bare("text/plain")

    serve(view)

    assert client(WSGIHandler()).get("/").data == b"hello"
    assert notes == ["task"]
