"""Errors of background tasks, for Sentry.

    from wsgibg.integrations.sentry import Sentry

    Sentry(app)

The extra is ``wsgibg[sentry]``. The application calls ``sentry_sdk.init``, before or after.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from weakref import WeakValueDictionary

import sentry_sdk
from sentry_sdk.scope import (
    Scope,
    ScopeType,
    add_global_event_processor,
    use_isolation_scope,
)
from sentry_sdk.tracing import Transaction
from sentry_sdk.types import Event, Hint
from sentry_sdk.utils import event_from_exception

from wsgibg._attempt import raised_by_signal
from wsgibg._names import Identity
from wsgibg._retry import wants_retry
from wsgibg._task import BackgroundTask, identify
from wsgibg.integrations._watching import Life, Lives, Safely, Watched, manager_of
from wsgibg.records import TaskEvent

__all__ = ["Sentry"]

#: The ends that are sent.
_WORDS = {"failed": "failed", "interrupted": "was interrupted", "lost": "was lost"}
#: The tasks that are watched, by their ids.
_watched: WeakValueDictionary[str, Identity] = WeakValueDictionary()


class Sentry:
    """Sends what tasks fail with, as events with the task's name.

    A task that is tried again sends one when it has failed for good. One that is lost or
    interrupted sends the reason. The event's ``transaction`` is the module and qualified name of
    the task's function, its tags are ``wsgibg.task_id`` and ``wsgibg.attempt``. The lines in the
    log that tell the same are not sent once more by Sentry's integration of `logging`.

    Each attempt has a scope of its own, with the tags, the user and the breadcrumbs of the place
    where the task was added. Event processors of the request do not come along: they read a
    request that is over, in another thread. Event and request have the same trace id.

    Args:
        app: an `App`, what `wrap` returned, or a `TaskManager`.
        every_attempt: whether attempts that are followed by another are sent too, as warnings.
        transactions: whether each attempt is a transaction as well, where the application
            samples traces.

    Raises:
        TypeError: `app` has no tasks.
        RuntimeError: its tasks are watched already.

    Example:
        >>> from wsgibg import App
        >>> from wsgibg.integrations.sentry import Sentry
        >>> _ = Sentry(App())
    """

    def __init__(
        self, app: Watched, *, every_attempt: bool = False, transactions: bool = False
    ) -> None:
        manager = manager_of(app, "Sentry")
        self._every_attempt = every_attempt
        self._transactions = transactions
        self._lives = Lives()
        manager.on_task(self._hear)
        manager.around_task(lambda task: Safely(self._around(task), task))

    @contextmanager
    def _around(self, task: BackgroundTask) -> Iterator[None]:
        """Give an attempt its scope, and send what it fails with."""
        if not sentry_sdk.get_client().is_active():
            yield
            return
        life = self._lives.of(task)
        state = _state(life)
        with (
            _scope(task, life.attempt, state.trace) as transaction,
            sentry_sdk.start_transaction(transaction) if self._transactions else nullcontext(),
        ):
            try:
                yield
            except BaseException as error:
                state.sent = self._failed(task, life.attempt, error)
                raise

    def _failed(self, task: BackgroundTask, attempt: int, error: BaseException) -> bool:
        """Send what an attempt has failed with, if that is wanted, and tell whether it is."""
        if not isinstance(error, Exception) and raised_by_signal(error):
            return False  # the server's way out: the task is interrupted
        final = not wants_retry(attempt, task.options, error)
        if final or self._every_attempt:
            event, hint = event_from_exception(
                error,
                client_options=sentry_sdk.get_client().options,
                mechanism={"type": "wsgibg", "handled": not final},
            )
            event["level"] = "error" if final else "warning"
            sentry_sdk.capture_event(event, hint=hint)
        return final

    def _hear(self, event: TaskEvent) -> None:
        """Send what the attempts themselves do not show (a hook of ``on_task``)."""
        kind, task = event.kind, event.task
        if kind == "progress":
            return
        life = self._lives.of(task)
        state = _state(life)
        if kind == "added":
            identity = identify(task)
            _watched[identity.id] = identity
            if sentry_sdk.get_client().is_active():
                state.trace = _trace_of(sentry_sdk.get_current_scope())
        elif kind == "started":
            life.begin(event)
        elif kind != "retried":
            if kind in _WORDS and not state.sent:
                state.sent = True
                # In a copy, as another thread may be in the context itself.
                task.context.copy().run(_send, event, state.trace)
            if kind != "interrupted":  # such a task may come to its end all the same
                self._lives.end(task)


class _State:
    """What is remembered of one task.

    Attributes:
        sent: whether its failure was sent.
        trace: the trace that it was added in. (The span is gone from the scope by the time the
            task runs.)
    """

    __slots__ = ("sent", "trace")

    def __init__(self) -> None:
        self.sent = False
        self.trace: dict[str, str] = {}


def _state(life: Life) -> _State:
    if life.extra is None:
        life.extra = _State()
    state: _State = life.extra
    return state


@contextmanager
def _scope(task: BackgroundTask, attempt: int, trace: dict[str, str]) -> Iterator[Transaction]:
    """Have a scope of the task's own, made from the one that is current.

    Args:
        task: the task.
        attempt: which attempt.
        trace: the trace that it was added in, if that is known.

    Yields:
        A transaction in that trace, which has not begun.
    """
    before = sentry_sdk.get_isolation_scope()
    own = Scope(ty=ScopeType.ISOLATION)
    own.client = before.client
    own.update_from_scope(before)
    with use_isolation_scope(own):
        current = sentry_sdk.get_current_scope()  # forked by now
        trace = trace or _trace_of(current)
        current.span = None  # the request's, if it is still there, is not to get the task's name
        current.set_transaction_name(task.name, "task")
        transaction = sentry_sdk.continue_trace(
            trace, "queue.task.wsgibg", task.name, "task", "auto.queue.wsgibg"
        )
        own.set_tag("wsgibg.task_id", task.id)
        own.set_tag("wsgibg.attempt", str(attempt))
        yield transaction


def _trace_of(scope: Scope) -> dict[str, str]:
    """The trace that a task was added in, as headers tell it to another process."""
    baggage = scope.get_baggage()
    return {
        "sentry-trace": scope.get_traceparent() or "",
        "baggage": "" if baggage is None else baggage.serialize(),
    }


def _send(event: TaskEvent, trace: dict[str, str]) -> None:
    """Send an end that the attempts do not show."""
    with _scope(event.task, event.attempt, trace):
        sentry_sdk.capture_event(
            {
                "level": "error",
                "logger": "wsgibg.background",
                "logentry": {
                    "message": f"Background task %s {_WORDS[event.kind]}: %s",
                    "params": [event.task.name, event.error or event.reason],
                },
            }
        )


def _once(event: Event, hint: Hint) -> Event | None:
    """Leave out what Sentry's integration of `logging` would send a second time."""
    record: Any = hint.get("log_record")
    kind = getattr(record, "task_event", None)
    ours = (kind == "retried" or kind in _WORDS) and record.task_id in _watched
    return None if ours else event


add_global_event_processor(_once)
