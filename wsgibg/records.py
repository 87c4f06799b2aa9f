"""What is told of a task: how its request ended, what happened to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

__all__ = [
    "RETURNED",
    "EventKind",
    "Outcome",
    "TaskEvent",
    "TaskProgress",
    "TaskRecord",
    "TaskState",
    "When",
]

When = Literal["returned", "delivered", "error", "always"]
EventKind = Literal[
    "added",
    "started",
    "progress",
    "retried",
    "succeeded",
    "failed",
    "dropped",
    "interrupted",
    "lost",
    "parked",
]
TaskState = Literal[
    "held",
    "queued",
    "running",
    "retrying",
    "succeeded",
    "failed",
    "dropped",
    "interrupted",
    "lost",
    "parked",
]


class TaskProgress(NamedTuple):
    """How far a task has come, in its own words.

    Args:
        done: how much is done, in whatever the task counts.
        total: how much there is to do; None if the task does not know.
        message: a line for people.
    """

    done: float
    total: float | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """Something happened to a task; given to the hooks of ``app.on_task``.

    Args:
        kind: what happened.
        task: the `wsgibg.BackgroundTask`; its ``id`` and ``name`` tell which.
        reason: why it was dropped or lost, or the traceback of its failure, as text.
        attempt: which attempt it happened to; 1 is the first.
        progress: what a task told of itself, with the kind ``"progress"``.
        error: the exception of its failure, in one line.
    """

    kind: EventKind
    task: Any
    reason: str = ""
    attempt: int = 1
    progress: TaskProgress | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """What this process knows of one task; given by ``app.tasks.get`` and ``app.tasks.recent``.

    It is text and numbers, made when it is asked for: it does not change any more, and it keeps
    nothing of the task alive.

    Args:
        id: the task's id.
        name: module and qualified name of its function.
        state: ``"held"``: its request has not ended; ``"queued"``: its executor has it;
            ``"running"``; ``"retrying"``: it waits for its next attempt; ``"succeeded"``;
            ``"failed"``; ``"dropped"``: its condition did not apply; ``"interrupted"``: it was
            cut off; ``"lost"``: it will not start; ``"parked"``: it is kept for a person.
        attempts: how many attempts have begun.
        added: when it was added or, if nobody took note of that, when its id was first read.
        started: when its latest attempt began.
        ended: when it came to its end.
        progress: what the task told last of itself.
        error: why it failed, was dropped, interrupted or lost, in one line.
        traceback: the traceback of its failure, as text.
        arguments: its arguments as text; None unless they were asked for. Of a task that
            succeeded they are not kept.

    All times are in UTC, and None where they are not known.
    """

    id: str
    name: str
    state: TaskState
    attempts: int = 0
    added: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    progress: TaskProgress | None = None
    error: str = ""
    traceback: str = ""
    arguments: str | None = None


class Outcome(NamedTuple):
    """How a request ended, as far as its tasks ask.

    Args:
        failure: why the request failed; empty if its handler returned.
        delivered: whether the body was iterated to its end.
    """

    failure: str = ""
    delivered: bool = True

    def suits(self, when: When) -> bool:
        """Whether a task with this condition is to run."""
        if when == "returned":
            return not self.failure
        if when == "delivered":
            return not self.failure and self.delivered
        return when == "always" or bool(self.failure)

    def lets(self, task: Any) -> bool:
        """Whether a `wsgibg.BackgroundTask` is to run."""
        return self.suits("returned" if task.options is None else task.options.when)

    def why_not(self) -> str:
        """The reason that is logged with a dropped task."""
        if self.failure:
            return self.failure
        return "the request succeeded" if self.delivered else "the body was not delivered whole"


RETURNED = Outcome()
