"""Any WSGI application with a collector: `wrap`, mounts, and apps inside apps."""

from __future__ import annotations

import contextvars
import gc
import logging
import sys
import threading
import warnings
import weakref
from wsgiref.util import FileWrapper

import pytest
from werkzeug.test import create_environ

from tests.support import client, wait_for
from wsgibg import (
    App,
    BackgroundTasks,
    Depends,
    Executor,
    HTTPException,
    InlineExecutor,
    TaskManager,
    current_tasks,
    task,
    wrap,
)
from wsgibg.embedding import drop_tasks
from wsgibg.exceptions import TaskRefused

COLOUR = contextvars.ContextVar("colour", default="none")
TEXT = [("Content-Type", "text/plain")]


@pytest.fixture(name="notes")
def _notes():
    return []


def foreign(answer=lambda: [b"hello"]):
    """A bare application whose body is made by `answer`."""

    def app(environ, start_response):
        start_response("200 OK", TEXT)
        return answer()

    return app


def start(app, **environ):
    return app(create_environ("/") | environ, lambda *args: None)


class Durable(InlineExecutor):
    """Notes when it holds."""

    durable = True

    def __init__(self, notes, error=None):
        self.notes, self.error = notes, error

    def hold(self, batch):
        self.notes.append("hold")
        if self.error is not None:
            raise self.error

    def discard(self, batch, reason):
        self.notes.append("discard")


# --- a foreign application -----------------------------------------------------------------


def test_current_tasks_anywhere_in_the_request(notes):
    """In a view, a model or a library; in the environ for bare WSGI."""

    def library():
        current_tasks().add_task(notes.append, "library")

    def app(environ, start_response):
        library()
        assert environ["wsgibg.tasks"] is current_tasks()
        environ["wsgibg.tasks"].add_task(notes.append, "environ")
        start_response("200 OK", TEXT)
        return [b"hello"]

    assert client(wrap(app)).get("/").text == "hello"

    assert notes == ["library", "environ"]
    with pytest.raises(RuntimeError, match="outside a request"):
        current_tasks()


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_list_is_kept_as_it_is(kind):
    """Where no task was added, the server gets what the application returned."""
    body = kind([b"hello"])

    assert start(wrap(foreign(lambda: body))) is body


def test_a_file_wrapper_is_kept_as_it_is(tmp_path):
    """So that the server can send the file by itself."""
    path = tmp_path / "file.txt"
    path.write_bytes(b"hello")
    with path.open("rb") as file:
        body = FileWrapper(file)

        assert start(wrap(foreign(lambda: body)), **{"wsgi.file_wrapper": FileWrapper}) is body


def test_a_generator_may_add_tasks_while_it_is_sent(notes):
    """Its code is a part of the request; its own end comes before the tasks."""

    def chunks():
        try:
            yield b"one"
            current_tasks().add_task(notes.append, "task")
            yield b"two"
        finally:
            notes.append("closed")

    assert client(wrap(foreign(chunks))).get("/").text == "onetwo"

    assert notes == ["closed", "task"]
    with pytest.raises(RuntimeError):
        current_tasks()


def test_a_collector_that_is_kept_is_closed():
    """The request is over when its list was handed to the server."""
    kept = []

    def app(environ, start_response):
        kept.append(environ["wsgibg.tasks"])
        start_response("200 OK", TEXT)
        return [b"hello"]

    start(wrap(app))

    with pytest.raises(TaskRefused, match="came after its request"):
        kept[0].add_task(print)


def test_the_applications_context_is_its_own():
    """Django keeps caches in it: nothing is run in a copy."""
    app = wrap(foreign(lambda: [COLOUR.set("foreign") and b"hello"]))

    context = contextvars.copy_context()
    context.run(lambda: list(start(app)))

    assert context[COLOUR] == "foreign"


def test_an_application_that_raises(notes, caplog):
    """The server gets the error, tasks for that case run, the others are dropped."""

    def app(environ, start_response):
        current_tasks().add_task(notes.append, "unwanted")
        current_tasks().add_task(task(notes.append, when="error"), "error")
        raise LookupError("view")

    with pytest.raises(LookupError, match="view"):
        start(wrap(app))

    assert notes == ["error"]
    assert "its request failed (LookupError: view)" in caplog.text
    with pytest.raises(RuntimeError):
        current_tasks()


