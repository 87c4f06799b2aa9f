"""Spans of background tasks, for OpenTelemetry.

    from wsgibg.integrations.opentelemetry import OpenTelemetry

    OpenTelemetry(app)

The extra is ``wsgibg[opentelemetry]``, which brings the API alone; spans are made where the
application has set up an SDK.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from opentelemetry import context as otel
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TracerProvider,
    get_current_span,
    get_tracer,
    set_span_in_context,
)

from wsgibg._task import BackgroundTask
from wsgibg.integrations._watching import Life, Lives, Safely, Watched, manager_of
from wsgibg.records import TaskEvent

__all__ = ["OpenTelemetry"]

#: What may become of a task although nothing went wrong.
_NO_ERRORS = frozenset({"dropped", "parked"})


class OpenTelemetry:
    """Makes a span of each attempt at each task of an application.

    It is the root of a trace of its own, because a task goes on when its request has long ended,
    and has links: to the span in which the task was added (its request's, mostly), and to the
    attempt before it. Inside the task it is the current span, so that what the task calls makes
    children of it. Its kind is ``CONSUMER``, its name that of the task's function, and it has
    these attributes, the first ones by OpenTelemetry's conventions:

    - ``messaging.system``: ``"wsgibg"``
    - ``messaging.operation.type``: ``"process"``
    - ``messaging.message.id``: the task's id
    - ``code.function.name``: the task's function
    - ``error.type``: the class of what the attempt has failed with
    - ``wsgibg.task.attempt``: 1, and more where a task is tried again
    - ``wsgibg.task.executor``: the executor's name, else its class
    - ``wsgibg.task.queue_wait``: seconds from the hand-over to the executor to the beginning

    A task that is dropped, lost or parked has a span that takes no time, with an event
    ``wsgibg.task.dropped`` (and so on) that tells why. A span that is interrupted ends with such
    an event, as the process is about to end.

    Args:
        app: an `App`, what `wrap` returned, or a `TaskManager`.
        tracer_provider: where spans are made; by default OpenTelemetry's global one.

    Raises:
        TypeError: `app` has no tasks.
        RuntimeError: its tasks have spans already.

    Example:
        >>> from wsgibg import App
        >>> from wsgibg.integrations.opentelemetry import OpenTelemetry
        >>> _ = OpenTelemetry(App())
    """

    def __init__(self, app: Watched, *, tracer_provider: TracerProvider | None = None) -> None:
        self._manager = manager_of(app, "OpenTelemetry")
        self._tracer = get_tracer("wsgibg", tracer_provider=tracer_provider)
        self._lives = Lives()
        self._manager.on_task(self._hear)
        self._manager.around_task(lambda task: Safely(self._around(task), task))

    # -------------------------------------------------------------- an attempt
    @contextmanager
    def _around(self, task: BackgroundTask) -> Iterator[None]:
        """Have a span while an attempt is under way, in the context of the attempt."""
        trail = _trail(self._lives.of(task))
        span = self._start(task, trail.links(get_current_span()), self._attributes(task))
        trail.begin(span)
        token = otel.attach(set_span_in_context(span))
        try:
            yield
        except BaseException as error:
            if trail.take() is not None:
                trail.told = True
                _fail(span, error)
                span.end()
            raise
        finally:
            otel.detach(token)
            if trail.take() is not None:
                span.end()

    def _attributes(self, task: BackgroundTask) -> dict[str, Any]:
        life = self._lives.of(task)
        wanted = None if task.options is None else task.options.executor
        if not isinstance(wanted, str):
            wanted = type(self._manager.executor_of(task)).__name__
        attributes = {"wsgibg.task.attempt": life.attempt, "wsgibg.task.executor": wanted}
        if life.waited is not None:
            attributes["wsgibg.task.queue_wait"] = life.waited
        return attributes

    def _start(self, task: BackgroundTask, links: list[Link], attributes: dict[str, Any]) -> Span:
        return self._tracer.start_span(
            task.name,
            # Without a parent; what else is in the context, such as baggage, the sampler may see.
            context=set_span_in_context(INVALID_SPAN),
            kind=SpanKind.CONSUMER,
            links=links,
            attributes={
                "messaging.system": "wsgibg",
                "messaging.operation.type": "process",
                "messaging.message.id": task.id,
                "code.function.name": task.name,
                **attributes,
            },
        )

    # -------------------------------------------------------------- what is told
    def _hear(self, event: TaskEvent) -> None:
        """Take note of what happened to a task (a hook of ``on_task``)."""
        kind, task = event.kind, event.task
        if kind == "progress":
            return
        life = self._lives.of(task)
        trail = _trail(life)
        if kind == "added":
            life.added = life.added or monotonic()
        elif kind == "started":
            life.begin(event)
        elif kind == "retried":
            trail.told = False
        else:
            if kind != "succeeded" and not trail.told:
                self._tell(event, trail)
            if kind != "interrupted":  # such a task may come to its end all the same
                self._lives.end(task)

    def _tell(self, event: TaskEvent, trail: _Trail) -> None:
        """Have a span show an end that no attempt shows."""
        task = event.task
        span = trail.take()
        if span is None:
            added_in = task.context.copy().run(get_current_span)
            attributes = {"wsgibg.task.attempt": event.attempt}
            span = self._start(task, trail.links(added_in), attributes)
        trail.told = True
        reason = event.error or event.reason
        span.add_event(f"wsgibg.task.{event.kind}", {"wsgibg.task.reason": reason})
        if event.kind not in _NO_ERRORS:
            span.set_status(Status(StatusCode.ERROR, f"{event.kind}: {reason}"))
        span.end()


class _Trail:
    """The spans of one task.

    Attributes:
        told: whether a span shows how the latest attempt has ended.
    """

    def __init__(self) -> None:
        self.told = False
        #: The span that is under way. It is taken out, in one step, by whoever ends it.
        self._open: list[Span] = []
        self._before: SpanContext | None = None

    def begin(self, span: Span) -> None:
        """Note the span of an attempt that begins."""
        self.told = False
        self._before = span.get_span_context()
        self._open.append(span)

    def take(self) -> Span | None:
        """The span that is under way, for the one caller that may end it."""
        try:
            return self._open.pop()
        except IndexError:
            return None

    def links(self, added_in: Span) -> list[Link]:
        """To the span in which the task was added, and to the one before."""
        found = [(added_in.get_span_context(), "added by")]
        if self._before is not None:
            found.append((self._before, "attempt before"))
        return [Link(each, {"wsgibg.link": what}) for each, what in found if each.is_valid]


def _trail(life: Life) -> _Trail:
    """The spans of a task, which are kept with its times."""
    if life.extra is None:
        life.extra = _Trail()
    trail: _Trail = life.extra
    return trail


def _fail(span: Span, error: BaseException) -> None:
    """Show what an attempt has failed with."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else _full_name(kind)
    span.set_attribute("error.type", name)
    span.record_exception(error)
    span.set_status(Status(StatusCode.ERROR, f"{kind.__qualname__}: {error}"))


def _full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
