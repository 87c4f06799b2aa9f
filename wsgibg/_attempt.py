"""One pass over a batch: each task is called in its own context and its failure is told."""

from __future__ import annotations

import inspect
import logging
import signal
import threading
import traceback
from collections.abc import Awaitable, Iterator
from contextvars import Context
from itertools import islice
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from wsgibg import _running
from wsgibg._aio import can_suspend, lend, sequence
from wsgibg._calling import unlimited
from wsgibg._calls import is_async
from wsgibg._names import named
from wsgibg._observers import observers
from wsgibg._report import IS_ENDLESS, failure, report
from wsgibg._running import attempt_of, context_of, task_var
from wsgibg._task import NO_KWARGS
from wsgibg._trial import begin, end, tried_again
from wsgibg.background import BackgroundTask, BackgroundTasks, seal
from wsgibg.exceptions import TaskRefused
from wsgibg.records import TaskEvent

__all__ = [
    "MAX_ADDED",
    "behind",
    "cut_short",
    "cuts",
    "interrupted",
    "leave_batch",
    "raised_by_signal",
    "run_batch",
]

log = logging.getLogger("wsgibg.background")

#: How many tasks the tasks of one batch may add to it: a task that adds itself comes to an end.
MAX_ADDED: int = 100_000

#: Has something in it once a batch of this process was cut short.
cuts: set[bool] = set()
#: Tasks that were reported as interrupted and run on, by the identity of their batch.
interrupted: dict[int, BackgroundTask] = {}

_STOPPED = "the server stopped the thread that ran its batch"
_ENDLESS = f"the tasks of its batch had added %d tasks, {IS_ENDLESS}"


def run_batch(batch: BackgroundTasks) -> None:
    """Run every task of the batch once, in order, those included that its tasks add.

    Raises:
        BaseException: only what a signal handler raised while a task ran (the server's own
            way to stop a thread); what was left is reported first.
    """
    place = _running.here.place
    outer, left = place.batch, batch.tasks
    try:
        if outer is not None:
            batch.around = outer
        place.batch = batch
        # The iterator of a list goes on with what is appended meanwhile.
        limit = len(left) + MAX_ADDED
        pending = batch.pending = islice(left, limit)
        # Whoever cuts a batch short says so first and then looks what is pending; here it is the
        # other way round, so one of the two sees the other, and each task has its report.
        if not (cuts and batch.cut):
            run_pending(batch, pending)
        left = seal(batch)
        if left and left[-1] is not batch.running:
            left = _run_late(batch, left, limit)
    except BaseException as error:
        task = batch.running
        # (what was told at the end of the process is not told again at that of the loop)
        if task not in (None, batch.ended, interrupted.get(id(batch))):
            reason = f"the server stopped its thread ({error!r})"
            report(batch.host, "interrupted", task, reason, attempt_of(task, batch))
        _report_lost(batch, behind(batch.running, seal(batch)), _STOPPED)
        if batch.trial is not None:
            end(batch)
        batch.retried = None
        raise
    finally:
        place.batch = outer
        if interrupted:
            _tell_of_end(batch)
        batch.running = batch.ended = None
        left.clear()
        if batch.after is not None:
            leave_batch(batch)


def _run_late(
    batch: BackgroundTasks, left: list[BackgroundTask], limit: int
) -> list[BackgroundTask]:
    """Run what a thread, or a child of an async task, has added after the last look.

    Args:
        batch: the batch, which is sealed.
        left: the tasks that it had.
        limit: how many it may have in all.

    Returns:
        The list that is to be emptied.
    """
    while left and left[-1] is not batch.running:
        rest = behind(batch.running, left)
        reason = batch.cut or (_ENDLESS % MAX_ADDED if len(left) > limit else "")
        if reason:
            _report_lost(batch, rest, reason)
            break
        late = batch.pending = iter(rest)
        batch.tasks = rest
        if not batch.cut:
            run_pending(batch, late)
        left = seal(batch)
    return left


def cut_short(batch: BackgroundTasks, reason: str) -> None:
    """Have no further task of a batch start, whoever is at it.

    PERF: a batch itself is asked only where any was cut short, 0.04 µs a batch.
    """
    cuts.add(True)
    batch.cut = reason


def _report_lost(batch: BackgroundTasks, tasks: list[BackgroundTask], reason: str) -> None:
    for task in tasks:
        report(batch.host, "lost", task, reason, attempt_of(task, batch))


