"""What a manager knows of its tasks, as text and numbers, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from decimal import Decimal
from functools import partial
from heapq import nlargest
from pathlib import Path
from reprlib import Repr
from time import time
from typing import Any
from uuid import UUID
from weakref import WeakSet, ref

from wsgibg._aio import when_forked
from wsgibg._attempt import behind
from wsgibg._names import Identity, Name, forget, named, own_names, put_name
from wsgibg._options import name_of
from wsgibg._task import BackgroundTask, identify
from wsgibg.background import BackgroundTasks, source_var
from wsgibg.records import TaskEvent, TaskProgress, TaskRecord, TaskState

__all__ = ["MAX_ENDED", "Ledger", "batch_of", "text_of_arguments"]

#: How many tasks that have ended are remembered.
MAX_ENDED: int = 1_000

_MAX_LINE = 500
_MAX_TRACEBACK = 10_000
_ENDS = frozenset({"succeeded", "failed", "dropped", "interrupted", "lost", "parked"})
#: What a task may do while no record of it is wanted.
_PLAIN = frozenset({"added", "started", "succeeded"})
_STATES: dict[str, TaskState] = {
    "added": "held",
    "started": "running",
    "retried": "retrying",
    "succeeded": "succeeded",
    "failed": "failed",
    "dropped": "dropped",
    "interrupted": "interrupted",
    "lost": "lost",
    "parked": "parked",
}


class _Entry:
    """One task, as it is known at the moment; only the thread that has the task writes."""

    __slots__ = (
        "added",
        "arguments",
        "attempts",
        "ended",
        "error",
        "id",
        "name",
        "progress",
        "since",
        "started",
        "state",
        "task",
        "traceback",
    )

    def __init__(self, identity: Identity, added: float | None) -> None:
        self.id = identity.id
        self.name = name_of(identity.func)
        #: When it became known.
        self.since = time() if added is None else added
        self.state: TaskState = "held"
        self.attempts = 0
        self.added = added
        self.started: float | None = None
        self.ended: float | None = None
        self.progress: TaskProgress | None = None
        self.error = ""
        self.traceback = ""
        self.arguments: str | None = None
        #: What there is of the task, until it has ended.
        self.task: ref[Identity] | None = None

    def apply(self, event: TaskEvent) -> bool:
        """Take over what an event tells, and say whether the task has come to its end."""
        now = time()
        kind = event.kind
        if kind == "progress":
            if event.progress is not None:
                done, total, message = event.progress
                self.progress = TaskProgress(done, total, str(message)[:_MAX_LINE])
            self.state = "running"
        if kind == "started":
            self.started = now
        elif kind == "added" and self.added is None:
            self.added = now
        if kind in ("started", "succeeded"):
            self.error = self.traceback = ""
        if event.reason:
            self.error = (event.error or event.reason.rstrip().rpartition("\n")[2])[:_MAX_LINE]
            self.traceback = event.reason[-_MAX_TRACEBACK:] if kind in ("failed", "retried") else ""
        if kind not in ("added", "dropped", "lost", "parked"):
            self.attempts = max(self.attempts, event.attempt)
        ends = kind in _ENDS
        if ends:
            self.ended = now
            if kind != "succeeded":
                self.arguments = text_of_arguments(event.task)
        self.state = _STATES.get(kind, self.state)  # last: whoever sees an end sees all of it
        return ends

    def record(self, *, arguments: bool = False) -> TaskRecord:
        """What is known now."""
        state, text, kept = self.state, self.arguments, self.task
        task = None if kept is None else kept()
        if state == "held" and task is not None:
            state = state_of(task) or state
        if task is not None and arguments:
            text = text_of_arguments(task)
        return TaskRecord(
            id=self.id,
            name=self.name,
            state=state,
            attempts=self.attempts,
            added=_utc(self.added),
            started=_utc(self.started),
            ended=_utc(self.ended),
            progress=self.progress,
            error=self.error,
            traceback=self.traceback,
            arguments=text if arguments else None,
        )


class Ledger:
    """The records of one manager.

    A task that has not ended is known for as long as somebody has it; of those that have ended,
    the last `MAX_ENDED` are. There is no lock: a hook, a signal's handler or the garbage
    collector may come in anywhere, and each change is one step.

    Args:
        host: the manager.
        size: how many tasks that have ended are remembered.
    """

    def __init__(self, host: object, size: int = MAX_ENDED) -> None:
        self.host = host
        self.size = size
        #: The ledger of the manager around this one, which carries tasks in its place.
        self.outer: Ledger | None = None
        self._known: dict[str, _Entry] = {}
        #: Those that have ended, in the order in which they did.
        self._ended: deque[_Entry] = deque()
        _ledgers.add(self)

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()
        self._ended.clear()

    def wants(self, event: TaskEvent) -> bool:
        """Whether an event is to be recorded although no hook hears it."""
        task = event.task
        return (
            event.kind not in _PLAIN
            or task.options is not None
            or ((identity := _identity(task)) is not None and identity.id in named)
        )

    def note(self, event: TaskEvent) -> None:
        """Take down what happened to a task."""
        identity = identify(event.task)
        entry = self._known.get(identity.id)
        begins = event.kind in ("added", "started", "retried")
        if entry is None or (entry.ended is not None and begins):
            if event.kind == "progress" and state_of(identity) is None:
                return  # it has ended, and left no record
            entry = self._begin(event, identity, entry)
        elif entry.ended is not None and event.kind == "progress":
            return
        over = entry.ended is not None
        if entry.apply(event):
            entry.task = None
            if event.kind != "interrupted":  # that one may come to its end all the same
                forget(identity.id)
            if not over:
                self._ended.append(entry)
                self._trim()

    def _begin(self, event: TaskEvent, identity: Identity, before: _Entry | None) -> _Entry:
        """Open the record of a task, or open it again for its next attempt."""
        name = named.get(identity.id)
        entry = _Entry(identity, None if name is None else name.since)
        if before is not None and event.attempt > 1:
            entry.added, entry.progress = before.added, before.progress
            entry.attempts = before.attempts
        if event.kind == "progress" and name is None:
            put_name(identity)  # so that its end is told as well
        entry.task = ref(identity, _Gone(self._known, entry))
        self._known[identity.id] = entry
        return entry

    def _trim(self) -> None:
        while len(self._ended) > self.size:
            oldest = self._ended.popleft()
            if self._known.get(oldest.id) is oldest:
                self._known.pop(oldest.id, None)

    def follow(self, outer: Ledger) -> None:
        """Look up in another ledger what is not known here."""
        each: Ledger | None = outer
        while each is not None:
            if each is self:  # two applications that are inside each other, by turns
                return
            each = each.outer
        self.outer = outer

    def leave(self, task: BackgroundTask) -> None:
        """Forget a task that somebody else carries from now on."""
        if self.outer is not None:
            self._known.pop(identify(task).id, None)

    def get(self, identifier: str, *, arguments: bool = False) -> TaskRecord | None:
        """The record of a task.

        Args:
            identifier: the task's id.
            arguments: whether to show the arguments.
        """
        entry = self._known.get(identifier)
        if entry is not None:
            return entry.record(arguments=arguments)
        name = own_names().get(identifier)
        found = None if name is None else _record_of(name, self.host, arguments=arguments)
        if found is None and self.outer is not None:
            return self.outer.get(identifier, arguments=arguments)
        return found

    def recent(self, limit: int) -> list[TaskRecord]:
        """The records of the tasks that became known last, the newest first.

        Args:
            limit: how many at most.

        Raises:
            ValueError: the limit is negative.
        """
        if limit < 0:
            msg = f"recent(limit={limit!r}): it must be at least 0."
            raise ValueError(msg)
        # Those with the same time: the one that came last is the newest.
        newest = nlargest(limit, enumerate(self._all()), key=lambda pair: (pair[1][0], pair[0]))
        return [record for _, (_, make) in newest if (record := make()) is not None]

    def _all(self) -> list[tuple[float, Callable[[], TaskRecord | None]]]:
        """When each task became known, and what makes its record."""
        found = [] if self.outer is None else self.outer._all()
        # Copies, which are made in one step; to iterate over the dictionaries themselves is many.
        known = self._known.copy()
        for name in own_names().copy().values():
            task = name()
            if name.id not in known and task is not None and _host_of(task) is self.host:
                found.append((name.since, partial(_record_of, name, self.host)))
        found += [(each.since, each.record) for each in known.values()]
        return found

    def __len__(self) -> int:
        return len(self._known)


#: Those of this process.
_ledgers: WeakSet[Ledger] = WeakSet()


def _forked() -> None:
    """In a forked child: what is known so far is of tasks that the parent runs."""
    for each in list(_ledgers):
        each.clear()


when_forked(_forked)


class _Gone:
    """Forgets a task that nobody has any more, and whose end was not told."""

    __slots__ = ("entry", "known")

    def __init__(self, known: dict[str, _Entry], entry: _Entry) -> None:
        self.known = known
        self.entry = entry

    def __call__(self, _: object) -> None:
        if self.entry.ended is None and self.known.get(self.entry.id) is self.entry:
            self.known.pop(self.entry.id, None)


# ------------------------------------------------------------------ what a task itself tells
def _identity(task: BackgroundTask | None) -> Identity | None:
    return getattr(task, "_id", None)


def batch_of(task: Identity) -> Any:
    """The collector or batch that a task is in."""
    source = task.context.get(source_var)
    batch = source if isinstance(source, BackgroundTasks) else getattr(source, "tasks", None)
    while batch is not None and batch.forward is not None:
        batch = batch.forward
    return batch


def _host_of(task: Identity) -> object:
    """The manager that was given a task."""
    return getattr(batch_of(task), "host", None)


def state_of(task: Identity) -> TaskState | None:
    """What can be seen of a task that nobody has taken note of; None if it has ended."""
    batch = batch_of(task)
    if batch is None or batch.executor is None:
        return "held"
    running, ended = batch.running, batch.ended
    if _identity(running) is task:
        return None if ended is running else "running"
    waiting = behind(running, batch.tasks.copy())
    return "queued" if any(_identity(each) is task for each in waiting) else None


def _record_of(name: Name, host: object, *, arguments: bool = False) -> TaskRecord | None:
    """The record of a task of which nothing is known but that its id was read."""
    task = name()
    if task is None or _host_of(task) not in (None, host):
        return None
    state = state_of(task)
    if state is None:
        return None
    return TaskRecord(
        id=name.id,
        name=name_of(task.func),
        state=state,
        attempts=int(state == "running"),
        added=_utc(name.since),
        arguments=text_of_arguments(task) if arguments else None,
    )


def _utc(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


# ------------------------------------------------------------------ arguments as text
_SHOWN = (
    *(bool, bytes, complex, float, int, str, type(None), type(Path())),
    *(date, datetime, time_of_day, timedelta, Decimal, UUID),
    *(deque, dict, frozenset, list, set, tuple),
)


class _Text(Repr):
    """Shows values of Python's own types, and of all others the class.

    No code of the application runs: an object's own ``repr`` may be slow, ask a database, or
    belong to another thread at this moment.
    """

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 80
        self.maxlevel = 3

    def repr1(self, x: object, level: int) -> str:
        """One value, on its own or inside another."""
        kind = type(x)
        if kind in _SHOWN:
            try:
                return super().repr1(x, level)
            except (RuntimeError, ValueError):
                pass  # its task is just changing it, or it is a number of too many digits
        return f"<{kind.__module__}.{kind.__qualname__}>"


_text = _Text()


def text_of_arguments(task: BackgroundTask | Identity) -> str:
    """The arguments of a task as they stand in a call, shortened."""
    given = [_text.repr(each) for each in task.args[:20]]
    given += [f"{name}={_text.repr(each)}" for name, each in task.kwargs.items()]
    text = ", ".join(given)
    return text if len(text) <= _MAX_LINE else f"{text[: _MAX_LINE - 1]}…"
