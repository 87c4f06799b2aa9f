"""One call to make later."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextvars import Context, copy_context
from functools import partial
from threading import RLock
from types import MappingProxyType, MethodType
from typing import Any, ParamSpec

from wsgibg._calls import binds, check_call
from wsgibg._names import Identity, named, put_name
from wsgibg._options import Task, TaskOptions, name_of
from wsgibg.exceptions import TaskRefused

__all__ = ["NO_KWARGS", "BackgroundTask", "identify", "refuse_call", "tasks_of", "unwrap", "use_of"]

P = ParamSpec("P")
#: Reentrant: a signal's handler that drains asks for ids as well.
_naming = RLock()
#: What most calls are given; one for all, since each dictionary would take 64 bytes.
NO_KWARGS: Mapping[str, Any] = MappingProxyType({})


def unwrap(func: Any) -> tuple[Any, TaskOptions | None]:
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
    __slots__ = (
        "_id",
        "_injected",
        "_injector",
        "_options",
        "args",
        "context",
        "func",
        "kwargs",
    )

    func: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    context: Context
    _id: Identity
    _options: TaskOptions
    #: The parameters that are resolved when it runs, and by whom (a `wsgibg._calling.Injecting`).
    _injected: tuple[str, ...]
    _injector: Any

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        refuse_call(cls, BackgroundTask)

    def __init__(self, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        self.func, options = unwrap(func)
        if options is not None:
            self._options = options
        injected = binds(self.func, args, kwargs)
        if injected is None:
            injected = check_call(self.func, args, kwargs)
        if injected:
            self._injected = injected
        self.args = args
        self.kwargs = kwargs or NO_KWARGS
        self.context = copy_context()

    @property
    def options(self) -> TaskOptions | None:
        """The options that its `Task` brought, if it was one."""
        return getattr(self, "_options", None)

    @property
    def injected(self) -> tuple[str, ...]:
        """The names of the parameters that are injected when it runs (mostly none)."""
        return getattr(self, "_injected", ())

    @property
    def special(self) -> bool:
        """Whether it brings options, or parameters to inject."""
        return hasattr(self, "_options") or hasattr(self, "_injected")

    @property
    def id(self) -> str:
        """A random name for this call, made when it is first read.

        From then on ``app.tasks.get(id)`` knows the task.
        """
        try:
            return self._id.id
        except AttributeError:
            identity = identify(self)
            put_name(identity)
            return identity.id

    @property
    def name(self) -> str:
        """Module and qualified name of the function."""
        return name_of(self.func)

    async def __call__(self) -> None:
        """Make the call here and now, as Starlette's class does.

        Raises:
            TaskRefused: it has parameters to inject, which only an application can.
        """
        if self.injected:
            names = ", ".join(map(repr, self.injected))
            msg = (
                f"{self.name}() has parameters to inject ({names}), and nobody here knows how."
                " Use app.call(), or give the task to a response."
            )
            raise TaskRefused(msg)
        result = self.func(*self.args, **self.kwargs)
        if inspect.isawaitable(result):
            await result

    def __repr__(self) -> str:
        return f"<BackgroundTask {self.name} {self.id}>"


def refuse_call(cls: type, base: type) -> None:
    """Refuse a subclass with a ``__call__`` of its own, which no executor would call.

    Starlette awaits the task; here its function is called in a thread, and its coroutine awaited.
    """
    if cls.__call__ is not base.__call__:
        msg = (
            f"{name_of(cls)} has a __call__ of its own, and nobody would call it: tasks are run by"
            " their executor, which calls the function. Put what is to happen around it into a"
            " function of its own, and pass that to add_task()."
        )
        raise TaskRefused(msg)


def identify(task: BackgroundTask) -> Identity:
    """Give a task its id, without anybody having asked for it."""
    try:
        return task._id
    except AttributeError:
        pass
    with _naming:
        made = Identity(task, uuid.uuid4().hex)
        try:
            return task._id
        except AttributeError:
            task._id = made  # no call since it was looked for, so no signal's handler came in
            return made


def use_of(task: BackgroundTask) -> BackgroundTask:
    """A hand-made task for one request: its maker may give it to several at the same time."""
    use = object.__new__(BackgroundTask)
    use.func, use.args, use.kwargs = task.func, task.args, task.kwargs
    use.context = task.context.copy()
    use._id = Identity(use, identify(task).id)
    if use._id.id in named:  # from here on it is this one that is asked for
        put_name(use._id)
    if task.options is not None:
        use._options = task.options
    if task.injected:
        use._injected = task.injected
    return use


def tasks_of(given: Any) -> list[BackgroundTask]:
    """What a collector that is made by hand begins with.

    Raises:
        TypeError: it is something else than tasks.
    """
    tasks = list(given) if isinstance(given, Iterable) else []
    if (given and not tasks) or not all(isinstance(each, BackgroundTask) for each in tasks):
        msg = (
            f"BackgroundTasks({given!r}): it takes a list of BackgroundTask, or nothing."
            " A Flask application is given to that of wsgibg.integrations.flask."
        )
        raise TypeError(msg)
    return tasks