def _tell_of_end(batch: BackgroundTasks) -> None:
    """Warn that a task was reported too early."""
    task = interrupted.pop(id(batch), None)
    if task is not None:
        log.warning(
            "Background task %s (%s), which was reported as interrupted, came to its end.",
            task.name,
            task.id,
            extra={"task_id": task.id},
        )


def behind(last: BackgroundTask | None, tasks: list[BackgroundTask]) -> list[BackgroundTask]:
    """The tasks behind one of them (all, if it is none of them)."""
    position = len(tasks)
    while position and tasks[position - 1] is not last:
        position -= 1
    return tasks[position:]


def leave_batch(batch: BackgroundTasks) -> None:
    """Call what waits for the batch, which is let go of: it may refer to the batch's request."""
    if batch.after is not None:
        after, batch.after = batch.after, None
        after()


def run_pending(  # noqa: C901 (divided, it would cost 0.06 µs a task for each function)
    batch: BackgroundTasks,
    pending: Iterator[BackgroundTask],
    rest: Iterator[BackgroundTask] | None = None,
) -> None:
    """Run the tasks of a batch that an iterator still has.

    Args:
        batch: the batch.
        pending: the tasks to run.
        rest: what comes after them, and is dropped as well where a failure ends the batch.
    """
    # The dictionary itself: a task may get its name while it runs, by asking for its id.
    watched, known = named, False
    if batch.host.watched or named:
        known = True
    for task in pending:
        # First of all: whatever interrupts this thread from here on, the task is reported.
        batch.running = task
        if batch.has_options:
            if batch.host.reroute(batch, task):
                continue
            begin(batch, task)
            known = True
            if task.injected or batch.host.surroundings:
                _run_injected(batch, rest or pending, task)
                continue
        if known:
            batch.host.record(TaskEvent("started", task, attempt=attempt_of(task, batch)))
        args = task.args
        try:
            # PERF: without unpacking, 0.07 µs instead of 0.14 a task.
            if len(args) == 1 and task.kwargs is NO_KWARGS:
                result = task.context.run(task.func, args[0])
            else:
                result = task.context.run(task.func, *args, **task.kwargs)
            if type(result) is CoroutineType and batch.host.lends and not can_suspend(task.func):
                # PERF: on the lent loop, 2 µs instead of the 25 of a hop.
                result = task.context.run(lend, result)
            if result is not None:
                _check_result(task, result)
        except BaseException as error:
            if not isinstance(error, Exception) and raised_by_signal(error):
                raise
            _failed(batch, rest or pending, task, error)
            continue
        if result is not None and (type(result) is CoroutineType or inspect.isawaitable(result)):
            _Hop(batch, pending, rest or pending, task, result).run()
        elif known or watched:
            _succeeded(batch, task)
        else:
            batch.ended = task


def _run_injected(
    batch: BackgroundTasks, rest: Iterator[BackgroundTask], task: BackgroundTask
) -> None:
    """Run a task whose dependencies are resolved first; async or not, it has ended then."""
    batch.host.record(TaskEvent("started", task, attempt=attempt_of(task, batch)))
    around = unlimited if batch.trial is None else batch.trial.limit
    try:
        _check_result(task, batch.host.invoke(task, around))
    except BaseException as error:
        if not isinstance(error, Exception) and raised_by_signal(error):
            raise
        _failed(batch, rest, task, error)
        return
    _succeeded(batch, task)


def _check_result(task: BackgroundTask, result: Any) -> None:
    """Refuse a generator that has not begun, of which nobody would run a line."""
    if (
        inspect.getgeneratorstate(result) == inspect.GEN_CREATED
        if type(result) is GeneratorType
        else type(result) is AsyncGeneratorType and result.ag_frame is not None
    ):
        msg = (
            f"{task.name}() returned a generator, and nothing of it ran."
            " Pass a function that iterates over it."
        )
        raise TaskRefused(msg)


def _succeeded(batch: BackgroundTasks, task: BackgroundTask) -> None:
    if batch.trial is not None:
        end(batch)
    batch.ended = task
    if _is_watched(batch):
        batch.host.record(TaskEvent("succeeded", task, attempt=attempt_of(task, batch)))
    batch.retried = None  # it, its context and the batch were a cycle


def _is_watched(batch: BackgroundTasks) -> bool:
    """Whether somebody may want to know of the batch's tasks."""
    return bool(batch.has_options or batch.host.watched or named)


