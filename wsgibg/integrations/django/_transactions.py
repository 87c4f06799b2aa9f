"""Tasks that wait for the transaction they were added in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import ContextVar
from threading import Lock
from typing import Any, Literal

from django.db import connections

from wsgibg._ending import rescue
from wsgibg.background import BackgroundTask

__all__ = ["Parked", "Wait", "settled", "using_var", "verdict_on", "wait_for_commit", "waits_of"]

Verdict = Literal["committed", "rolled back", "open"]

#: The aliases that `on_commit` names; None: every one that is inside ``atomic``.
using_var: ContextVar[tuple[str, ...] | None] = ContextVar("wsgibg.django.using", default=None)
#: What a task waits for; set in the task's own context only.
_waits_var: ContextVar[tuple[Wait, ...]] = ContextVar("wsgibg.django.waits", default=())


class Wait:
    """One transaction that a task waits for; Django calls it when that is committed.

    Args:
        connection: the connection that is inside ``atomic``.
    """

    __slots__ = ("__weakref__", "_parked", "committed", "connection", "savepoint")

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.committed = False
        #: Who waits for it, if anybody does; taken out by whoever tells it.
        self._parked: list[Parked] = []
        #: That of the innermost block, in a test case.
        self.savepoint = _savepoint_in_test(connection)
        connection.on_commit(self, robust=True)
        # In front, in the order of the tasks: a hook of the project's own that fails takes those
        # behind it along, though the transaction was committed.
        hooks = connection.run_on_commit
        mine = hooks.pop()
        behind = (at for at, hook in enumerate(hooks) if not isinstance(hook[1], Wait))
        hooks.insert(next(behind, len(hooks)), mine)

    def __call__(self) -> None:
        """The transaction was committed."""
        self.committed = True
        self._tell()

    def park(self, parked: Parked) -> None:
        """Tell a task when the transaction is committed; at once if it is."""
        self._parked.append(parked)
        if self.savepoint:
            # Between other people's they would be taken for theirs, which are last in, first out.
            self.connection.execute_wrappers.insert(0, self._watch)
        # Whoever commits says so first, then looks who waits; here it is the other way round.
        if self.committed:
            self._tell()

    def _tell(self) -> None:
        with suppress(IndexError):
            self._parked.pop().one_less()

    def _watch(self, execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        """Notice the end of a block in a test case: Django gives its savepoint up by a query."""
        connection = self.connection
        result = execute(sql, params, many, context)
        # (a block that is rolled back is rolled back first, and Django drops our hook after that)
        if (
            self._watch in connection.execute_wrappers
            and self.savepoint not in connection.savepoint_ids
            and sql != connection.ops.savepoint_rollback_sql(self.savepoint)
        ):
            connection.execute_wrappers.remove(self._watch)
            if self.verdict() == "committed":
                self._tell()
            else:
                self._parked.pop().rolled_back()
        return result

    def verdict(self) -> Verdict:
        """What became of the transaction.

        Django drops a hook together with the savepoint or the transaction that is rolled back.
        A `django.test.TestCase` never commits: what is still there when its block is over, ended
        well.
        """
        if self.committed:
            return "committed"
        connection = self.connection
        if not any(hook[1] is self for hook in connection.run_on_commit):
            return "rolled back"
        if not any(block._from_testcase for block in connection.atomic_blocks):
            return "open"
        if self.savepoint in connection.savepoint_ids:
            return "open"
        connection.run_on_commit[:] = [
            hook for hook in connection.run_on_commit if hook[1] is not self
        ]
        if connection.needs_rollback:
            return "rolled back"
        self.committed = True
        return "committed"


class Parked:
    """A task whose transaction goes on after the end of its request.

    The hooks of the transaction alone refer to it, so that it goes when that is rolled back.

    Args:
        task: the task.
        waits: what it waits for.
        submit: hands it over.
        drop: reports that it was dropped.
    """

    def __init__(
        self,
        task: BackgroundTask,
        waits: Iterable[Wait],
        submit: Callable[[BackgroundTask], None],
        drop: Callable[[BackgroundTask], None],
    ) -> None:
        self.task: BackgroundTask | None = task
        self.submit = submit
        self.drop = drop
        waits = tuple(waits)
        self._left = len(waits) + 1  # (this, too: they may be committed in other threads)
        self._lock = Lock()
        task.context.run(_waits_var.set, ())
        for wait in waits:
            wait.park(self)
        self.one_less()

    def one_less(self) -> None:
        """One of its transactions was committed."""
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last and (task := self._take()) is not None:
            self.submit(task)

    def rolled_back(self) -> None:
        """None of the others matters any more."""
        if (task := self._take()) is not None:
            self.drop(task)

    def _take(self) -> BackgroundTask | None:
        with self._lock:
            task, self.task = self.task, None
        return task

    def rescued(self, close: Callable[[], None]) -> None:
        """Report from a thread of its own: this may be collected under anybody's lock."""
        close()

    def __del__(self) -> None:
        if self.task is not None:
            rescue(self, self.rolled_back)  # type: ignore[arg-type]


def wait_for_commit(task: BackgroundTask) -> None:
    """Have a task, as it is added, wait for the transactions that are open around it."""
    context = task.context
    using = context.get(using_var)
    if using is not None:
        context.run(using_var.set, None)  # what the task adds itself chooses anew
    waits: tuple[Wait, ...] = ()
    if task.options is None or task.options.when != "always":
        found = (
            connections.all(initialized_only=True)
            if using is None
            else [connections[alias] for alias in using]
        )
        waits = tuple(Wait(connection) for connection in found if _is_inside(connection))
    if waits or context.get(_waits_var):
        context.run(_waits_var.set, waits)


def _is_inside(connection: Any) -> bool:
    """Whether a connection is inside ``atomic``, apart from the blocks of a test case."""
    return connection.in_atomic_block and not all(
        block._from_testcase for block in connection.atomic_blocks
    )


def _savepoint_in_test(connection: Any) -> str | None:
    """The savepoint of the innermost block that has one, if all this is inside a test case.

    A block without one is a part of the block around it. (The outermost block has none.)
    """
    found: str | None = None
    blocks = connection.atomic_blocks
    if blocks[0]._from_testcase:
        for block, savepoint in zip(blocks[1:], connection.savepoint_ids, strict=False):
            if savepoint is not None and not block._from_testcase:
                found = savepoint
    return found


def waits_of(task: BackgroundTask) -> tuple[Wait, ...]:
    """What a task waits for."""
    return task.context.get(_waits_var, ())


def settled(task: BackgroundTask) -> None:
    """Ask no more what became of a task's transactions."""
    task.context.run(_waits_var.set, ())


def verdict_on(waits: Iterable[Wait]) -> tuple[Verdict, str]:
    """What became of several transactions: the worst of it, with the alias that it is about."""
    worst: tuple[Verdict, str] = ("committed", "")
    for wait in waits:
        verdict = wait.verdict()
        if verdict == "rolled back":
            return verdict, wait.connection.alias
        if verdict == "open":
            worst = verdict, wait.connection.alias
    return worst
