"""Errors of background tasks, as Sentry's own SDK would send them."""

from __future__ import annotations

import logging
import signal
import threading
from asyncio import sleep

import flask
import pytest
import sentry_sdk
from sentry_sdk.integrations.flask import FlaskIntegration
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware
from sentry_sdk.transport import Transport

from tests.integrations.support import EACH_KIND, Site, ended
from tests.support import client
from wsgibg import App, ThreadExecutor, current_task, current_tasks, task, wrap
from wsgibg.integrations import flask as flask_extension
from wsgibg.integrations.sentry import Sentry


class Captured(Transport):
    """Keeps what would be sent."""

    def __init__(self):
        super().__init__()
        self.items = []

    def capture_envelope(self, envelope):
        self.items += envelope.items


class Sent:
    """What the SDK has sent since it was set up."""

    def __init__(self):
        self.transport = Captured()

    def init(self, **options):
        options = {"integrations": [], "auto_enabling_integrations": False, **options}
        sentry_sdk.init("http://key@127.0.0.1/1", transport=self.transport, **options)

    def of(self, kind):
        sentry_sdk.flush()
        return [item.payload.json for item in self.transport.items if item.type == kind]

    @property
    def events(self):
        return self.of("event")


@pytest.fixture(name="sent")
def _sent():
    """The SDK, set up; the scopes of one test are not those of another."""
    sent = Sent()
    with sentry_sdk.isolation_scope():
        sent.init()
        yield sent
        sentry_sdk.get_client().close()
        sentry_sdk.get_global_scope().set_client(None)


def fail():
    raise LookupError("no such order")


def work():
    """Do nothing."""


def tags(event):
    return {name: value for name, value in event["tags"].items() if name.startswith("wsgibg.")}


@EACH_KIND
@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_error_is_sent_once_with_the_name_of_the_task(sent, caplog, kind, asynchronous):
    """It is logged as well, but Sentry's integration of `logging` does not send that too."""
    site = Site(kind)
    Sentry(site.app)
    ids = []

    async def wrong():
        await sleep(0)
        fail()

    site.get(lambda tasks: ids.append(tasks.add_task(wrong if asynchronous else fail).id))

    (event,) = sent.events
    assert event["transaction"].endswith(".wrong" if asynchronous else "test_sentry.fail")
    assert event["transaction_info"] == {"source": "task"}
    assert event["level"] == "error"
    assert tags(event) == {"wsgibg.task_id": ids[0], "wsgibg.attempt": "1"}
    (error,) = event["exception"]["values"]
    assert (error["type"], error["value"]) == ("LookupError", "no such order")
    assert error["mechanism"] == {"type": "wsgibg", "handled": False}
    assert error["stacktrace"]["frames"][-1]["function"] == "fail"
    assert "failed" in caplog.text


@EACH_KIND
@pytest.mark.parametrize("every_attempt", [False, True])
def test_retries(sent, kind, every_attempt):
    """A task that is tried again sends one event; or each attempt does, if that is asked for."""
    site = Site(kind)
    sent.init(integrations=[LoggingIntegration(event_level=logging.WARNING)])
    Sentry(site.app, every_attempt=every_attempt)

    site.get(lambda tasks: tasks.add_task(task(fail, retries=2, backoff=0)))

    wanted = [("warning", "1", True), ("warning", "2", True), ("error", "3", False)]
    assert [
        (
            event["level"],
            event["tags"]["wsgibg.attempt"],
            event["exception"]["values"][0]["mechanism"]["handled"],
        )
        for event in sent.events
    ] == (wanted if every_attempt else wanted[-1:])


def test_a_task_that_succeeds_in_the_end_sends_nothing(sent):
    """Neither do tasks that are dropped, which is logged as a warning."""
    site = Site()
    Sentry(site.app)

    def flaky():
        if current_task().attempt < 2:
            fail()

    def add(tasks):
        tasks.add_task(task(flaky, retries=1, backoff=0))
        tasks.add_task(task(work, when="error"))

    site.get(add)

    assert sent.events == []