def test_a_body_whose_close_raises(notes):
    """The tasks run all the same, once."""

    class Body:
        def __iter__(self):
            return iter([b"hello"])

        def close(self):
            raise OSError("stuck")

    def app(environ, start_response):
        current_tasks().add_task(notes.append, "task")
        start_response("200 OK", TEXT)
        return Body()

    body = start(wrap(app))
    assert b"".join(body) == b"hello"
    with pytest.raises(OSError, match="stuck"):
        body.close()
    body.close()

    assert notes == ["task"]


def test_what_is_not_iterable_is_the_applications_error(notes, caplog):
    """Its tasks are dropped, and nothing of the request is left behind."""

    def app(environ, start_response):
        current_tasks().add_task(notes.append, "unwanted")
        start_response("200 OK", TEXT)

    with pytest.raises(TypeError):
        start(wrap(app))

    assert notes == []
    assert "was dropped" in caplog.text
    with pytest.raises(RuntimeError):
        current_tasks()


@pytest.mark.parametrize("chunks", [0, 1, 2])
@pytest.mark.parametrize("kind", [list, iter], ids=["list", "iterator"])
def test_delivered_or_not(notes, chunks, kind):
    """A server that closes early has not delivered."""

    def app(environ, start_response):
        current_tasks().add_task(task(notes.append, when="delivered"), "delivered")
        start_response("200 OK", TEXT)
        return kind([b"one", b"two"])

    body = start(wrap(app))
    for _ in range(chunks):
        next(body)
    body.close()

    assert notes == ["delivered"] * (chunks == 2)


def test_a_body_that_is_closed_by_another_thread(notes):
    """It ends the request there; the variable is the first thread's own."""

    def app(environ, start_response):
        current_tasks().add_task(notes.append, threading.current_thread().name)
        current_tasks().add_task(lambda: notes.append(threading.current_thread().name))
        start_response("200 OK", TEXT)
        return [b"hello"]

    body = contextvars.copy_context().run(start, wrap(app))
    thread = threading.Thread(target=body.close, name="other")
    thread.start()
    thread.join()

    assert notes == [threading.current_thread().name, "other"]


def test_a_response_that_nobody_closes(notes):
    """A thread of its own runs the tasks; the next request starts anew."""

    def app(environ, start_response):
        current_tasks().add_task(notes.append, len(notes))
        start_response("200 OK", TEXT)
        return [b"hello"]

    wrapped = wrap(app)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for number in (1, 2):
            list(start(wrapped))
            wait_for(lambda number=number: len(caught) == number)

    client(wrapped).get("/")

    assert notes == [0, 1, 2]
    assert {each.category for each in caught} == {ResourceWarning}


def test_a_durable_executor_holds_before_the_first_byte(notes):
    """As for an `App`."""

    def app(environ, start_response):
        current_tasks().add_task(notes.append, "task")
        start_response("200 OK", TEXT)
        return [b"hello"]

    body = start(wrap(app, executor=Durable(notes)))
    assert notes == ["hold"]
    body.close()

    assert notes == ["hold", "task"]


def test_tasks_of_a_generator_are_held_before_their_chunk(notes):
    """An application that is a generator function begins with its first chunk."""

    def app(environ, start_response):
        current_tasks().add_task(notes.append, "task")
        start_response("200 OK", TEXT)
        yield b"one"
        notes.append("one sent")
        current_tasks().add_task(notes.append, "second")
        yield b"two"

    body = start(wrap(app, executor=Durable(notes)))
    chunks = [next(body)]
    assert notes == ["hold"]
    chunks += body
    body.close()

    assert chunks == [b"one", b"two"]
    assert notes == ["hold", "one sent", "hold", "task", "second"]


def test_an_end_that_fails_is_not_the_servers(notes, caplog, monkeypatch):
    """It would cut the response off; the tasks are reported as lost."""

    def app(environ, start_response):
        current_tasks().add_task(notes.append, "task")
        start_response("200 OK", TEXT)
        return [b"hello"]

    def fail(*_, **__):
        raise LookupError("no way out")

    wrapped = wrap(app)
    monkeypatch.setattr(wrapped.tasks, "submit", fail)
    body = start(wrapped)
    assert b"".join(body) == b"hello"
    body.close()

    assert notes == []
    assert "was lost: the end of its request failed (LookupError: no way out)" in caplog.text


