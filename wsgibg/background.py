"""What a background task is: a call to make later, gathered in order by a collector.

Nothing here runs a task. That is an executor's work (`wsgibg.executors`).
"""

from __future__ import annotations

import inspect
import logging
import uuid
import weakref
from collections.abc import Callable, Iterable
from contextvars import Context, ContextVar, copy_context
from functools import partial
from threading import Lock
from types import FunctionType, MethodType
from typing import Any, ParamSpec, Protocol

from wsgibg._calls import ODD, binds, check_call
from wsgibg._options import Task, TaskOptions, TaskOptionsDict, When, name_of, task
from wsgibg._running import Injected, TaskContext, current_task
from wsgibg.exceptions import TaskRefused
from wsgibg.records import RETURNED, Outcome, TaskEvent

__all__ = [
    "BackgroundTask",
    "BackgroundTasks",
    "Injected",
    "Task",
    "TaskContext",
    "TaskEvent",
    "TaskOptions",
    "TaskOptionsDict",
    "TaskSink",
    "TaskSource",
    "When",
    "current_task",
    "current_tasks",
    "task",
]

P = ParamSpec("P")
log: logging.Logger = logging.getLogger("wsgibg.background")
_new = object.__new__
_naming = Lock()
_NOTHING: Any = object()  # no function, not even a wrong one such as None


# ------------------------------------------------------------------ one task
def _unwrap(func: Any) -> tuple[Any, TaskOptions | None]:
    """A `Task` (or a method made by one) as the callable and its options."""
    if isinstance(func, Task):
        return func.func, func.options
    if type(func) is MethodType and isinstance(func.__func__, Task):
        bound = func.__func__
        return MethodType(bound.func, func.__self__), bound.options
    if type(func) is partial and isinstance(func.func, Task):
        return partial(func.func.func, *func.args, **func.keywords), func.func.options
    return func, None


