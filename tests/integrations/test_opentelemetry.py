"""Spans of background tasks, made by OpenTelemetry's own SDK."""

from __future__ import annotations

import threading
from asyncio import sleep

import flask
import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tests.executors.support import Gate, output
from tests.integrations.support import EACH_KIND, Site, ended
from tests.support import client
from wsgibg import (
    App,
    TaskManager,
    ThreadExecutor,
    current_task,
    current_tasks,
    task,
    wrap,
)
from wsgibg.integrations import flask as flask_extension
from wsgibg.integrations.opentelemetry import OpenTelemetry


@pytest.fixture(name="exporter")
def _exporter():
    return InMemorySpanExporter()


@pytest.fixture(name="provider")
def _provider(exporter):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


@pytest.fixture(name="spans")
def _spans(exporter):
    """The finished spans whose name ends with a word, in the order in which they ended."""

    def find(name=""):
        return [span for span in exporter.get_finished_spans() if span.name.endswith(name)]

    return find


def work():
    """Do nothing."""


def fail():
    raise LookupError("no such order")


def linked(span):
    """What a span is linked to."""
    return {link.attributes["wsgibg.link"]: link.context.span_id for link in span.links}


def id_of(span):
    return span.get_span_context().span_id


@EACH_KIND
@pytest.mark.parametrize("kind_of_task", ["sync", "lent", "hopping"])
def test_a_task_is_a_root_span_with_a_link(provider, spans, kind, kind_of_task):
    """In both kinds of application, with both executors, sync and async."""
    site = Site(kind)
    OpenTelemetry(site.app, tracer_provider=provider)
    tracer = provider.get_tracer("test")
    seen = []

    def sync():
        with tracer.start_as_current_span("child"):
            seen.append(current_task().id)

    async def lent():
        sync()

    async def hopping():
        await sleep(0)
        sync()
        await sleep(0)

    def add(tasks):
        with tracer.start_as_current_span("request"):
            tasks.add_task({"sync": sync, "lent": lent, "hopping": hopping}[kind_of_task])

    site.get(add)

    (request,), (child,), (span,) = spans("request"), spans("child"), spans(f".{kind_of_task}")
    assert span.parent is None
    assert span.context.trace_id != request.context.trace_id
    assert linked(span) == {"added by": id_of(request)}
    assert child.parent.span_id == id_of(span)
    assert (span.kind, span.status.status_code) == (SpanKind.CONSUMER, StatusCode.UNSET)
    attributes = dict(span.attributes)
    assert 0 <= attributes.pop("wsgibg.task.queue_wait") < 5
    assert attributes == {
        "messaging.system": "wsgibg",
        "messaging.operation.type": "process",
        "messaging.message.id": seen[0],
        "code.function.name": span.name,
        "wsgibg.task.attempt": 1,
        "wsgibg.task.executor": "ThreadExecutor" if "pool" in kind else "InlineExecutor",
    }
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_the_span_is_current_in_the_task_alone(provider, spans, caplog):
    """The next task's is another; baggage comes along."""
    site = Site()
    OpenTelemetry(site.app, tracer_provider=provider)
    seen = []

    def look():
        seen.append(
            (trace.get_current_span().get_span_context().span_id, baggage.get_baggage("tenant"))
        )

    def add(tasks):
        token = context.attach(baggage.set_baggage("tenant", "acme"))
        tasks.add_task(look)
        tasks.add_task(look)
        context.detach(token)

    site.get(add)

    first, second = spans(".look")
    assert seen == [(id_of(first), "acme"), (id_of(second), "acme")]
    assert linked(first) == {}
    assert not caplog.records


def test_a_task_that_a_task_has_added_is_linked_to_it(provider, spans):
    """The span that was current at `add_task` is that of the task."""
    site = Site("app pool")
    OpenTelemetry(site.app, tracer_provider=provider)

    def first():
        current_tasks().add_task(work)

    site.get(lambda tasks: tasks.add_task(first))

    (outer,), (inner,) = spans(".first"), spans(".work")
    assert linked(inner) == {"added by": id_of(outer)}
    assert inner.context.trace_id != outer.context.trace_id


