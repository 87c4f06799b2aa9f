"""What the fixtures of the pytest plugin are; pytest itself loads `pytest_wsgibg`.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, NamedTuple, ParamSpec, Protocol, Self, overload

import werkzeug.test

from pytest_wsgibg import (
    background_tasks,
    dependency_overrides,
    pytest_addoption,
    pytest_configure,
    pytest_itemcollected,
    pytest_runtestloop,
)
from wsgibg._observers import observe, strictness, unobserve
from wsgibg._options import name_of
from wsgibg._task import unwrap
from wsgibg.background import BackgroundTask
from wsgibg.testing import TestClient
from wsgibg.testing._recorder import Mode, Place, Recorder

__all__ = [
    "Mode",
    "OverridesFixture",
    "TaskFixture",
    "background_tasks",
    "dependency_overrides",
    "pytest_addoption",
    "pytest_configure",
    "pytest_itemcollected",
    "pytest_runtestloop",
    "strict_mode",
]

P = ParamSpec("P")


class _Call(NamedTuple):
    """A call, of a task that was added or of one that should have been."""

    func: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def __str__(self) -> str:
        given = [_shown(each) for each in self.args]
        given += [f"{name}={_shown(each)}" for name, each in self.kwargs.items()]
        return f"{name_of(self.func)}({', '.join(given)})"

    def arguments(self) -> Any:
        """Its arguments by the parameters that they are for, where that can be told."""
        try:
            bound = inspect.signature(self.func).bind(*self.args, **self.kwargs)
        except (TypeError, ValueError):
            return self.args, dict(self.kwargs)
        bound.apply_defaults()
        return bound.args, bound.kwargs


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 (it is only to be shown)
        text = f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
    return text if len(text) <= 200 else f"{text[:199]}…"


def _call_of(task: BackgroundTask) -> _Call:
    # (asked of the classes: a Mock has every attribute)
    stands_for = getattr(type(task.func), "stands_for", None)
    if stands_for is not None:  # a backend's object in place of a call (Django's tasks)
        func, args, kwargs = stands_for(task.func)
        return _Call(func, tuple(args), kwargs)
    return _Call(task.func, task.args, task.kwargs)


def _function_of(func: Any) -> Any:
    """The function of a `Task`, or of a task of Django's."""
    return func.func if hasattr(type(func), "enqueue") else unwrap(func)[0]


def _where(task: BackgroundTask, place: Place | None) -> str:
    if place is not None:
        return f"added at {place}"
    code = getattr(task.func, "__code__", None)
    if code is None:
        return "added by a response or a collector made by hand"
    defined = Place(code.co_filename, code.co_firstlineno, code.co_qualname)
    return f"added by a response or a collector made by hand; defined at {defined}"


