"""One attempt of a task whose options ask for more than a call: its clock, its next attempt."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from time import monotonic
from typing import Any

from wsgibg._aio import can_suspend, limited
from wsgibg._alarm import Entry, alarm
from wsgibg._calls import is_async
from wsgibg._observers import executor_for, observers
from wsgibg._report import failure, report
from wsgibg._retry import delay_before, wants_retry
from wsgibg._running import attempt_of
from wsgibg.background import (
    BackgroundTask,
    BackgroundTasks,
    TaskOptions,
    request_collector,
    source_var,
)

__all__ = ["Trial", "begin", "end", "tried_again"]

log = logging.getLogger("wsgibg.background")


class Trial:
    """An attempt that has begun.

    Args:
        task: the task. Its context is exchanged for a copy until the attempt is over, so that
            the next one finds the variables as they were when the task was added.
    """

    __slots__ = (
        "awaits",
        "begun",
        "deadline",
        "entry",
        "over",
        "snapshot",
        "stopped",
        "task",
        "timeout",
        "told",
    )

    def __init__(self, task: BackgroundTask, timeout: float | None) -> None:
        self.task = task
        self.timeout = timeout or 0.0
        #: Whether it awaits something, which is cancelled when its time is over; has that been?
        self.awaits = self.stopped = False
        #: Whether it was reported as late, and whether nothing is to be reported any more.
        self.told = self.over = False
        self.snapshot = task.context
        task.context = self.snapshot.copy()
        self.begun = monotonic()
        self.deadline = None if timeout is None else self.begun + timeout
        self.entry: Entry | None = None

    def watch(self) -> None:
        """Have it reported at its deadline that the task is still running."""
        if self.deadline is not None:
            try:
                self.entry = alarm().at(self.deadline, self._late)
            except RuntimeError as error:  # no thread is started any more
                log.warning(
                    "Nobody watches the timeout of background task %s (%s): %s.",
                    self.task.name,
                    self.task.id,
                    error,
                    extra={"task_id": self.task.id},
                )

    def _late(self) -> None:
        # In this order: who is stopped says so before he says that he awaits nothing any more.
        if self.awaits or self.stopped:  # that is cancelled; what comes then, has as long again
            self.stopped = False
            self.entry = alarm().at(monotonic() + self.timeout, self._late)
            if self.over:  # by now
                self.unwatch()
            return
        self.told = True
        log.error(
            "Background task %s (%s) runs for longer than its timeout of %.3g s. A thread cannot"
            " be stopped: have it ask current_task().cancelled, or give its own calls a timeout.",
            self.task.name,
            self.task.id,
            self.timeout,
            extra={"task_id": self.task.id},
        )

    def limit(self, awaitable: Any, *, leaving: bool = False) -> Any:
        """What an attempt awaits, cancelled at the deadline.

        Exits that come after it must be able to do their work: each has as long again.
        """
        if self.deadline is None:
            return awaitable
        deadline = self.deadline
        if leaving and (now := monotonic()) >= deadline:
            deadline = now + self.timeout
        self.awaits = True
        return self._stopped_at(deadline, awaitable)

    async def _stopped_at(self, deadline: float, awaitable: Any) -> Any:
        try:
            return await limited(awaitable, deadline)
        except TimeoutError:
            self.stopped = True
            raise
        finally:
            self.awaits = False

    def unwatch(self) -> None:
        """Report nothing more."""
        self.over = True
        entry, self.entry = self.entry, None
        if entry is not None:
            alarm().cancel(entry)

    def end(self) -> None:
        """The attempt is over: say so if it was reported as late."""
        self.unwatch()
        if self.told:
            log.warning(
                "Background task %s (%s) came to its end after %.3g s, longer than its timeout.",
                self.task.name,
                self.task.id,
                monotonic() - self.begun,
                extra={"task_id": self.task.id},
            )
        self.task.context = self.snapshot


def begin(batch: BackgroundTasks, task: BackgroundTask) -> None:
    """Note the attempt that begins, if the task's options ask for it."""
    options = task.options
    if options is None or not (options.retries or options.timeout):
        batch.trial = None
        return
    trial = batch.trial = Trial(task, options.timeout)
    # What is cancelled at its deadline need not be watched; but dependencies may be sync.
    if task.injected or not (is_async(task.func) and can_suspend(task.func)):
        trial.watch()


def end(batch: BackgroundTasks) -> None:
    """Note that the attempt of a batch is over."""
    trial, batch.trial = batch.trial, None
    trial.end()


def _delay(task: BackgroundTask, attempt: int, options: TaskOptions) -> float:
    """The seconds until a task's next attempt."""
    delay = delay_before(attempt, options)
    for observer in tuple(observers):
        delay = observer.delay_for(task, delay)
    return delay


def tried_again(
    batch: BackgroundTasks,
    rest: Iterator[BackgroundTask],
    task: BackgroundTask,
    error: BaseException,
) -> bool:
    """Have a task that failed tried again, if its options say so, and tell whether they do.

    Args:
        batch: the batch, whose trial has ended.
        rest: the tasks behind it, which go with it where a failure would end the batch.
        task: the task.
        error: what it failed with.
    """
    host, options = batch.host, task.options
    attempt = attempt_of(task, batch)
    if options is None or not wants_retry(attempt, options, error):
        return False
    if batch.cut or batch.executor is None:  # it was reported; or the task has forked, and this
        return False  # is the child: the parent tries it again
    delay = _delay(task, attempt + 1, options)
    log.warning(
        "Background task %s (%s) failed in attempt %d of %d, and is tried again in %.3g s.",
        task.name,
        task.id,
        attempt,
        options.retries + 1,
        delay,
        exc_info=error,
        extra={"task_id": task.id, "task_event": "retried"},
    )
    host.record(failure("retried", task, error, attempt))
    batch.ended = task
    again = request_collector(host, asks=host.checks)
    again.tasks.append(task)
    again.has_options = True
    again.retried, again.attempt = task, attempt + 1
    again.host, again.executor, again.outcome = host, batch.executor, batch.outcome
    again.generation = batch.generation
    again.given = monotonic() + delay
    if host.stop_on_error:  # the others wait, and what waits for their first attempts
        for other in rest:
            batch.running = batch.ended = other
            again.tasks.append(other)
        again.after, batch.after = batch.after, None
    for each in again.tasks:
        each.context.run(source_var.set, again)
    try:
        executor_for(again).retry(again, delay)
    except BaseException as refusal:
        log.exception("%r does not try a task again.", batch.executor, extra={"task_id": task.id})
        for each in again.tasks:
            why = f"its executor failed ({refusal!r})"
            report(host, "lost", each, why, attempt_of(each, again))
        again.tasks.clear()
        again.retried = None
        if again.after is not None:
            again.after()
        if not isinstance(refusal, Exception):
            raise
    return True