def test_each_task_has_a_scope_of_its_own(sent):
    """It begins with what the request has set, and goes with the task."""
    site = Site("app pool")
    Sentry(site.app)

    def tagging():
        sentry_sdk.set_tag("order", 7)
        sentry_sdk.add_breadcrumb(message="in the task")
        fail()

    def add(tasks):
        sentry_sdk.set_tag("shop", "books")
        sentry_sdk.set_user({"id": "ada"})
        sentry_sdk.add_breadcrumb(message="in the request")
        tasks.add_task(tagging)
        tasks.add_task(fail)

    site.get(add)

    first, second = sent.events
    assert (first["tags"]["order"], first["tags"]["shop"]) == (7, "books")
    assert [each["message"] for each in first["breadcrumbs"]["values"]] == [
        "in the request",
        "in the task",
    ]
    assert second["tags"]["shop"] == "books"
    assert second["user"]["id"] == "ada"
    assert "order" not in second["tags"]
    sentry_sdk.capture_message("after")
    assert "transaction" not in sent.events[-1]
    assert not tags({"tags": {}, **sent.events[-1]})


def test_what_a_task_catches_is_its_own(sent):
    """What it sends itself has the name and the tags, too."""
    site = Site()
    Sentry(site.app)

    def careful():
        sentry_sdk.capture_message("hello")

    site.get(lambda tasks: tasks.add_task(careful))

    (event,) = sent.events
    assert event["transaction"].endswith(".careful")
    assert event["tags"]["wsgibg.attempt"] == "1"


def test_lost_and_interrupted_tasks(sent):
    """Each sends why, once, under its name and with the request's tags."""
    site = Site(executor=ThreadExecutor(workers=1, drain_timeout=0))
    Sentry(site.app)
    begun, opened = threading.Event(), threading.Event()

    def slow():
        begun.set()
        opened.wait(20)

    def add(tasks):
        with sentry_sdk.isolation_scope() as scope:
            scope.set_tag("shop", "books")
            tasks.add_task(slow)
            tasks.add_task(work)

    site.add = add
    client(site.app).get("/")
    assert begun.wait(20)
    assert len(site.app.shutdown()) == 2
    opened.set()
    ended(site.app.tasks)

    told = {event["transaction"].rpartition(".")[2]: event for event in sent.events}
    assert len(sent.events) == 2
    for name, end in (("slow", "interrupted"), ("work", "lost")):
        event = told[name]
        assert event["logentry"]["message"] == f"Background task %s was {end}: %s"
        assert event["tags"]["shop"] == "books"
        assert len(event["tags"]["wsgibg.task_id"]) == 32


def test_the_end_of_the_server_is_no_error_of_the_task(sent):
    """What a signal's handler raises in a task, to stop the thread, interrupts it."""
    site = Site()
    Sentry(site.app)

    def stop(*_):
        raise SystemExit(0)

    before = signal.signal(signal.SIGUSR1, stop)
    site.add = lambda tasks: tasks.add_task(signal.raise_signal, signal.SIGUSR1)
    try:
        with pytest.raises(SystemExit):
            client(site.app).get("/")
    finally:
        signal.signal(signal.SIGUSR1, before)

    (event,) = sent.events
    assert event["logentry"]["message"] == "Background task %s was interrupted: %s"
    assert event["transaction"] == "_signal.raise_signal"


def test_a_failure_outside_of_the_attempt(sent):
    """Such as a generator that nobody would run."""
    site = Site()
    Sentry(site.app)

    site.get(lambda tasks: tasks.add_task(lambda: (each for each in ())))

    (event,) = sent.events
    assert event["logentry"]["message"] == "Background task %s failed: %s"
    assert "returned a generator" in event["logentry"]["params"][1]


def test_other_lines_in_the_log_are_sent(sent):
    """Those of tasks that nobody watches, and those that tell something else."""
    site = Site()
    Sentry(site.app)

    @site.app.on_task
    def hook(event):
        if event.kind == "started":
            raise ValueError("a hook")

    site.get(lambda tasks: tasks.add_task(work))
    Site().get(lambda tasks: tasks.add_task(fail))

    hooked, failed = sent.events
    assert hooked["exception"]["values"][0]["value"] == "a hook"
    assert failed["logger"] == "wsgibg.background"


