"""What applications do wrong inside `wrap`: a clear error, or what the server would have seen."""

from __future__ import annotations

import contextvars
import io
import logging
import sys
import threading
from wsgiref.handlers import SimpleHandler

import pytest
from werkzeug.test import Client as PlainClient
from werkzeug.test import create_environ

from tests.support import client
from wsgibg import InlineExecutor, ThreadExecutor, current_tasks, task, wrap
from wsgibg.exceptions import TaskRefused

TEXT = [("Content-Type", "text/plain")]
EXECUTORS = {"inline": InlineExecutor, "thread": lambda: ThreadExecutor(workers=1)}


@pytest.fixture(params=EXECUTORS)
def executor(request):
    executor = EXECUTORS[request.param]()
    yield executor
    assert executor.shutdown() == []


@pytest.fixture
def notes():
    return []


def adding(notes):
    """Add a task for every condition."""
    for when in ("returned", "delivered", "error", "always"):
        current_tasks().add_task(task(notes.append, when=when), when)


def ended(wrapped, notes):
    """What has run when everything is over; nothing of the request is left in the context."""
    assert wrapped.drain(10) == []
    with pytest.raises(RuntimeError, match="outside a request"):
        current_tasks()
    return notes


def started(answer, notes):
    """An application that adds its tasks, starts a response and returns what `answer` makes."""

    def app(environ, start_response):
        adding(notes)
        start_response("200 OK", TEXT)
        return answer()

    return app


def start(app, method="GET"):
    return app(create_environ("/", method=method), lambda *args: None)


def answered(app):
    """Status line and body of what the standard library's server makes of an application."""
    output, errors = io.BytesIO(), io.StringIO()
    handler = SimpleHandler(io.BytesIO(), output, errors, create_environ("/"), multithread=False)
    handler.run(app)
    head, _, body = output.getvalue().partition(b"\r\n\r\n")
    status = head.splitlines()[0].decode().partition(" ")[2]
    return status, body, errors.getvalue().strip().splitlines()[-1:]


# --- current_tasks() -----------------------------------------------------------------------


def test_current_tasks_outside_a_request():
    """The error says what to call, what to wrap and what to do in a thread."""
    with pytest.raises(RuntimeError, match=r"outside a request.*wsgibg.wrap\(\).*copy_context"):
        current_tasks()


def test_current_tasks_in_a_request_of_an_unwrapped_application():
    """It is outside of any request that we know of; the error says that it has to be wrapped."""

    def app(environ, start_response):
        current_tasks()

    with pytest.raises(RuntimeError, match=r"wsgibg.wrap\(\): one that is not wrapped has no"):
        client(app).get("/")


@pytest.mark.parametrize("adds", [False, True])
def test_current_tasks_after_the_request_has_ended(executor, notes, adds):
    """A thread that the application started may still ask: its task is refused, not lost."""
    contexts, kept = [], []

    def app(environ, start_response):
        contexts.append(contextvars.copy_context())
        if adds:
            current_tasks().add_task(notes.append, "task")
        kept.append(current_tasks())
        start_response("200 OK", TEXT)
        return [b"hello"]

    def late():
        for tasks in (current_tasks(), kept[0]):
            with pytest.raises(TaskRefused, match=r"add_task\(.*append\) came after its request"):
                tasks.add_task(notes.append, "late")
        notes.append("refused")

    wrapped = wrap(app, executor=executor)
    client(wrapped).get("/")
    assert wrapped.drain(10) == []
    thread = threading.Thread(target=contexts[0].run, args=(late,))
    thread.start()
    thread.join()

    assert ended(wrapped, notes) == ["task"] * adds + ["refused"]


# --- wrapped twice -------------------------------------------------------------------------


def test_wrapping_twice_warns_once(executor, notes, caplog):
    """There is one collector, the outermost, and one warning that names the application."""

    def app(environ, start_response):
        assert current_tasks() is environ["wsgibg.tasks"]
        current_tasks().add_task(notes.append, "task")
        start_response("200 OK", TEXT)
        return [b"hello"]

    wrapped = wrap(wrap(app), executor=executor)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            client(wrapped).get("/")

    assert ended(wrapped, notes) == ["task", "task"]
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "test_wrap_bad_input.py" in record.message
    assert "app() is wrapped twice" in record.message
    assert "Drop one of the two" in record.message


# --- what an application returns -----------------------------------------------------------


