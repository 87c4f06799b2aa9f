"""Where background tasks run: the contract that every executor fulfils."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any, Protocol

from wsgibg._alarm import alarm
from wsgibg._calling import Around, AroundTask, unlimited
from wsgibg.background import BackgroundTask, BackgroundTasks
from wsgibg.records import TaskEvent

__all__ = ["Executor", "TaskHost", "check_executor", "resolve"]


class TaskHost(Protocol):
    """What a batch knows of the `TaskManager` that submitted it."""

    #: Whether hooks listen: without, no event is made of a nameless task's success.
    watched: bool
    #: Whether async tasks that cannot suspend may be run on the lent loop, in this thread.
    lends: bool
    #: Whether a failing task ends its batch (``after_task_error="stop"``).
    stop_on_error: bool

    def record(self, event: TaskEvent) -> None:
        """Take note of what happened to a task, and tell the hooks.

        It raises only what a signal's handler raised.
        """

    #: Whether tasks are shown to the host as they are added.
    checks: bool

    #: What each attempt runs inside of: `invoke` then makes the call of every task.
    surroundings: Sequence[AroundTask]

    def give(self, batch: BackgroundTasks, executor: Executor) -> None:
        """Submit a batch to an executor; if that raises, its tasks are reported as lost."""

    def reroute(self, batch: BackgroundTasks, task: BackgroundTask) -> bool:
        """Take a task, added to a running batch, that is not this batch's to run."""

    def invoke(self, task: BackgroundTask, around: Around = unlimited) -> Any:
        """Make the call of a task with what it has injected, and exit what that opened.

        Args:
            task: the task.
            around: puts something around what the task, its dependencies and their exits await,
                such as a time limit; a call that cannot suspend is not shown to it.

        All of that happens inside of the `surroundings`.

        Returns:
            What the task returned, which was awaited where it could be.

        Raises:
            BaseException: what the task, a dependency or an exit raised.
        """

    def resolve(self, name: str) -> Callable[..., Any]:
        """The function that ``module:qualified.name`` names."""


class Executor:
    """Where batches of tasks run; a subclass implements `submit` and what else it needs.

    A batch is a `BackgroundTasks`: tasks in order, with the ``host`` that hears of them and an
    ``after`` to be called once all had their first attempt (`run_batch` does).

    The `TaskManager` calls, in this order: `start` once in the serving process; `check` for
    each task as it is added; `hold` before the first byte of the response; then either
    `submit`, after the request's exits, or `discard`.
    """

    #: A held batch survives the process.
    durable: bool = False
    #: First attempts happen in the order of the batch.
    ordered: bool = True
    #: Tasks run in this process, so that arguments need not be stored.
    in_process: bool = True

    def start(self, host: TaskHost) -> None:
        """Get ready; called in the process that serves, before the first batch.

        Args:
            host: a manager that will submit batches. Several may share an executor.
        """

    def check(self, task: BackgroundTask) -> None:
        """Refuse a task that this executor cannot carry.

        Raises:
            TaskRefused: with what cannot be carried, and the remedy.
        """

    def hold(self, batch: BackgroundTasks) -> None:
        """Make a batch safe before the client is told that it was accepted.

        Raises:
            Exception: the batch is not safe; the request fails.
        """

    def submit(self, batch: BackgroundTasks) -> None:
        """Run the batch, or see to it that it is run; after `hold` this is its release."""
        raise NotImplementedError

    def retry(self, batch: BackgroundTasks, delay: float) -> None:
        """Run a batch later whose first task has failed and is to be tried again.

        The default has `submit` called in a thread that is there for this.

        Args:
            batch: most often of that task alone.
            delay: seconds from now.

        Raises:
            Exception: it cannot be; the tasks are reported as lost.
        """
        alarm().at(monotonic() + delay, partial(batch.host.give, batch, self))

    def discard(self, batch: BackgroundTasks, reason: str) -> None:
        """Forget a held batch whose request failed."""

    def drain(self, timeout: float) -> list[BackgroundTask]:
        """Wait for what was submitted.

        Args:
            timeout: seconds to wait at most.

        Returns:
            The tasks that had not ended by then.
        """
        del timeout
        return []

    def shutdown(self) -> list[BackgroundTask]:
        """End what was started; batches that are submitted all the same run inline.

        Returns:
            The tasks that had not ended, each of which was reported.
        """
        return []


def check_executor(option: str, executor: Any) -> None:
    """Refuse what is no executor where it is given, not at the end of the first request.

    Args:
        option: where it was given, for the message.
        executor: what was given.

    Raises:
        TypeError: it is no executor.
    """
    if isinstance(executor, Executor):
        return
    remedy = "Pass an instance of an Executor class, such as InlineExecutor()."
    if isinstance(executor, type) and issubclass(executor, Executor):
        remedy = f"Make one: {executor.__name__}()."
    msg = f"{option}={executor!r} is not an executor. {remedy}"
    raise TypeError(msg)


def resolve(name: str) -> Callable[..., Any]:
    """The function that ``module:qualified.name`` names.

    Example:
        >>> from wsgibg.executors import resolve
        >>> resolve("string:capwords")("ada lovelace")
        'Ada Lovelace'
    """
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    target: Callable[..., Any] = found
    return target