def test_nothing_is_left_behind(sent):
    """Of a task that has ended."""
    site = Site()
    watch = Sentry(site.app)

    def add(tasks):
        tasks.add_task(lambda: current_task().progress(1, 2))
        tasks.add_task(fail)

    site.get(add)

    assert len(watch._lives) == 0


# ------------------------------------------------------------------ with the SDK's own integrations
def failing_view(environ, start_response):
    sentry_sdk.set_tag("shop", "books")
    current_tasks().add_task(fail)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize("executor", [None, ThreadExecutor])
def test_with_the_wsgi_middleware(sent, outside, executor):
    """Around `wrap` or inside: the request keeps its name, and the task's error is in its trace."""
    sent.init(traces_sample_rate=1.0)
    inner = failing_view if outside else SentryWsgiMiddleware(failing_view)
    site = wrap(inner, executor=executor and executor())
    Sentry(site)

    assert client(SentryWsgiMiddleware(site) if outside else site).get("/").text == "hello"
    ended(site.tasks)

    (event,), (request,) = sent.events, sent.of("transaction")
    assert event["transaction"] == f"{__name__}.fail"
    assert event["tags"]["shop"] == "books"
    assert request["transaction"] == "generic WSGI request"
    assert event["contexts"]["trace"]["trace_id"] == request["contexts"]["trace"]["trace_id"]


@pytest.mark.parametrize("extension", [False, True])
def test_with_flask(sent, extension):
    """The request's own error and that of its task are two events, each under its name."""
    sent.init(integrations=[FlaskIntegration()])
    legacy = flask.Flask(__name__)

    @legacy.post("/orders/<int:number>")
    def read(number):
        current_tasks().add_task(task(fail, when="always"))
        raise ValueError("the view")

    if extension:
        carrier = flask_extension.BackgroundTasks(legacy, executor=ThreadExecutor())
    else:
        carrier = legacy.wsgi_app = wrap(legacy.wsgi_app, executor=ThreadExecutor())
    Sentry(carrier)

    assert client(legacy).post("/orders/7", json={"a": 1}).status_code == 500
    ended(carrier.tasks)

    told = {event["exception"]["values"][-1]["type"]: event for event in sent.events}
    assert len(sent.events) == 2
    assert told["ValueError"]["transaction"] == "read"
    assert told["LookupError"]["transaction"] == f"{__name__}.fail"
    assert "request" in told["ValueError"]
    assert "request" not in told["LookupError"]


@EACH_KIND
def test_transactions(sent, kind):
    """Where they are asked for, each attempt is one, in the trace of the request."""
    sent.init(traces_sample_rate=1.0)
    site = Site(kind)
    Sentry(site.app, transactions=True)

    def add(tasks):
        tasks.add_task(work)
        tasks.add_task(fail)

    site.get(add, SentryWsgiMiddleware(site.app))

    made = {each["transaction"]: each["contexts"]["trace"] for each in sent.of("transaction")}
    request = made["generic WSGI request"]
    done, failed = made[f"{__name__}.work"], made[f"{__name__}.fail"]
    assert (done["op"], done["origin"]) == ("queue.task.wsgibg", "auto.queue.wsgibg")
    assert done["parent_span_id"] == failed["parent_span_id"] == request["span_id"]
    assert done["trace_id"] == failed["trace_id"] == request["trace_id"]
    assert failed["status"] == "internal_error"
    (event,) = sent.events
    assert event["contexts"]["trace"]["span_id"] == failed["span_id"]


def test_without_the_sdk_set_up():
    """Nothing is sent, and tasks run."""
    site = Site()
    Sentry(site.app, transactions=True)
    ran = []

    site.get(lambda tasks: (tasks.add_task(fail), tasks.add_task(ran.append, 1)))

    assert ran == [1]


def test_tasks_are_watched_once():
    """Twice would send each error twice."""
    app = App()
    Sentry(app)

    with pytest.raises(RuntimeError, match="Sentry watches these tasks already"):
        Sentry(app.tasks)