class TaskFixture:
    """The fixture ``background_tasks``: what a test may know of tasks, and do with them.

    It sees the tasks of every application in the process, whatever client asks: that of
    `wsgibg.testing`, Werkzeug's, Flask's, Django's, WebTest's, httpx with its ``WSGITransport``.
    While it is there, Werkzeug's client (and Flask's, which is one) reads each response and closes
    it before the call returns; and no task waits for its next attempt.

    Args:
        mode: ``"run"``: tasks run as ever. ``"collect"``: they wait for `run_all`. ``"off"``: they
            do not run.

    Attributes:
        timeout: how many seconds to wait for tasks in a pool at most.
        close_responses: whether Werkzeug's client closes each response; for a test that reads a
            stream step by step with it.

    Raises:
        ValueError: there is no such mode.
    """

    def __init__(self, mode: Mode = "run") -> None:
        self._recorder = Recorder(mode)
        self.timeout: float = 25.0
        self.close_responses: bool = True
        self._stack = ExitStack()

    @property
    def mode(self) -> Mode:
        """What becomes of tasks from now on: ``"run"``, ``"collect"`` or ``"off"``."""
        return self._recorder.mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._recorder.mode = mode

    @property
    def added(self) -> list[BackgroundTask]:
        """The tasks that were added so far, in order; those included that tasks have added.

        Raises:
            AssertionError: tasks in a pool have not ended in time.
        """
        self._drain()
        return [task for task, _ in self._recorder.tasks]

    @property
    def failures(self) -> list[tuple[BackgroundTask, BaseException]]:
        """The tasks that failed, each with what it raised; not those that succeed when retried.

        Raises:
            AssertionError: tasks in a pool have not ended in time.
        """
        self._drain()
        return list(self._recorder.failures)

    def run_all(self) -> None:
        """Run, here and now, the tasks that wait because the mode is ``"collect"``; each once.

        Those that they add are run as well. What they raise is in `failures`. In the mode
        ``"run"`` it waits for what is in a pool.

        Raises:
            RuntimeError: the mode is ``"off"``, in which nothing waits.
            AssertionError: tasks in a pool have not ended in time.
        """
        if self.mode == "off":
            raise RuntimeError('run_all(): no task waits in the mode "off"; use "collect".')
        self._recorder.run_waiting()
        self._drain()

    @overload
    def assert_added(self, func: Callable[..., Any]) -> BackgroundTask: ...
    @overload
    def assert_added(
        self, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs
    ) -> BackgroundTask: ...
    def assert_added(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> BackgroundTask:
        """Fail the test unless a call of a function was added.

        Args:
            func: the function, or the `wsgibg.background.Task` (or Django's) that was made of it.
            args: the arguments of the call. Without any (and without keywords), a call with any
                arguments will do.
            kwargs: its keyword arguments. They may stand for positional ones and the other way
                round, and those that equal the function's defaults may be left out.

        Returns:
            The first task that fits.

        Raises:
            AssertionError: none does; with what was added instead, and where.
        """
        __tracebackhide__ = True
        wanted = _Call(_function_of(func), args, kwargs)
        any_arguments = not args and not kwargs
        for task in self.added:
            call = _call_of(task)
            if call.func == wanted.func and (
                any_arguments or call.arguments() == wanted.arguments()
            ):
                return task
        raise AssertionError(self._instead(wanted, any_arguments=any_arguments))

    def _instead(self, wanted: _Call, *, any_arguments: bool) -> str:
        name = name_of(wanted.func)
        call = f"{name}(...)" if any_arguments else str(wanted)
        recorded = self._recorder.tasks
        if not recorded:
            return (
                f"{call} was not added; no background task was. Did the request get there, and"
                " through an App or wrap()?"
            )
        lines = [f"{call} was not added. What was:"]
        lines += [f"  {_call_of(task)}, {_where(task, place)}" for task, place in recorded]
        calls = [_call_of(task) for task, _ in recorded]
        if any(call.func != wanted.func and name_of(call.func) == name for call in calls):
            lines.append(
                f"There are two functions of the name {name}: was it patched, or its module"
                " imported twice?"
            )
        return "\n".join(lines)

    def _drain(self) -> None:
        left = self._recorder.drain(self.timeout)
        if left:
            names = ", ".join(task.name for task in left)
            msg = (
                f"After {self.timeout:g} s these background tasks had not ended: {names}. Have"
                " them end sooner in tests, or set background_tasks.timeout."
            )
            raise AssertionError(msg)

    def __enter__(self) -> Self:
        self._stack.enter_context(_closing_clients(self))
        observe(self._recorder)
        self._stack.callback(unobserve, self._recorder)
        self._stack.callback(self._drain)
        self._stack.callback(self._recorder.end)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()


@contextmanager
def _closing_clients(tasks: TaskFixture) -> Iterator[None]:
    """Have Werkzeug's client (and those made of it) close each response, as a server does."""
    kind: Any = werkzeug.test.Client
    original = kind.run_wsgi_app

    def run_wsgi_app(client: werkzeug.test.Client, environ: Any, buffered: bool = False) -> Any:
        closes = tasks.close_responses and not isinstance(client, TestClient)
        return original(client, environ, buffered=buffered or closes)

    kind.run_wsgi_app = run_wsgi_app
    try:
        yield
    finally:
        kind.run_wsgi_app = original


class _Overridable(Protocol):
    @property
    def dependency_overrides(self) -> MutableMapping[Any, Any]:
        """Replacements of dependencies."""


class OverridesFixture:
    """The fixture ``dependency_overrides``: overrides that last until the end of the test.

    ``dependency_overrides(app)`` is ``app.dependency_overrides``, which has after the test what
    it had when it was asked for first.
    """

    def __init__(self) -> None:
        self._saved: dict[int, tuple[_Overridable, dict[Any, Any]]] = {}

    def __call__(
        self, app: _Overridable, overrides: Mapping[Any, Any] | None = None
    ) -> MutableMapping[Any, Any]:
        """The overrides of an application, which may be changed.

        Args:
            app: the application.
            overrides: what to replace: ``dependency_overrides(app, {get_db: fake_db})``.
        """
        self._saved.setdefault(id(app), (app, dict(app.dependency_overrides)))
        if overrides is not None:
            app.dependency_overrides.update(overrides)
        return app.dependency_overrides

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for app, saved in self._saved.values():
            if app.dependency_overrides != saved:
                app.dependency_overrides.clear()
                app.dependency_overrides.update(saved)


@contextmanager
def strict_mode() -> Iterator[None]:
    """Make every application strict meanwhile; what the option ``wsgibg_strict`` does."""
    before, strictness.on = strictness.on, True
    try:
        yield
    finally:
        strictness.on = before