def test_a_batch_that_cannot_be_held_fails_the_request(notes, caplog):
    """The server answers with an error; the task is dropped."""

    def app(environ, start_response):
        current_tasks().add_task(notes.append, "unwanted")
        start_response("200 OK", TEXT)
        return [b"hello"]

    with pytest.raises(OSError, match="disk full"):
        start(wrap(app, executor=Durable(notes, OSError("disk full"))))

    assert notes == ["hold"]
    with pytest.raises(RuntimeError):
        current_tasks()


def test_the_options_of_wrap(notes, caplog):
    """Executors, what happens after an error, draining, a manager of one's own."""
    executor = InlineExecutor()

    def app(environ, start_response):
        current_tasks().add_task(task(int, executor="pool"), "x")
        current_tasks().add_task(task(notes.append, executor="pool"), "unwanted")
        start_response("200 OK", TEXT)
        return [b"hello"]

    wrapped = wrap(app, executors={"pool": executor}, after_task_error="stop")
    client(wrapped).get("/")
    manager = TaskManager(InlineExecutor())

    assert notes == []
    assert wrapped.tasks.executors == {"pool": executor}
    assert wrapped.drain(0) == []
    assert wrap(app, tasks=manager).tasks is manager


# --- inside each other ---------------------------------------------------------------------


def test_wrapped_twice_is_wrapped_once(notes):
    """The outer one carries the tasks, the collector is one."""

    def app(environ, start_response):
        current_tasks().add_task(notes.append, "task")
        start_response("200 OK", TEXT)
        return [b"hello"]

    inner = wrap(app)
    outer = wrap(inner)
    outer.tasks.on_task(lambda event: notes.append(f"outer {event.kind}"))
    inner.tasks.on_task(lambda event: notes.append(f"inner {event.kind}"))
    client(outer).get("/")

    assert notes == ["outer added", "outer started", "task", "outer succeeded"]


@pytest.fixture(name="inner")
def _inner(notes):
    """An app with a task, an exit, and a failing route."""
    app = App()

    def dependency():
        yield
        notes.append("exit")

    def adding(word):
        notes.append(word)
        current_tasks().add_task(notes.append, "added")

    @app.get("/", dependencies=[Depends(dependency)])
    def read(tasks: BackgroundTasks):
        tasks.add_task(adding, "inner")
        tasks.add_task(task(notes.append, when="error"), "unwanted")

    @app.get("/failing")
    def fail(tasks: BackgroundTasks):
        tasks.add_task(notes.append, "unwanted")
        tasks.add_task(task(notes.append, when="error"), "error")
        tasks.add_task(task(notes.append, when="always"), "always")
        raise HTTPException(409)

    return app


def around(app, notes):
    """Middleware with a task of its own."""

    def middleware(environ, start_response):
        current_tasks().add_task(notes.append, "outer")
        return app(environ, start_response)

    return middleware


def test_an_app_inside_a_wrap_hands_its_tasks_over(inner, notes, caplog):
    """After its exits, to the outermost manager; to what they add, too."""
    outer = wrap(around(inner, notes))
    events = []
    outer.tasks.on_task(lambda event: events.append(event.kind))

    client(outer).get("/")

    assert notes == ["exit", "outer", "inner", "added"]
    ran = ["started", "succeeded"]
    assert events == ["added", "added", *ran, "started", "added", "succeeded", *ran]
    assert "the request succeeded" in caplog.text


def test_the_inner_requests_outcome_counts(inner, notes, caplog):
    """It failed, although the application around it answered."""
    client(wrap(around(inner, notes))).get("/failing")

    assert notes == ["outer", "error", "always"]


def test_options_that_differ_warn_once(inner, notes, caplog):
    """The tasks run by the options of the outermost."""
    inner.tasks.stop_on_error = True
    outer = wrap(inner)

    client(outer).get("/")
    client(outer).get("/")

    (record,) = [each for each in caplog.records if "inside another" in each.message]
    assert record.levelname == "WARNING"
    assert "Give both the same TaskManager" in record.message


