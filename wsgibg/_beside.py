"""Steps that are taken beside a context which this thread cannot leave: that of a framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from contextvars import Context, ContextVar, Token, copy_context
from typing import Any

from wsgibg._aio import lend, run
from wsgibg._exits import thrown

__all__ = ["Beside", "Stepped"]

_UNSET: Any = object()


class Beside:
    """A context like the current one, for what the loop or another thread is to run.

    The loop cannot enter the framework's own context while a view runs in it. So variables are
    carried over before each step, and what the step has set is carried back.

    Args:
        shows: whether it is carried back.
    """

    def __init__(self, *, shows: bool = True) -> None:
        self.shows = shows
        self.context: Context = copy_context()
        self._shown: dict[ContextVar[Any], Token[Any]] = {}

    def wait(self, awaitable: Awaitable[Any]) -> Any:
        """Run an awaitable on the loop, and wait for it."""
        return self._carried(run, awaitable, self.context)

    def run(self, step: Callable[..., Any], *args: Any) -> Any:
        """Take a step in the context, in this thread."""
        return self._carried(self.context.run, step, *args)

    def _carried(self, step: Callable[..., Any], *args: Any) -> Any:
        self.context.run(_take_over, copy_context().items())
        try:
            return step(*args)
        finally:
            if self.shows:
                self._show()

    def _show(self) -> None:
        for var, token in _take_over(self.context.items()).items():
            self._shown.setdefault(var, token)
        for var in [each for each in self._shown if each not in self.context]:
            with suppress(ValueError):  # it ends in another context than it has begun in
                var.reset(self._shown.pop(var))


def _take_over(items: Iterable[tuple[ContextVar[Any], Any]]) -> dict[ContextVar[Any], Token[Any]]:
    """Set what is different in the current context."""
    return {var: var.set(value) for var, value in items if var.get(_UNSET) is not value}


class Stepped:
    """A generator, sync or async, as a sync one whose steps are taken in a way of their own.

    Args:
        generator: a generator that is not entered yet.
        beside: where its steps are taken; by default in the current context.
        lent: whether an async one is stepped on the lent loop.
    """

    def __init__(self, generator: Any, beside: Beside | None, *, lent: bool) -> None:
        self._generator = generator
        self._beside = beside
        self._lent = lent
        self.__qualname__: str = generator.__qualname__

    def __next__(self) -> Any:
        return self._step("__anext__", "__next__")

    def throw(self, error: BaseException) -> Any:
        """Go on with an error, as a generator does."""
        try:
            return self._step("", "throw", error)
        finally:
            del error  # a frame that holds its own exception is a cycle

    def close(self) -> None:
        """Give it up, as one does with a generator."""
        self._step("aclose", "close")

    def _step(self, asynchronous: str, name: str, *error: BaseException) -> Any:
        try:
            generator, beside = self._generator, self._beside
            if not hasattr(generator, "__anext__"):
                step = getattr(generator, name)
                return step(*error) if beside is None else beside.run(step, *error)
            made = thrown(generator, *error) if error else getattr(generator, asynchronous)()
            if not self._lent:
                return beside.wait(made)  # type: ignore[union-attr]  # (given where it hops)
            return lend(made) if beside is None else beside.run(lend, made)
        except StopAsyncIteration:
            raise StopIteration from None
        finally:
            del error