@pytest.mark.parametrize("adds", [False, True])
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (None, r"returned None instead of an iterable of bytes\. Does it lack a `return`"),
        ("text", r"returned text\. Return a list of bytes: \[text\.encode\(\)\]"),
        (b"bytes", r"returned bytes, .* Put them into a list: \[body\]"),
        (bytearray(b"bytes"), r"returned bytes, .* Put them into a list"),
        (200, r"returned 200, which is no iterable of bytes"),
    ],
    ids=["None", "str", "bytes", "bytearray", "number"],
)
def test_what_is_no_body(executor, notes, body, message, adds):
    """The error names the application and the remedy; the request has failed."""

    def app(environ, start_response):
        if adds:
            adding(notes)
        start_response("200 OK", TEXT)
        return body

    wrapped = wrap(app, executor=executor)
    with pytest.raises(TypeError, match=rf"test_wrap_bad_input\.py:\d+ app\(\) {message}"):
        start(wrapped)

    assert ended(wrapped, notes) == ["error", "always"] * adds


def test_an_error_while_a_body_is_asked_for_its_iterator(executor, notes):
    """It is the body's own, also where it is a `TypeError`."""

    class Body:
        def __iter__(self):
            raise TypeError("not today")

    wrapped = wrap(started(Body, notes), executor=executor)
    with pytest.raises(TypeError, match="not today"):
        start(wrapped)

    assert ended(wrapped, notes) == ["error", "always"]


class OldSequence:
    """A body by the protocol that came before iterators."""

    def __getitem__(self, position):
        return [b"one", b"two"][position]


@pytest.mark.parametrize(
    "answer",
    [
        lambda: [b"one", b"two"],
        lambda: (b"one", b"two"),
        lambda: iter([b"one", b"two"]),
        lambda: (each for each in (b"one", b"two")),
        lambda: {b"one": 1, b"two": 2},
        OldSequence,
        lambda: io.BytesIO(b"onetwo"),
    ],
    ids=["list", "tuple", "iterator", "generator", "mapping", "sequence", "file"],
)
def test_what_is_a_body(executor, notes, answer):
    """Anything that gives bytes when it is iterated."""
    wrapped = wrap(started(answer, notes), executor=executor)

    assert PlainClient(wrapped).get("/", buffered=True).data == b"onetwo"
    assert ended(wrapped, notes) == ["returned", "delivered", "always"]


# --- start_response ------------------------------------------------------------------------


def test_an_application_that_forgets_start_response(executor, notes):
    """The server says so, as without `wrap`; the application has returned, so its tasks run."""

    def app(environ, start_response):
        if "wsgibg.tasks" in environ:
            adding(notes)
        return [b"hello"]

    wrapped = wrap(app, executor=executor)
    answer = answered(wrapped)

    assert answer == answered(app)
    assert answer[0] == "500 Internal Server Error"
    assert answer[2] == ["AssertionError: write() before start_response()"]
    assert ended(wrapped, notes) == ["returned", "delivered", "always"]


def test_an_application_that_calls_start_response_twice(executor, notes):
    """With the error it is allowed (PEP 3333): what was started first is replaced."""

    def app(environ, start_response):
        adding(notes)
        start_response("200 OK", TEXT)
        try:
            raise LookupError("lost")
        except LookupError:
            start_response("404 NOT FOUND", TEXT, sys.exc_info())
        return [b"sorry"]

    wrapped = wrap(app, executor=executor)

    assert answered(wrapped) == ("404 NOT FOUND", b"sorry", [])
    assert ended(wrapped, notes) == ["returned", "delivered", "always"]


def test_an_application_that_starts_a_second_response(executor, notes):
    """Without the error the server refuses, and the request has failed."""

    def app(environ, start_response):
        adding(notes)
        start_response("200 OK", TEXT)
        start_response("200 OK", TEXT)
        return [b"hello"]

    wrapped = wrap(app, executor=executor)
    status, _, error = answered(wrapped)

    assert status == "500 Internal Server Error"
    assert error == ["AssertionError: Headers already set!"]
    assert ended(wrapped, notes) == ["error", "always"]


def test_the_write_callable(executor, notes):
    """What is written before the body is sent before it."""

    def app(environ, start_response):
        adding(notes)
        write = start_response("200 OK", TEXT)
        write(b"one")
        return [b"two"]

    wrapped = wrap(app, executor=executor)

    assert answered(wrapped) == ("200 OK", b"onetwo", [])
    assert ended(wrapped, notes) == ["returned", "delivered", "always"]


# --- an application that raises ------------------------------------------------------------


