"""What a background task is: a call to make later, gathered in order by a collector.

Nothing here runs a task. That is an executor's work (`wsgibg.executors`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar, copy_context
from types import FunctionType
from typing import Any, NoReturn, ParamSpec, Protocol, Self

from wsgibg._calls import ODD
from wsgibg._injected import Injected
from wsgibg._observers import observers
from wsgibg._options import Task, TaskOptions, TaskOptionsDict, When, task
from wsgibg._running import TaskContext, current_task
from wsgibg._task import NO_KWARGS, BackgroundTask, refuse_call, tasks_of, use_of
from wsgibg.exceptions import TaskRefused
from wsgibg.records import RETURNED, Outcome, TaskEvent, TaskProgress, TaskRecord, TaskState

__all__ = [
    "BackgroundTask",
    "BackgroundTasks",
    "Injected",
    "Task",
    "TaskContext",
    "TaskEvent",
    "TaskOptions",
    "TaskOptionsDict",
    "TaskProgress",
    "TaskRecord",
    "TaskSink",
    "TaskSource",
    "TaskState",
    "When",
    "current_task",
    "current_tasks",
    "task",
]

P = ParamSpec("P")
log: logging.Logger = logging.getLogger("wsgibg.background")
_new = object.__new__
_NOTHING: Any = object()  # no function, not even a wrong one such as None


# ------------------------------------------------------------------ the collector
class TaskSink(Protocol):
    """Who is asked about each task that is added to a collector."""

    def accept(self, task: BackgroundTask) -> None:
        """Take note of the task, or raise to refuse it."""


class _Closed:
    """The sink of a collector whose request is over."""

    def accept(self, task: BackgroundTask) -> None:
        msg = (
            f"add_task({task.name}) came after its request and its tasks had ended, so nothing"
            " would run it. Add tasks before the response ends, or start a thread of your own."
        )
        raise TaskRefused(msg)


CLOSED: TaskSink = _Closed()


class _Sealed(list[BackgroundTask]):
    """The list of a collector that is over: nothing goes in."""

    def append(self, task: BackgroundTask) -> None:
        CLOSED.accept(task)


_SEALED = _Sealed()


class _HandedOn(list[BackgroundTask]):
    """The list of a collector whose tasks another one has: what comes late goes there as well.

    It is never that one's own list, which is exchanged when its batch has come to its end.
    """

    def __init__(self, other: BackgroundTasks) -> None:
        super().__init__()
        self.other = other

    def append(self, task: BackgroundTask) -> None:
        self.other.has_options = self.other.has_options or task.special
        self.other.tasks.append(task)


def _warn_unadopted(tasks: BackgroundTasks) -> None:
    """Say that a collector which somebody made is thrown away with its tasks."""
    if getattr(tasks, "tasks", None) and tasks.sink is None and tasks.forward is None:
        log.warning(
            "A BackgroundTasks that was made by hand was thrown away with its tasks (%s): return"
            " it from a dependency, give it to a response, or take the request's own collector.",
            ", ".join(task.name for task in tasks.tasks),
        )
        for observer in tuple(observers):
            for task in tasks.tasks:
                observer.not_run(None, "dropped", task, "its collector was thrown away")


class BackgroundTasks:
    """The calls to make after the response, in order.

    A parameter of this type gets the request's one collector, in the handler and in every
    dependency (FastAPI's rule). Made by hand, it is given to a response or returned from a
    dependency.

    Args:
        tasks: tasks to begin with.

    Example:
        >>> from wsgibg import BackgroundTasks
        >>> tasks = BackgroundTasks()
        >>> tasks.add_task(print, "sent").args
        ('sent',)
        >>> tasks.tasks.clear()
    """

    tasks: list[BackgroundTask]
    #: Who is asked about tasks that are special, and about every task if `asks`.
    sink: TaskSink | None = None
    asks: bool = False
    #: Whether a task of it is special: it brings options, or parameters to inject.
    has_options: bool = False
    #: The plain function that was added last, and with how many arguments: it takes them again.
    known: Any = _NOTHING
    known_args: int = 0
    #: A batch's `wsgibg.executors.TaskHost`: who hears of its tasks.
    host: Any = None
    #: The executor that a batch was submitted to.
    executor: Any = None
    #: When that was, by `time.monotonic`, if somebody watches (of a retry: when it is due).
    given: float | None = None
    #: What durable executors hold of it.
    held: tuple[BackgroundTask, ...] = ()
    #: How the request of a batch ended.
    outcome: Outcome = RETURNED
    #: The task of a batch that was taken last, and the one that has ended last.
    running: BackgroundTask | None = None
    ended: BackgroundTask | None = None
    #: The attempt that is under way, if the options of its task ask for more than a call.
    trial: Any = None
    #: The first task of a batch where that is tried again, and the number of its attempt.
    retried: BackgroundTask | None = None
    attempt: int = 1
    #: The tasks of a batch that nobody has taken yet; each goes to one taker, in any thread.
    pending: Iterator[BackgroundTask] | None = None
    #: The batch one of whose tasks has this one run in its own thread.
    around: Any = None
    #: How many batches came before it, each of which had a task that had the next one run.
    generation: int = 0
    #: Why a batch is cut short: none of its tasks starts any more.
    cut: str = ""
    #: What is to be called once all tasks of a batch had their first attempt.
    after: Callable[[], None] | None = None
    #: The collector that takes what is added to this one, since it took over its tasks.
    forward: BackgroundTasks | None = None

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Make one that says so if it is thrown away with its tasks."""
        return _new(_HandMade if cls is BackgroundTasks else cls)  # type: ignore[return-value]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        refuse_call(cls, BackgroundTasks)
        cls.__del__ = _warn_unadopted  # type: ignore[attr-defined]

    def __init__(self, tasks: Iterable[BackgroundTask] | None = None) -> None:
        self.tasks = tasks_of(tasks)
        self.has_options = any(task.special for task in self.tasks)

    def add_task(self, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> BackgroundTask:
        """Add a call, to be made after the response and after the tasks added before it.

        Args:
            func: a function or any other callable, sync or async; a `Task` brings its options.
            args: the positional arguments of the call.
            kwargs: the keyword arguments of the call.

        Returns:
            The task; its ``id`` names it in logs and hooks.

        Raises:
            TaskRefused: the call could never succeed, or the request is over.

        Example:
            >>> from wsgibg import BackgroundTasks
            >>> BackgroundTasks().add_task(print, 1, 2, separator="-")
            Traceback (most recent call last):
            ...
            wsgibg.exceptions.TaskRefused: builtins.print(...) does not take these arguments: ...
        """
        # PERF: a plain function's code object tells its arity at once (0.12 µs, inspect takes 9),
        # the function that was added before need not be asked again (0.02 µs), and the task is
        # made here instead of by its __init__ (0.2 µs instead of 0.7).
        if kwargs or func is not self.known or len(args) != self.known_args:
            if (
                kwargs
                or self.asks
                or type(func) is not FunctionType
                or (code := func.__code__).co_argcount != len(args)
                or code.co_flags & ODD
                or code.co_kwonlyargcount
            ):
                task = BackgroundTask(func, *args, **kwargs)
                self.adopt_all([task])
                return task
            self.known = _NOTHING  # never the new function with the old count, in no thread
            self.known_args = len(args)
            self.known = func
        task = _new(BackgroundTask)
        task.func = func
        task.args = args
        task.kwargs = NO_KWARGS
        task.context = copy_context()
        self.tasks.append(task)
        return task

    def adopt(self, background: BackgroundTask | BackgroundTasks) -> None:
        """Move the tasks of a hand-made collector (or one task) to the end of this one.

        What is added to the other collector later is added to this one.
        """
        if isinstance(background, BackgroundTask):
            self.adopt_all([use_of(background)])
            return
        if background is self or background.forward is self:
            return
        if background.sink is not None or background.forward is not None:
            msg = (
                "A BackgroundTasks was given to a second request: its tasks ran after the"
                " first. Make one for each request, or take the request's own."
            )
            raise TaskRefused(msg)
        # One by one: if one is refused, those behind it are still where their maker put them.
        while background.tasks:
            self.adopt_all([use_of(background.tasks.pop(0))])
        for late in background.hand_on_to(self):  # a thread has just added it
            self.adopt_all([use_of(late)])

    def hand_on_to(self, other: BackgroundTasks) -> list[BackgroundTask]:
        """Have another collector take whatever is added from now on.

        Returns:
            What there was so far.
        """
        left, self.tasks = self.tasks, _HandedOn(other)
        self.asks = True
        self.known = _NOTHING
        self.forward = other
        return left

    def adopt_all(self, tasks: Iterable[BackgroundTask]) -> None:
        """Add tasks that were made elsewhere, each as if it were added here."""
        if self.forward is not None:
            for each in tasks:
                end = self._open_end()
                try:
                    end.adopt_all((each,))
                except TaskRefused:
                    if end is (here := self._open_end()):
                        raise
                    here.adopt_all((each,))  # the other one has ended just now
            return
        for each in tasks:
            special = each.special
            if (self.asks or special) and self.sink is not None:
                self.sink.accept(each)
            self.has_options = self.has_options or special or bool(observers)
            self.tasks.append(each)

    def _open_end(self) -> BackgroundTasks:
        """Who takes what is added, since another has the tasks: that one, while it runs.

        A task of the same request may run longer, by another executor or in a later attempt. Then
        it is its own batch.
        """
        end = self.forward or self
        here = source_var.get()
        return here if end.sink is CLOSED and isinstance(here, BackgroundTasks) else end

    def collector(self) -> BackgroundTasks:
        """Itself: a batch is what `current_tasks` gives inside its tasks."""
        return self

    async def __call__(self) -> None:
        """Make the calls here and now, in order, as Starlette's class does."""
        while self.tasks:
            await self.tasks.pop(0)()

    def __copy__(self) -> NoReturn:
        msg = "A BackgroundTasks cannot be copied: its tasks would run twice, or never."
        raise TypeError(msg)

    def __repr__(self) -> str:
        return f"<BackgroundTasks {self.tasks!r}>"


def request_collector(
    sink: TaskSink | None,
    asks: bool = False,
    kind: type[BackgroundTasks] = BackgroundTasks,
) -> BackgroundTasks:
    """A request's own collector; no finalizer watches over it, its request does.

    Args:
        sink: who is asked about tasks that are special.
        asks: whether it is asked about every task.
        kind: the subclass that a parameter's annotation asks for.
    """
    tasks: BackgroundTasks
    if kind is BackgroundTasks:
        tasks = _new(BackgroundTasks)
        tasks.tasks = []
    else:
        tasks = kind()
        if "tasks" not in vars(tasks):  # its __init__ did without ours
            tasks.tasks = []
    tasks.sink = sink
    if asks:
        tasks.asks = True
    return tasks


class _HandMade(BackgroundTasks):
    """A collector that somebody made by calling ``BackgroundTasks()``."""


_HandMade.__name__ = _HandMade.__qualname__ = "BackgroundTasks"


def ask_always(tasks: BackgroundTasks) -> None:
    """Have its sink asked about every task from now on, whatever was added before."""
    tasks.asks = True
    tasks.known = _NOTHING


def seal(tasks: BackgroundTasks) -> list[BackgroundTask]:
    """Refuse what would be added from now on.

    The list is exchanged, not emptied: a thread that is just adding has either added to the old
    one, or is refused.

    Returns:
        What was collected; the caller has to see to every task of it.
    """
    left, tasks.tasks = tasks.tasks, _SEALED
    tasks.sink = CLOSED
    ask_always(tasks)
    return left


# ------------------------------------------------------------------ where am I
class TaskSource(Protocol):
    """What has a collector: a request, or a batch that is running."""

    def collector(self) -> BackgroundTasks:
        """The collector, made on first use."""


#: The request (or batch) that this context belongs to.
source_var: ContextVar[TaskSource | None] = ContextVar("wsgibg.request", default=None)


def current_tasks() -> BackgroundTasks:
    """The collector of the request that is being handled, or of the batch that is running.

    Returns:
        The same object as a ``BackgroundTasks`` parameter of the handler gets.

    Raises:
        RuntimeError: no request of an `App` or of a wrapped application is being handled here.
    """
    source = source_var.get()
    if source is None:
        msg = (
            "current_tasks() was called outside a request. Call it while a request is handled"
            " by an App, or by an application inside wsgibg.wrap(): one that is not wrapped has"
            " no collector. In a thread you started, run the function in"
            " contextvars.copy_context()."
        )
        raise RuntimeError(msg)
    return source.collector()
