"""The tasks whose id somebody has read, so that he may ask what became of them."""

from __future__ import annotations

import os
from time import time
from typing import Any
from weakref import ref

__all__ = ["MAX_NAMED", "Identity", "Name", "forget", "named", "own_names", "put_name"]

#: How many tasks are remembered at most; those named beyond it are run as if nobody had asked.
MAX_NAMED: int = 100_000


class Identity:
    """What a task has once it has an id: its own, and nobody else's.

    It lives as long as the task, to which it does not refer. So the task itself needs no room for
    weak references (8 bytes of each that waits).

    Args:
        task: the `wsgibg.BackgroundTask`.
        identifier: its id.
    """

    __slots__ = ("__weakref__", "args", "context", "func", "id", "kwargs")

    def __init__(self, task: Any, identifier: str) -> None:
        self.id = identifier
        self.func = task.func
        self.args = task.args
        self.kwargs = task.kwargs
        self.context = task.context


class Name(ref[Identity]):
    """A task that has a name; it is forgotten when nobody has the task any more.

    So a task that is never handed over (its collector is thrown away) leaves nothing.
    """

    __slots__ = ("id", "pid", "since")

    id: str
    #: The process in which that was.
    pid: int
    #: When the id was first read, in seconds since the epoch.
    since: float


#: By their ids. No lock: each change is one step, as it may come from the garbage collector.
named: dict[str, Name] = {}


def put_name(identity: Identity) -> None:
    """Remember that somebody has read a task's id."""
    if len(own_names()) < MAX_NAMED:
        name = Name(identity, _gone)
        name.id = identity.id
        name.pid = os.getpid()
        name.since = time()
        named[identity.id] = name


def forget(identifier: str) -> None:
    """Let go of a task that has come to its end."""
    named.pop(identifier, None)


def _gone(name: Name) -> None:
    if named.get(name.id) is name:
        forget(name.id)


class _Process:
    """Whose names these are."""

    pid = os.getpid()


def own_names() -> dict[str, Name]:
    """The names, after those of the process that this one was forked from are gone.

    The parent's tasks are the parent's to run. uWSGI forks in C, where `os.register_at_fork` is
    not heard of. Whoever else puts a name meanwhile, in another thread, keeps it.
    """
    pid = os.getpid()
    if _Process.pid != pid:
        for name in named.copy().values():
            if name.pid != pid:
                _gone(name)
        _Process.pid = pid
    return named


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=own_names)
