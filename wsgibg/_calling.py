"""The contract of who resolves dependencies outside of requests, and the method that asks it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from wsgibg._task import BackgroundTask
from wsgibg.exceptions import FastAPIError

__all__ = ["Around", "AroundTask", "Calling", "Injecting", "injecting", "unlimited"]

P = ParamSpec("P")
R = TypeVar("R")


class Around(Protocol):
    """Puts something around what a task awaits, such as a time limit."""

    def __call__(self, awaitable: Awaitable[Any], *, leaving: bool = False) -> Awaitable[Any]:
        """What is awaited in its place.

        Args:
            awaitable: a dependency, the task itself, or an exit.
            leaving: whether it is an exit.
        """


def unlimited(awaitable: Awaitable[Any], *, leaving: bool = False) -> Awaitable[Any]:
    """Nothing around it."""
    del leaving
    return awaitable


#: Makes the context manager that an attempt of a task runs in.
AroundTask = Callable[[BackgroundTask], AbstractContextManager[object]]


class Injecting(Protocol):
    """Resolves what tasks, scripts and workers have injected; every application has one."""

    @property
    def overrides(self) -> Mapping[Any, Any]:
        """What takes the place of dependencies now; another object when that has changed."""

    def accept(self, task: BackgroundTask) -> None:
        """Take a task on, or raise `TaskRefused` if it asks for what only a request has."""

    def invoke(
        self,
        task: BackgroundTask,
        around: Around = unlimited,
        surroundings: Sequence[AroundTask] = (),
    ) -> Any:
        """Make a task's call: what it has injected, then itself, then the exits."""

    def call(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The same for a function that is called at once."""


class Calling:
    """Gives `call` to whoever knows somebody that injects."""

    injector: Injecting | None = None

    @overload
    def call(self, func: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def call(self, func: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    def call(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a function with its dependencies, outside of any request: in a script or worker.

        Parameters with the default ``Depends(f)`` or `Injected` that are left out are resolved
        as they are for a background task, with the application's ``dependency_overrides``. The
        exits of ``yield`` dependencies run after the function, and see what it raises. The
        background tasks that were added meanwhile are handed to their executor after them, or
        dropped and logged if the call failed.

        Args:
            func: a function or other callable; an async one is awaited on the process's loop.
            args: the positional arguments of the call.
            kwargs: the keyword arguments of the call.

        Returns:
            What the function returns.

        Raises:
            TaskRefused: it cannot be called in this way, or asks for what only a request has.
            BaseException: what the function, a dependency or an exit raises.

        Example:
            >>> from wsgibg import App, Depends
            >>> def greeting() -> str:
            ...     return "Hello"
            >>> def greet(name: str, word: str = Depends(greeting)) -> str:
            ...     return f"{word}, {name}!"
            >>> App().call(greet, "Ada")
            'Hello, Ada!'
        """
        return injecting(self.injector).call(func, args, kwargs)


def injecting(found: Injecting | None) -> Injecting:
    """Who injects, where somebody does.

    Raises:
        FastAPIError: nobody does.
    """
    if found is None:
        msg = (
            "A TaskManager that belongs to no application cannot inject."
            " Give it to App(tasks=...) or wrap(tasks=...) first."
        )
        raise FastAPIError(msg)
    return found