@pytest.mark.parametrize("begun", [False, True], ids=["before", "after"])
def test_an_application_that_raises(executor, notes, caplog, begun):
    """Before or after it has started a response: the server gets the error."""

    def app(environ, start_response):
        adding(notes)
        if begun:
            start_response("200 OK", TEXT)
        raise LookupError("lost")

    wrapped = wrap(app, executor=executor)
    with pytest.raises(LookupError, match="lost"):
        start(wrapped)

    assert ended(wrapped, notes) == ["error", "always"]
    assert "was dropped: its request failed (LookupError: lost)" in caplog.text


def test_a_body_that_raises(executor, notes, caplog):
    """The server gets the error; what was to follow a returned response is dropped."""

    def chunks():
        yield b"one"
        raise LookupError("lost")

    wrapped = wrap(started(chunks, notes), executor=executor)
    body = start(wrapped)
    assert next(body) == b"one"
    with pytest.raises(LookupError, match="lost"):
        next(body)
    assert list(body) == []
    body.close()

    assert ended(wrapped, notes) == ["error", "always"]
    assert "was dropped: its response broke (LookupError: lost)" in caplog.text


def test_a_body_that_raises_without_tasks():
    """Nothing but the server hears of it."""

    def app(environ, start_response):
        start_response("200 OK", TEXT)
        yield b"one"
        raise LookupError("lost")

    body = start(wrap(app))
    assert next(body) == b"one"
    with pytest.raises(LookupError, match="lost"):
        next(body)
    body.close()


def test_a_body_that_raises_is_closed_once(executor, notes, caplog):
    """Also when its close raises then, which is logged: the server gets the first error."""

    class Body:
        def __iter__(self):
            return self

        def __next__(self):
            raise LookupError("lost")

        def close(self):
            notes.append("closed")
            raise OSError("stuck")

    wrapped = wrap(started(Body, notes), executor=executor)
    body = start(wrapped)
    with pytest.raises(LookupError, match="lost"):
        next(body)
    body.close()

    assert "OSError: stuck" in caplog.text
    assert ended(wrapped, notes) == ["closed", "error", "always"]


def test_a_close_that_raises(executor, notes):
    """The response was sent by then, so the tasks run; the server gets the error."""

    class Body(list):
        def close(self):
            raise OSError("stuck")

    wrapped = wrap(started(lambda: Body([b"one"]), notes), executor=executor)
    body = start(wrapped)
    assert list(body) == [b"one"]
    with pytest.raises(OSError, match="stuck"):
        body.close()
    body.close()

    assert ended(wrapped, notes) == ["returned", "delivered", "always"]


def test_a_body_that_cannot_be_closed_when_its_tasks_cannot_be_held(notes, caplog):
    """The tasks are dropped and told of all the same."""

    class Durable(InlineExecutor):
        durable = True

        def hold(self, batch):
            raise OSError("disk full")

    class Body(list):
        def close(self):
            notes.append("closed")
            raise OSError("stuck")

    def app(environ, start_response):
        current_tasks().add_task(notes.append, "unwanted")
        start_response("200 OK", TEXT)
        return Body([b"one"])

    with pytest.raises(OSError, match="stuck"):
        start(wrap(app, executor=Durable()))

    assert notes == ["closed"]
    assert "was dropped: its request failed (OSError: disk full)" in caplog.text


# --- kinds of responses --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "status", "headers", "chunks"),
    [
        ("HEAD", "200 OK", [*TEXT, ("Content-Length", "5")], []),
        ("GET", "204 NO CONTENT", [], []),
        ("GET", "304 NOT MODIFIED", [("ETag", '"x"')], []),
        ("GET", "302 FOUND", [*TEXT, ("Location", "/elsewhere")], [b"moved"]),
        ("POST", "303 SEE OTHER", [*TEXT, ("Location", "/elsewhere")], [b""]),
        ("GET", "500 INTERNAL SERVER ERROR", TEXT, [b"sorry"]),
    ],
    ids=["HEAD", "204", "304", "302", "303", "error page"],
)
@pytest.mark.parametrize("kind", [list, iter])
def test_kinds_of_responses(executor, notes, method, status, headers, chunks, kind):
    """They are what the application made of them, and their tasks run after them."""

    def app(environ, start_response):
        adding(notes)
        start_response(status, headers)
        return kind(chunks)

    wrapped = wrap(app, executor=executor)
    answer = client(wrapped).open("/", method=method)

    assert answer.status == status
    assert set(headers) <= set(answer.headers)
    assert answer.data == b"".join(chunks)
    assert ended(wrapped, notes) == ["returned", "delivered", "always"]
