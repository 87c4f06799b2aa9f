"""The tasks whose id somebody has read, so that he may ask what became of them."""

from __future__ import annotations

import os
from time import time
from typing import Any
from weakref import ref

__all__ = ["MAX_NAMED", "Name", "forget", "move_name", "named", "put_name"]

#: How many tasks are remembered at most; those named beyond it are run as if nobody had asked.
MAX_NAMED: int = 100_000


class Name(ref[Any]):
    """A task that has a name; it is forgotten when nobody has the task any more.

    So a task that is never handed over (its collector is thrown away) leaves nothing.
    """

    __slots__ = ("id", "since")

    id: str
    #: When the id was first read, in seconds since the epoch.
    since: float


#: By their ids. No lock: each change is one step, as it may come from the garbage collector.
named: dict[str, Name] = {}


def put_name(task: Any, identifier: str) -> None:
    """Remember that somebody has read a task's id."""
    if len(named) < MAX_NAMED:
        name = Name(task, _gone)
        name.id = identifier
        name.since = time()
        named[identifier] = name


def move_name(identifier: str, task: Any) -> None:
    """Have a task take the place of the hand-made one that it is a use of."""
    if identifier in named:
        put_name(task, identifier)


def forget(identifier: str) -> None:
    """Let go of a task that has come to its end."""
    named.pop(identifier, None)


def _gone(name: Name) -> None:
    if named.get(name.id) is name:
        forget(name.id)


if hasattr(os, "register_at_fork"):
    # The parent's tasks are the parent's to run.
    os.register_at_fork(after_in_child=named.clear)