@EACH_KIND
def test_each_attempt_is_a_span(provider, spans, kind):
    """A retry is linked to the request and to the attempt before it; a failure is an error."""
    site = Site(kind)
    OpenTelemetry(site.app, tracer_provider=provider)
    tracer = provider.get_tracer("test")

    def flaky():
        if current_task().attempt < 3:
            fail()

    def add(tasks):
        with tracer.start_as_current_span("request"):
            tasks.add_task(task(flaky, retries=2, backoff=0.05))

    site.get(add)

    (request,) = spans("request")
    first, second, third = spans(".flaky")
    assert [span.attributes["wsgibg.task.attempt"] for span in (first, second, third)] == [1, 2, 3]
    assert linked(first) == {"added by": id_of(request)}
    assert linked(second) == {"added by": id_of(request), "attempt before": id_of(first)}
    assert linked(third) == {"added by": id_of(request), "attempt before": id_of(second)}
    assert len({span.context.trace_id for span in (request, first, second, third)}) == 4
    assert len({span.attributes["messaging.message.id"] for span in (first, second, third)}) == 1
    assert first.status.status_code is StatusCode.ERROR
    assert first.status.description == "LookupError: no such order"
    assert first.attributes["error.type"] == "LookupError"
    assert [event.name for event in first.events] == ["exception"]
    assert third.status.status_code is StatusCode.UNSET
    # The wait is counted from when the retry was due.
    assert third.attributes["wsgibg.task.queue_wait"] < 0.05


def test_an_error_of_a_library_has_its_full_name(provider, spans):
    """As `error.type`, whatever an async task fails with."""
    site = Site()
    OpenTelemetry(site.app, tracer_provider=provider)

    async def wrong():
        await sleep(0)
        raise threading.BrokenBarrierError

    site.get(lambda tasks: tasks.add_task(wrong))

    (span,) = spans(".wrong")
    assert span.attributes["error.type"] == "threading.BrokenBarrierError"


def test_a_task_that_does_not_start_has_a_span_that_says_why(provider, spans):
    """It takes no time; what is dropped is no error."""
    site = Site()
    OpenTelemetry(site.app, tracer_provider=provider)
    tracer = provider.get_tracer("test")

    def add(tasks):
        with tracer.start_as_current_span("request"):
            tasks.add_task(task(work, when="error"))

    site.get(add)

    (span,), (request,) = spans(".work"), spans("request")
    (event,) = span.events
    assert event.name == "wsgibg.task.dropped"
    assert event.attributes == {"wsgibg.task.reason": "the request succeeded"}
    assert linked(span) == {"added by": id_of(request)}
    assert span.status.status_code is StatusCode.UNSET
    assert len(spans()) == 2


@pytest.mark.parametrize("fails", [False, True])
def test_lost_and_interrupted_tasks(provider, spans, caplog, fails):
    """At the end of the drain's patience: the running one's span ends, the waiting one has one."""
    site = Site(executor=ThreadExecutor(workers=1, drain_timeout=0))
    OpenTelemetry(site.app, tracer_provider=provider)
    begun, opened = threading.Event(), threading.Event()

    def slow():
        begun.set()
        opened.wait(20)
        if fails:
            fail()

    def add(tasks):
        tasks.add_task(slow)
        tasks.add_task(work)

    site.add = add
    client(site.app).get("/")
    assert begun.wait(20)
    assert len(site.app.shutdown()) == 2
    try:
        (interrupted,), (lost,) = spans(".slow"), spans(".work")
    finally:
        opened.set()
    ended(site.app.tasks)

    assert [event.name for event in interrupted.events] == ["wsgibg.task.interrupted"]
    assert [event.name for event in lost.events] == ["wsgibg.task.lost"]
    assert interrupted.status.status_code is lost.status.status_code is StatusCode.ERROR
    assert lost.status.description.startswith("lost: ")
    assert len(spans()) == 2
    assert "ended span" not in caplog.text


