"""What is told of a task: how its request ended, what happened to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

__all__ = ["RETURNED", "EventKind", "Outcome", "TaskEvent", "When"]

When = Literal["returned", "delivered", "error", "always"]
EventKind = Literal["started", "retried", "succeeded", "failed", "dropped", "interrupted", "lost"]


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """Something happened to a task; given to the hooks of ``app.on_task``.

    Args:
        kind: what happened.
        task: the `wsgibg.BackgroundTask`; its ``id`` and ``name`` tell which.
        reason: why it was dropped or lost, or the traceback of its failure, as text.
    """

    kind: EventKind
    task: Any
    reason: str = ""


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

    def why_not(self) -> str:
        """The reason that is logged with a dropped task."""
        if self.failure:
            return self.failure
        return "the request succeeded" if self.delivered else "the body was not delivered whole"


RETURNED = Outcome()