def test_a_shared_manager_does_not_warn(notes, caplog):
    """It may have as many executors as it wants."""
    manager = TaskManager(InlineExecutor(), executors={"pool": InlineExecutor()})
    app = App(tasks=manager)

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(task(notes.append, executor="pool"), "task")

    with caplog.at_level(logging.WARNING):
        client(wrap(app, tasks=manager)).get("/")

    assert notes == ["task"]
    assert caplog.records == []


def test_an_executor_that_only_the_inner_app_knows(notes, caplog):
    """Its task is lost and says so; the others are handed over."""
    app = App(executors={"pool": InlineExecutor()})

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(task(notes.append, executor="pool"), "lost")
        tasks.add_task(notes.append, "kept")

    client(wrap(app)).get("/")

    assert notes == ["kept"]
    (record,) = [each for each in caplog.records if "was lost" in each.message]
    assert record.levelname == "ERROR"
    assert "asks for the executor 'pool'; the app knows none" in record.message


def test_a_resource_that_stays_open_is_not_handed_over(notes):
    """The inner app runs its tasks itself, before it closes the resource."""
    app = App()

    def resource():
        yield
        notes.append("closed")

    @app.get("/", dependencies=[Depends(resource, scope="tasks")])
    def read(tasks: BackgroundTasks):
        tasks.add_task(notes.append, "inner")

    client(wrap(around(app, notes))).get("/")

    assert notes == ["inner", "closed", "outer"]


def test_an_app_that_ends_after_the_request_around_it(inner, notes):
    """Where middleware keeps the body, the app runs its tasks itself."""
    kept = []

    def keeping(environ, start_response):
        body = inner(environ, start_response)
        kept.extend([contextvars.copy_context().run, body.close])
        return [b"".join(body)]

    client(wrap(keeping)).get("/")
    assert notes == []
    run, close = kept
    run(close)

    assert notes == ["exit", "inner", "added"]


# --- mounts --------------------------------------------------------------------------------


def test_a_mounted_app_runs_its_own_tasks(inner, notes):
    """It is served as if it were alone."""
    outer = App()
    outer.mount("/inner", inner)

    assert client(outer).get("/inner/").status_code == 200

    assert notes == ["exit", "inner", "added"]


def test_a_mounted_foreign_app_keeps_its_context():
    """No scope is made for it."""

    def app(environ, start_response):
        COLOUR.set("foreign")
        with pytest.raises(RuntimeError):
            current_tasks()
        start_response("200 OK", TEXT)
        return [b"hello"]

    outer = App()
    outer.mount("/foreign", app)
    context = contextvars.copy_context()

    assert context.run(lambda: client(outer).get("/foreign/x").text) == "hello"
    assert context[COLOUR] == "foreign"


def test_an_executor_is_a_contract():
    """`wrap` takes any."""
    assert isinstance(wrap(foreign(), executor=InlineExecutor()).tasks.executor, Executor)


# --- what is made only when somebody asks --------------------------------------------------


def test_the_list_of_tasks_is_there_when_it_is_read(notes):
    """Before anything was added, and the same one after."""

    def app(environ, start_response):
        before = current_tasks().tasks
        current_tasks().add_task(notes.append, "task")
        assert current_tasks().tasks is before
        assert len(before) == 1
        start_response("200 OK", TEXT)
        return [b"hello"]

    client(wrap(app)).get("/")

    assert notes == ["task"]


def test_a_request_whose_tasks_were_looked_at_and_none_added():
    """The list goes to the server as it is, the file is streamed."""
    body = [b"hello"]

    def app(environ, start_response):
        assert current_tasks().tasks == []
        start_response("200 OK", TEXT)
        return body if environ["PATH_INFO"] == "/" else iter(body)

    wrapped = wrap(app)

    assert start(wrapped) is body
    assert start(wrapped, PATH_INFO="/stream") is not body


def test_a_streamed_request_leaves_nothing_behind():
    """Reference counting frees environ and collector, whether or not a task was added."""
    collectors = []

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/task":
            current_tasks().add_task(str)
        collectors.append(weakref.ref(current_tasks()))
        start_response("200 OK", TEXT)
        return iter([b"hello"])

    wrapped = wrap(app)
    gc.collect()
    gc.disable()
    try:
        for path in ("/", "/task"):
            body = start(wrapped, PATH_INFO=path)
            assert b"".join(body) == b"hello"
            body.close()
            assert next(body, None) is None
            del body
        assert [each() for each in collectors] == [None, None]
    finally:
        gc.enable()