def test_the_name_of_an_executor(provider, spans):
    """Where it has one, it tells more than its class."""
    site = Site(executors={"mails": ThreadExecutor()})
    OpenTelemetry(site.app, tracer_provider=provider)

    site.get(lambda tasks: tasks.add_task(task(work, executor="mails")))

    (span,) = spans(".work")
    assert span.attributes["wsgibg.task.executor"] == "mails"


def test_a_task_that_was_handed_over_before(provider, spans):
    """Nobody knows how long it has waited."""
    site = Site(executor=ThreadExecutor(workers=1))
    gate = Gate()
    site.add = lambda tasks: (tasks.add_task(gate), tasks.add_task(task(work, when="always")))
    client(site.app).get("/")

    OpenTelemetry(site.app, tracer_provider=provider)
    gate.opened.set()
    ended(site.app.tasks)

    (span,) = spans(".work")
    assert "wsgibg.task.queue_wait" not in span.attributes


def test_a_failure_outside_of_the_attempt(provider, spans):
    """A generator that nobody would run, or another surrounding, is told as well."""
    site = Site()
    OpenTelemetry(site.app, tracer_provider=provider)

    site.get(lambda tasks: tasks.add_task(lambda: (each for each in ())))

    attempt, told = spans("<lambda>")
    assert attempt.status.status_code is StatusCode.UNSET
    assert "returned a generator" in told.status.description
    assert linked(told) == {"attempt before": id_of(attempt)}


@pytest.mark.parametrize("moment", ["on_start", "on_end"])
def test_an_sdk_that_fails_harms_no_task(provider, caplog, moment):
    """What a span processor raises is logged; tasks end as they would."""

    def failing(*_, **__):
        raise ZeroDivisionError("a processor")

    processor = SpanProcessor()
    setattr(processor, moment, failing)
    provider.add_span_processor(processor)
    site = Site()
    OpenTelemetry(site.app, tracer_provider=provider)
    ends = []
    site.app.on_task(lambda event: ends.append(event.kind))

    site.get(lambda tasks: (tasks.add_task(work), tasks.add_task(fail)))

    assert ends == ["added", "added", "started", "succeeded", "started", "failed"]
    assert caplog.text.count("ZeroDivisionError: a processor") >= 2
    assert "no such order" in caplog.text


def test_nothing_is_left_behind(provider, spans):
    """Of a task that has ended; what it tells of its progress makes no span."""
    site = Site()
    watch = OpenTelemetry(site.app, tracer_provider=provider)

    site.get(lambda tasks: tasks.add_task(lambda: current_task().progress(1, 2)))

    assert len(spans()) == 1
    assert len(watch._lives) == 0


# ------------------------------------------------------------------ around or inside a request's
def streamed(environ, start_response):
    """Two chunks, the second of which comes when the first was sent."""
    current_tasks().add_task(work)
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"first"
    yield b"last"


@pytest.mark.parametrize("kind", ["inline", "pool"])
def test_a_request_span_inside_of_wrap_ends_with_the_last_byte(provider, spans, kind):
    """`wrap(OpenTelemetryMiddleware(app))` is the order in which tasks are no part of it."""
    middleware = OpenTelemetryMiddleware(streamed, tracer_provider=provider)
    site = wrap(middleware, executor=ThreadExecutor() if kind == "pool" else None)
    OpenTelemetry(site, tracer_provider=provider)

    answer = client(site).get("/")
    ended(site.tasks)

    assert answer.text == "firstlast"
    (request,), (span,) = spans("GET /"), spans(".work")
    assert linked(span) == {"added by": id_of(request)}
    assert request.end_time <= span.start_time


