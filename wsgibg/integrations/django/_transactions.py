"""Tasks that wait for the transaction they were added in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar
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

    __slots__ = ("__weakref__", "committed", "connection", "parked")

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.committed = False
        self.parked: Parked | None = None
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
        parked, self.parked = self.parked, None
        if parked is not None:
            parked.one_less()

    def verdict(self) -> Verdict:
        """What became of the transaction.

        Django drops a hook together with the savepoint or the transaction that is rolled back.
        A `django.test.TestCase` never commits: what is still there, ended well.
        """
        if self.committed:
            return "committed"
        connection = self.connection
        if not any(hook[1] is self for hook in connection.run_on_commit):
            return "rolled back"
        if not any(block._from_testcase for block in connection.atomic_blocks):
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
        self.left = 0
        task.context.run(_waits_var.set, ())
        for wait in waits:
            if not wait.committed:
                wait.parked = self
                self.left += 1

    def one_less(self) -> None:
        """One of its transactions was committed."""
        self.left -= 1
        if not self.left and self.task is not None:
            task, self.task = self.task, None
            self.submit(task)

    def rolled_back(self) -> None:
        """None of the others matters any more."""
        if self.task is not None:
            self.drop(self.task)

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
