"""What a task function carries with it: the options of its background runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial, update_wrapper
from types import MethodType
from typing import Any, Generic, ParamSpec, TypedDict, TypeVar, Unpack, overload

from wsgibg.exceptions import TaskRefused
from wsgibg.records import When

__all__ = ["Task", "TaskOptions", "TaskOptionsDict", "When", "name_of", "task"]

P = ParamSpec("P")
R = TypeVar("R")


def name_of(func: Any) -> str:
    """The name by which logs and errors call a function: its module and qualified name."""
    while isinstance(func, partial):
        func = func.func
    name = getattr(func, "__qualname__", None) or type(func).__qualname__
    module = getattr(func, "__module__", None) or type(func).__module__
    return f"{module}.{name}"


class TaskOptionsDict(TypedDict, total=False):
    """The options of `task` and `Task.with_options`, as keyword arguments."""

    when: When
    executor: Any
    retries: int
    backoff: float
    jitter: float
    max_backoff: float
    retry_on: type[BaseException] | tuple[type[BaseException], ...]
    timeout: float | None


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """How one task is to be run.

    Args:
        when: the outcome of the request that the task waits for. ``"returned"``: the handler
            returned (the default, and FastAPI's rule); ``"delivered"``: as well, and the body
            was iterated to its end; ``"error"``: the request failed; ``"always"``: either.
        executor: the executor that runs it, as an object or by the name the app knows it under;
            by default the app's own.
        retries: how often the task is tried again when it fails; 0 is never. The tasks behind it
            do not wait for that, except under ``after_task_error="stop"``.
        backoff: seconds before the first retry; the wait doubles with every further one.
        jitter: by which part of itself each wait is made longer or shorter at random, 0 to 1.
        max_backoff: seconds that no wait exceeds.
        retry_on: the errors after which it is tried again, as a class or a tuple of classes; any
            other ends it at once.
        timeout: seconds that one attempt may take. What is awaited then, in an async task or in
            its dependencies, is cancelled, and the task has failed with ``TimeoutError``. A
            thread cannot be stopped: a sync task that takes longer is reported, and may ask
            ``current_task().cancelled``.

    Raises:
        TaskRefused: a value is impossible.
    """

    when: When = "returned"
    executor: Any = None
    retries: int = 0
    backoff: float = 1.0
    jitter: float = 0.1
    max_backoff: float = 600.0
    retry_on: type[BaseException] | tuple[type[BaseException], ...] = Exception
    timeout: float | None = None

    def __post_init__(self) -> None:
        if self.when not in ("returned", "delivered", "error", "always"):
            msg = (
                f"when={self.when!r} is not a condition of a task."
                ' Use "returned", "delivered", "error" or "always".'
            )
            raise TaskRefused(msg)
        named = self.executor is None or isinstance(self.executor, str)
        if not named and not callable(getattr(self.executor, "submit", None)):
            msg = f"executor={self.executor!r}: pass an executor, or the name the app gave to one."
            raise TaskRefused(msg)
        if type(self.retries) is not int or self.retries < 0:
            msg = f"retries={self.retries!r}: pass how often to try again, 0 or more."
            raise TaskRefused(msg)
        self._check_seconds("backoff", self.backoff)
        self._check_seconds("max_backoff", self.max_backoff)
        if not (_is_number(self.jitter) and 0 <= self.jitter <= 1):
            msg = f"jitter={self.jitter!r}: pass a part of the wait, between 0 and 1."
            raise TaskRefused(msg)
        if self.timeout is not None:
            self._check_seconds("timeout", self.timeout)
        classes = self.retry_on if isinstance(self.retry_on, tuple) else (self.retry_on,)
        if not all(isinstance(each, type) and issubclass(each, BaseException) for each in classes):
            msg = f"retry_on={self.retry_on!r}: pass an exception's class, or a tuple of them."
            raise TaskRefused(msg)

    def _check_seconds(self, name: str, value: float) -> None:
        if not (_is_number(value) and 0 <= value < float("inf")) or (
            name == "timeout" and value == 0
        ):
            least = "more than 0" if name == "timeout" else "0 or more"
            msg = f"{name}={value!r}: pass seconds, {least}."
            raise TaskRefused(msg)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _options(base: TaskOptions, changes: TaskOptionsDict) -> TaskOptions:
    known = {field.name for field in fields(TaskOptions)}
    for name in changes:
        if name not in known:
            msg = f"A task has no option {name!r}. Use one of {', '.join(sorted(known))}."
            raise TaskRefused(msg)
    return replace(base, **changes)


class Task(Generic[P, R]):
    """A function together with the options of its background runs; made by `task`.

    Calling it calls the function, at once and in place.
    """

    func: Callable[P, R]
    options: TaskOptions
    __wrapped__: Callable[P, R]

    def __init__(self, func: Callable[P, R], options: TaskOptions) -> None:
        update_wrapper(self, func)
        self.func = func
        self.options = options

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.func(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<task {name_of(self.func)}>"

    def with_options(self, **options: Unpack[TaskOptionsDict]) -> Task[P, R]:
        """The same function with other options; what is not named stays.

        Returns:
            A new `Task`; this one is unchanged.

        Raises:
            TaskRefused: an option does not exist or has an impossible value.
        """
        return Task(self.func, _options(self.options, options))


@overload
def task(func: Callable[P, R], /, **options: Unpack[TaskOptionsDict]) -> Task[P, R]: ...
@overload
def task(
    func: None = None, /, **options: Unpack[TaskOptionsDict]
) -> Callable[[Callable[P, R]], Task[P, R]]: ...
def task(func: Any = None, /, **options: Unpack[TaskOptionsDict]) -> Any:
    """Gives a function options for its background runs.

    Used as ``@task``, as ``@task(when="always")``, or as ``task(send, when="always")`` for a
    function that somebody else wrote.

    Args:
        func: the function; left out where `task` is called with options as a decorator.
        options: see `TaskOptions`.

    Returns:
        A `Task`, which still is the function when it is called.

    Example:
        >>> from wsgibg import task
        >>> @task(when="always")
        ... def audit(line: str) -> str:
        ...     return line.upper()
        >>> audit("login failed")
        'LOGIN FAILED'
        >>> audit.options.when
        'always'
    """
    if func is None:
        return lambda func: Task(func, _options(TaskOptions(), options))
    return Task(func, _options(TaskOptions(), options))