def test_bodies_of_many_classes():
    """Past the classes that are remembered, each body is looked at anew."""
    wrapped = wrap(foreign(lambda: type("Body", (), {"__iter__": lambda _: iter([b"hello"])})()))

    for _ in range(200):
        assert b"".join(start(wrapped)) == b"hello"


def test_threads_that_add_while_an_untouched_request_ends(notes):
    """Each is refused, or its task runs: nothing comes between."""
    accepted, interval = [], sys.getswitchinterval()
    ready = threading.Barrier(2)

    def adding(collector):
        ready.wait()
        try:
            collector.add_task(notes.append, "task")
        except TaskRefused:
            return
        accepted.append("task")

    threads = []

    def app(environ, start_response):
        thread = threading.Thread(target=adding, args=(current_tasks(),))
        thread.start()
        threads.append(thread)
        ready.wait()
        start_response("200 OK", TEXT)
        return [b"hello"]

    wrapped = wrap(app)
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(300):
            body = start(wrapped)
            if hasattr(body, "close"):
                body.close()
            threads.pop().join()
    finally:
        sys.setswitchinterval(interval)

    assert notes == accepted


# --- what an application undoes ------------------------------------------------------------


def test_tasks_of_what_was_undone(notes, caplog):
    """They are dropped and logged, unless they wait for that; later ones are not touched."""

    def app(environ, start_response):
        for when in ("returned", "delivered", "error", "always"):
            current_tasks().add_task(task(notes.append, when=when), when)
        drop_tasks("the transaction was rolled back")
        current_tasks().add_task(notes.append, "later")
        current_tasks().add_task(task(notes.append, when="error"), "later, for errors")
        start_response("409 Conflict", TEXT)
        return [b"sorry"]

    assert client(wrap(app)).get("/").text == "sorry"

    assert notes == ["error", "always", "later", "later, for errors"]
    dropped = [line for line in caplog.messages if "was dropped" in line]
    assert len(dropped) == 2
    assert all("the transaction was rolled back" in line for line in dropped)


def test_there_may_be_nothing_to_drop():
    """Then nothing happens, and a list stays a list."""

    def app(environ, start_response):
        drop_tasks("nothing was done")
        start_response("200 OK", TEXT)
        return [b"hello"]

    assert start(wrap(app)) == [b"hello"]


def test_tasks_are_dropped_in_a_wrapped_request_only():
    """The message says what to do elsewhere."""
    with pytest.raises(RuntimeError, match="Call it in an application inside"):
        drop_tasks("why")


def test_a_look_at_each_task_as_it_is_added(notes):
    """For integrations: in the thread that adds it, once, also for tasks of tasks."""

    def more():
        current_tasks().add_task(notes.append, "more")

    def app(environ, start_response):
        current_tasks().add_task(more)
        notes.append("view")
        start_response("200 OK", TEXT)
        return [b"hello"]

    wrapped = wrap(app)
    wrapped.tasks.prepare_task(lambda each: notes.append(each.name.rpartition(".")[2]))
    client(wrapped).get("/")

    assert notes == ["more", "view", "append", "more"]


# --- what it is given ----------------------------------------------------------------------


@pytest.mark.parametrize("app", [None, "shop:app", App], ids=["nothing", "a name", "a class"])
def test_what_is_no_application_is_refused(app):
    """Where it is given, not at each request."""
    with pytest.raises(TypeError, match="it takes a WSGI application"):
        wrap(app)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strict": "yes"}, "strict='yes': use True or False"),
        ({"tasks": 3}, "tasks=3 is no TaskManager"),
        ({"executors": [1]}, "is no dictionary. Give each executor a name"),
    ],
    ids=["strict", "tasks", "executors"],
)
@pytest.mark.parametrize(
    "make", [lambda **given: wrap(foreign(), **given), App], ids=["wrap", "App"]
)
def test_options_that_cannot_work_are_refused(make, options, message):
    """By both, in the same words."""
    with pytest.raises(TypeError, match=message):
        make(**options)