@pytest.mark.parametrize("kind", ["app inline", "app pool"])
def test_a_request_span_around_everything(provider, spans, kind):
    """It lasts for an inline task, as the middleware closes the body first; a pool's is apart."""
    site = Site(kind)
    gate = Gate()
    OpenTelemetry(site.app, tracer_provider=provider)
    around = OpenTelemetryMiddleware(site.app, tracer_provider=provider)

    site.add = lambda tasks: tasks.add_task(gate)
    if kind == "app inline":
        gate.opened.set()
    client(around).get("/")
    gate.opened.set()
    ended(site.app.tasks)

    (request,), (span,) = spans("GET /"), spans(".Gate")
    assert linked(span) == {"added by": id_of(request)}
    assert (request.end_time < span.end_time) is (kind == "app pool")


def test_an_app_with_a_request_span(provider, spans):
    """`wrap(OpenTelemetryMiddleware(app), tasks=app.tasks)`: one manager, watched once."""
    site = Site()
    OpenTelemetry(site.app, tracer_provider=provider)
    middleware = OpenTelemetryMiddleware(site.app, tracer_provider=provider)
    around = wrap(middleware, tasks=site.app.tasks)

    site.get(lambda tasks: tasks.add_task(work), around)

    (request,), (span,) = spans("GET /"), spans(".work")
    assert linked(span) == {"added by": id_of(request)}
    assert request.end_time <= span.start_time
    with pytest.raises(RuntimeError, match="watches these tasks already"):
        OpenTelemetry(around)


@pytest.mark.parametrize("extension", [False, True])
def test_flask_with_its_own_instrumentation(provider, spans, extension):
    """Flask's span has ended with the view, and the task is linked to it."""
    legacy = flask.Flask(__name__)
    FlaskInstrumentor().instrument_app(legacy, tracer_provider=provider)
    try:

        @legacy.get("/orders/<int:number>")
        def read(number):
            current_tasks().add_task(work)
            return "hello"

        site = flask_extension.BackgroundTasks(legacy) if extension else wrap(legacy)
        OpenTelemetry(site, tracer_provider=provider)

        assert client(legacy if extension else site).get("/orders/7").text == "hello"
    finally:
        FlaskInstrumentor().uninstrument_app(legacy)

    (request,), (span,) = spans("GET /orders/<int:number>"), spans(".work")
    assert linked(span) == {"added by": id_of(request)}
    assert request.end_time <= span.start_time


def test_the_spans_of_the_last_tasks_are_exported():
    """When the process ends, its tasks are waited for, then the SDK exports what there is."""
    source = """
        import threading
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
        from wsgibg import App, ThreadExecutor, current_tasks
        from wsgibg.integrations.opentelemetry import OpenTelemetry

        provider = TracerProvider()
        exporter = ConsoleSpanExporter(formatter=lambda span: span.name + chr(10))
        provider.add_span_processor(BatchSpanProcessor(exporter))
        app = App(executor=ThreadExecutor(workers=1))
        OpenTelemetry(app, tracer_provider=provider)

        def slow():
            threading.Event().wait(0.3)

        def add():
            current_tasks().add_task(slow)
            current_tasks().add_task(slow)

        app.call(add)
    """
    assert output(source) == ["__main__.slow", "__main__.slow"]


# ------------------------------------------------------------------ what is watched
def test_a_manager_may_be_watched():
    """The one that several applications share."""
    manager = TaskManager(ThreadExecutor())

    OpenTelemetry(manager)

    with pytest.raises(RuntimeError, match="watches these tasks already"):
        OpenTelemetry(App(tasks=manager))


def test_what_has_no_tasks_is_refused():
    """Such as an application that is not wrapped."""
    with pytest.raises(TypeError, match="has no background tasks"):
        OpenTelemetry(flask.Flask(__name__))


def test_without_an_sdk_tasks_run(caplog):
    """The API alone makes no spans."""
    site = Site()
    OpenTelemetry(site.app)
    ran = []

    site.get(lambda tasks: (tasks.add_task(ran.append, 1), tasks.add_task(fail)))

    assert ran == [1]
    assert "no such order" in caplog.text