def _failed(
    batch: BackgroundTasks,
    pending: Iterator[BackgroundTask],
    task: BackgroundTask,
    error: BaseException,
) -> None:
    """Tell of a failure, and drop the tasks after it if it ends the batch."""
    host = batch.host
    if batch.trial is not None:
        end(batch)
        if tried_again(batch, pending, task, error):
            batch.retried = None
            return
    log.error(
        "Background task %s (%s) failed.",
        task.name,
        task.id,
        exc_info=error,
        extra={"task_id": task.id, "task_event": "failed"},
    )
    batch.ended = task
    host.record(failure("failed", task, error, attempt_of(task, batch)))
    for observer in tuple(observers):
        observer.failed(task, error)
    batch.retried = None
    if host.stop_on_error:
        for other in pending:
            batch.running = batch.ended = other
            report(host, "dropped", other, f"{task.name} failed before it, in the same batch")


def _coroutine(awaitable: Any) -> Any:
    return awaitable if type(awaitable) is CoroutineType else _awaiting(awaitable)


async def _awaiting(awaitable: Awaitable[Any]) -> None:
    await awaitable


class _Hop:
    """An async task and the coroutine functions right behind it: one visit to the loop."""

    def __init__(
        self,
        batch: BackgroundTasks,
        pending: Iterator[BackgroundTask],
        rest: Iterator[BackgroundTask],
        task: BackgroundTask,
        awaitable: Any,
    ) -> None:
        self.batch = batch
        self.pending = pending
        self.rest = rest
        self.task = task
        self.awaitable = _coroutine(awaitable)
        #: What the task has failed with.
        self.error: BaseException | None = None
        #: A task that was taken from the iterator and is not async: it comes next.
        self.other: BackgroundTask | None = None

    def run(self) -> None:
        try:
            sequence(self._jobs(), self._ended)
            if self.error is not None:
                _failed(self.batch, self.rest, self.task, self.error)
        except BaseException:
            # The wait was interrupted: by a signal's handler, or by the end of the loop.
            if inspect.getcoroutinestate(self.awaitable) == inspect.CORO_CREATED:
                self.awaitable.close()  # it will not be run, and need not warn of that
            raise
        finally:
            self.error = None
        if self.other is not None:
            run_pending(self.batch, iter((self.other,)), self.rest)

    def _jobs(self) -> Iterator[tuple[Context, Any]]:
        # Runs on the loop's thread, which takes the next job when the one before has ended.
        while True:
            batch, awaitable = self.batch, self.awaitable
            batch.running = task = self.task
            context = task.context.copy()  # a copy, or the task and its context were a cycle
            context.run(task_var.set, context_of(task, batch))
            if batch.trial is not None:
                awaitable = batch.trial.limit(awaitable)
            yield context, awaitable
            del context
            # Only now: had the wait been interrupted, the error would not be the task's own.
            if self.error is not None:
                if self.batch.has_options:
                    return  # its thread tells of it, and may have it tried again
                _failed(self.batch, self.rest, task, self.error)
                self.error = None
            if not self._next():
                return

    def _next(self) -> bool:
        """Take the next task and call it, for its coroutine; those that fail there are told."""
        for task in self.pending:
            self.batch.running = task
            if self.batch.has_options or not is_async(task.func):
                self.other = task
                return False
            if _is_watched(self.batch):
                self.batch.host.record(TaskEvent("started", task))
            try:
                made = task.context.run(task.func, *task.args, **task.kwargs)
            except BaseException as error:  # noqa: BLE001 (no signal handler runs in this thread)
                _failed(self.batch, self.rest, task, error)
                continue
            self.task, self.awaitable = task, _coroutine(made)
            return True
        return False

    def _ended(self, error: BaseException | None) -> None:
        self.error = error
        if error is None:
            _succeeded(self.batch, self.task)


def raised_by_signal(error: BaseException) -> bool:
    """Whether a signal handler raised it: then it is the server's, not the task's."""
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    if isinstance(error, KeyboardInterrupt) and signal.default_int_handler in handlers:
        # The default handler is written in C and leaves no frame.
        return threading.current_thread() is threading.main_thread()
    codes = {
        code
        for handler in handlers
        if (code := getattr(getattr(handler, "__func__", handler), "__code__", None)) is not None
    }
    return any(frame.f_code in codes for frame, _ in traceback.walk_tb(error.__traceback__))