class BackgroundTask:
    """One call to make after the response was sent.

    Args:
        func: a function or any other callable, sync or async; a `Task` brings its options.
        args: the positional arguments of the call.
        kwargs: the keyword arguments of the call.

    Raises:
        TaskRefused: `func` cannot be called with these arguments.

    The `contextvars` context is copied now, so that the call sees the variables of this place.
    As in Starlette it may be given to a response (``Response(..., background=task)``) or be
    awaited (``await task()``).

    Example:
        >>> from wsgibg import BackgroundTask
        >>> BackgroundTask(print, "sent", end="!").args
        ('sent',)
    """

    # What most tasks do not have is left unset: each slot set costs 0.02 µs a task.
    __slots__ = ("_id", "_options", "args", "context", "func", "kwargs")

    func: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    context: Context
    _id: str
    _options: TaskOptions

    def __init__(self, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        self.func, options = _unwrap(func)
        if options is not None:
            self._options = options
        if not binds(self.func, args, kwargs):
            check_call(self.func, args, kwargs)
        self.args = args
        self.kwargs = kwargs
        self.context = copy_context()

    @property
    def options(self) -> TaskOptions | None:
        """The options that its `Task` brought, if it was one."""
        return getattr(self, "_options", None)

    @property
    def id(self) -> str:
        """A random name for this call, made when it is first read."""
        try:
            return self._id
        except AttributeError:
            with _naming:
                if not hasattr(self, "_id"):
                    self._id = uuid.uuid4().hex
            return self._id

    @property
    def name(self) -> str:
        """Module and qualified name of the function."""
        return name_of(self.func)

    async def __call__(self) -> None:
        """Make the call here and now, as Starlette's class does."""
        result = self.func(*self.args, **self.kwargs)
        if inspect.isawaitable(result):
            await result

    def __repr__(self) -> str:
        return f"<BackgroundTask {self.name} {self.id}>"


def _use_of(task: BackgroundTask) -> BackgroundTask:
    """A hand-made task for one request: its maker may give it to several at the same time."""
    use = _new(BackgroundTask)
    use.func, use.args, use.kwargs = task.func, task.args, task.kwargs
    use.context = task.context.copy()
    use._id = task.id
    if task.options is not None:
        use._options = task.options
    return use


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


def _warn_unadopted(tasks: list[BackgroundTask]) -> None:
    if tasks:
        names = ", ".join(task.name for task in tasks)
        log.warning(
            "A BackgroundTasks that was made by hand was thrown away with its tasks (%s): return"
            " it from a dependency, give it to a response, or take the request's own collector.",
            names,
        )


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
    #: Who is asked about tasks that bring options, and about every task if `asks`.
    sink: TaskSink | None = None
    asks: bool = False
    has_options: bool = False
    #: The plain function that was added last, and with how many arguments: it takes them again.
    known: Any = _NOTHING
    known_args: int = 0
    #: A batch's `wsgibg.executors.TaskHost`: who hears of its tasks.
    host: Any = None
    #: The executor that a batch was submitted to.
    executor: Any = None
    #: What durable executors hold of it.
    held: tuple[BackgroundTask, ...] = ()
    #: How the request of a batch ended.
    outcome: Outcome = RETURNED
    #: The task of a batch that is running.
    running: BackgroundTask | None = None
    #: What is to be called once all tasks of a batch had their first attempt.
    after: Callable[[], None] | None = None
    _finalizer: weakref.finalize[[list[BackgroundTask]], BackgroundTasks]

    def __init__(self, tasks: Iterable[BackgroundTask] | None = None) -> None:
        self.tasks = list(tasks or ())
        self.has_options = any(task.options is not None for task in self.tasks)
        self._finalizer = weakref.finalize(self, _warn_unadopted, self.tasks)
        self._finalizer.atexit = False

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
        task.kwargs = kwargs
        task.context = copy_context()
        self.tasks.append(task)
        return task

    def adopt(self, background: BackgroundTask | BackgroundTasks) -> None:
        """Move the tasks of a hand-made collector (or one task) to the end of this one.

        What is added to the other collector later is added to this one.
        """
        if isinstance(background, BackgroundTask):
            self.adopt_all([_use_of(background)])
        elif background.tasks is not self.tasks:
            if background.sink is not None:
                msg = (
                    "A BackgroundTasks was given to a second request: its tasks ran after the"
                    " first. Make one for each request, or take the request's own."
                )
                raise TaskRefused(msg)
            # One by one: if one is refused, those behind it are still where their maker put them.
            while background.tasks:
                self.adopt_all([_use_of(background.tasks.pop(0))])
            # What is added to it from now on is added here.
            background.tasks = self.tasks
            background.sink = self.sink
            background.asks = True
            background.known = _NOTHING

    def adopt_all(self, tasks: Iterable[BackgroundTask]) -> None:
        """Add tasks that were made elsewhere, each as if it were added here."""
        for each in tasks:
            if (self.asks or each.options is not None) and self.sink is not None:
                self.sink.accept(each)
            self.has_options = self.has_options or each.options is not None
            self.tasks.append(each)

    def collector(self) -> BackgroundTasks:
        """Itself: a batch is what `current_tasks` gives inside its tasks."""
        return self

    async def __call__(self) -> None:
        """Make the calls here and now, in order, as Starlette's class does."""
        for each in self.tasks:
            await each()
        self.tasks.clear()

    def __repr__(self) -> str:
        return f"<BackgroundTasks {self.tasks!r}>"


def request_collector(
    sink: TaskSink | None,
    asks: bool = False,
    kind: type[BackgroundTasks] = BackgroundTasks,
) -> BackgroundTasks:
    """A request's own collector; no finalizer watches over it, its request does.

    Args:
        sink: who is asked about tasks that bring options.
        asks: whether it is asked about every task.
        kind: the subclass that a parameter's annotation asks for.
    """
    tasks: BackgroundTasks
    if kind is BackgroundTasks:
        tasks = _new(BackgroundTasks)
        tasks.tasks = []
    else:
        tasks = kind()
        finalizer = getattr(tasks, "_finalizer", None)
        if finalizer is None:  # its __init__ did without ours
            tasks.tasks = []
        else:
            finalizer.detach()
    tasks.sink = sink
    if asks:
        tasks.asks = True
    return tasks


def close_collector(tasks: BackgroundTasks) -> None:
    """Let go of a collector's tasks and refuse what would be added from now on."""
    tasks.tasks.clear()
    tasks.sink = CLOSED
    tasks.asks = True
    tasks.known = _NOTHING


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
            " by an App, or by an application inside wsgibg.wrap(); in a thread you started,"
            " run the function in contextvars.copy_context()."
        )
        raise RuntimeError(msg)
    return source.collector()
