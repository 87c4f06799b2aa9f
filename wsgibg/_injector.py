"""Calls functions with their dependencies where there is no request: tasks, scripts, workers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from contextvars import copy_context
from functools import partial
from inspect import isawaitable, isclass, isroutine
from types import CoroutineType, MethodType
from typing import Any, cast
from weakref import WeakKeyDictionary

from wsgibg import _running
from wsgibg._aio import can_suspend, drive, hop, lend
from wsgibg._calling import Around, AroundTask, unlimited
from wsgibg._exits import Exit, leave
from wsgibg._interpret import enter, enter_async, enter_lent
from wsgibg._running import TaskContext, context_of, task_var
from wsgibg._scope import Owner, RequestScope
from wsgibg._steps import Call
from wsgibg._task_plan import TaskPlan, make_task_plan
from wsgibg.background import BackgroundTask, BackgroundTasks, current_tasks, source_var
from wsgibg.exception_handlers import text_of
from wsgibg.exceptions import RegistrationError, TaskRefused
from wsgibg.params import Scope

__all__ = ["Injector"]

#: By the names of the parameters that a call leaves out.
_Plans = dict[tuple[str, ...], TaskPlan]
#: By the function; a plan does not refer to it, so both may go.
_Known = WeakKeyDictionary[Any, _Plans]
#: For a function that has nothing injected, by whether it may suspend.
_EMPTY = [
    TaskPlan((), (), asynchronous=True, hops=hops, itself_hops=hops) for hops in (False, True)
]


class Injector:
    """Resolves the dependencies of an application's tasks.

    A function is inspected once; its plans are forgotten together with it.

    Args:
        owner: the application.
        overrides: its ``dependency_overrides``.
        default_scope: the scope of ``yield`` dependencies that name none.
    """

    def __init__(
        self,
        owner: Owner,
        overrides: Mapping[Any, Any] | None = None,
        default_scope: Scope = "request",
    ) -> None:
        self._owner = owner
        self._overrides = {} if overrides is None else overrides
        self._default_scope: Scope = default_scope
        self._declared: _Known = WeakKeyDictionary()
        #: The plans that hold now, and the overrides that they were made with.
        self._current: tuple[_Known, dict[Any, Any]] = (self._declared, {})

    def forget(self) -> None:
        """Make plans anew, because the overrides have changed."""
        overrides = dict(self._overrides)
        self._current = (WeakKeyDictionary() if overrides else self._declared, overrides)

    @property
    def overrides(self) -> Mapping[Any, Any]:
        """What takes the place of dependencies now; another object when that has changed."""
        return self._current[1]

    def accept(self, task: BackgroundTask) -> None:
        """Take a task on that has parameters to inject.

        What is declared is checked, and what takes its place by now, so that a test with
        overrides refuses what would be refused without them.

        Raises:
            TaskRefused: it asks for what only a request has, or cannot be resolved.
        """
        try:
            self._plan(task, self._declared, {})
            if self._current[0] is not self._declared:
                self._plan(task, *self._current)
        except RegistrationError as error:
            raise TaskRefused(str(error)) from None
        task._injector = self

    def _plan(self, task: BackgroundTask, known: _Known, overrides: dict[Any, Any]) -> TaskPlan:
        func, names = task.func, task.injected
        plans: _Plans = {}
        # A callable object may have no place in such a dictionary: it is inspected each time.
        with suppress(TypeError):
            plans = known.setdefault(_key(func), plans)
        plan = plans.get(names)
        if plan is None:
            scope = self._default_scope
            plan = make_task_plan(func, names, overrides=overrides, default_scope=scope)
            plans[names] = plan
        return plan

    def _lends(self, plan: TaskPlan) -> bool:
        """Whether the async steps of a plan run on the lent loop; else each is a hop."""
        return plan.asynchronous and not plan.hops and self._owner.tasks.lends

    # -------------------------------------------------------------- one attempt of a task
    def invoke(
        self,
        task: BackgroundTask,
        around: Around = unlimited,
        surroundings: Sequence[AroundTask] = (),
    ) -> Any:
        """Make a task's call, in a copy of its context: dependencies, itself, exits.

        Args:
            task: the task.
            around: puts something around what the task, its dependencies and their exits await;
                a call that cannot suspend is not shown to it.
            surroundings: make the context managers that all of this runs in.

        Returns:
            What the task returned; there is nothing to await any more.

        Raises:
            BaseException: what the task, a dependency or an exit raised.
        """
        plan = self._plan(task, *self._current) if task.injected else _EMPTY[can_suspend(task.func)]
        context = task.context.copy()  # (a task that is in its own context would be a cycle)
        batch = _running.here.place.batch
        inside = None if batch is None else context_of(task, batch)
        if plan.asynchronous:  # in the loop's thread a task is known by its context alone
            context.run(task_var.set, inside)
        tasks = context.run(current_tasks) if batch is None else batch
        attempt = self._attempt(plan, task, tasks, around, inside)
        return drive(_within(surroundings, task, attempt) if surroundings else attempt, context)

    async def _attempt(
        self,
        plan: TaskPlan,
        task: BackgroundTask,
        tasks: BackgroundTasks,
        around: Around,
        inside: TaskContext | None,
    ) -> Any:
        exits: list[Exit] = []
        run = _Run(plan, dict.fromkeys(_SCOPES, exits), lambda: tasks, self._lends(plan), around)
        result, error = None, None
        try:
            try:
                result = await run.result(task, inside)
            except BaseException as raised:  # noqa: BLE001 (raised below, after the exits)
                error = raised
            error = _outcome(error, await leave(exits, error, lent=run.lent, around=around))
            if error is not None:
                raise error
            return result
        finally:
            del error  # a frame that holds its own exception is a cycle

    # -------------------------------------------------------------- a call
    def call(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function at once; see `wsgibg._calling.Calling.call`."""
        task = BackgroundTask(func, *args, **kwargs)
        plan = _EMPTY[True]
        if task.injected:
            self.accept(task)
            plan = self._plan(task, *self._current)
        scope = RequestScope()
        scope.environ = {}
        scope.owner = self._owner
        scope.lent = self._lends(plan)
        context = scope.context = copy_context()
        context.run(source_var.set, scope)
        try:
            result = drive(_called(plan, task, scope), context)
        except BaseException as error:
            scope.failure = f"its call failed ({text_of(error)})"
            raise
        finally:
            scope.end(delivered=True)
        return result


async def _within(
    surroundings: Sequence[AroundTask], task: BackgroundTask, attempt: Coroutine[Any, Any, Any]
) -> Any:
    """Make an attempt inside of context managers, the first of which is the outermost."""
    failed: BaseException | None = None
    try:
        with closing(attempt), ExitStack() as stack:
            for make in surroundings:
                stack.enter_context(make(task))
            try:
                return await attempt
            except BaseException as error:
                failed = error
                raise
        raise cast(BaseException, failed)  # it has failed, also where one swallows the reason
    finally:
        del failed  # a frame that holds its own exception is a cycle


_SCOPES: tuple[Scope, ...] = ("function", "request", "tasks")


async def _called(plan: TaskPlan, task: BackgroundTask, scope: RequestScope) -> Any:
    exits: list[Exit] = []
    late: list[Exit] = []
    scope.exits, scope.late = exits, late
    stacks = {"function": exits, "request": exits, "tasks": late}
    run = _Run(plan, stacks, scope.collector, scope.lent)
    result, error = None, None
    try:
        try:
            result = await run.result(task)
        except BaseException as raised:  # noqa: BLE001 (raised below, after the exits)
            error = raised
        error = _outcome(error, await leave(exits, error, lent=scope.lent))
        if error is not None:
            error = _outcome(error, await leave(late, error, lent=scope.lent))
            raise error
        return result
    finally:
        del error  # a frame that holds its own exception is a cycle


def _outcome(error: Any, left: BaseException | None) -> Any:
    """What a call has failed with, given what the exits have left of it."""
    if left is None or left is error:
        return error  # what failed has failed, also where a dependency swallows the reason
    if error is None or isinstance(error, Exception):
        return left
    error.add_note(f"An exit has raised {left!r} then.")  # (the server's own way out stays that)
    return error


class _Run:
    """The steps of a plan, taken one by one, and the call that they are for."""

    def __init__(
        self,
        plan: TaskPlan,
        stacks: Mapping[Any, list[Exit]],
        collector: Callable[[], BackgroundTasks],
        lent: bool,
        around: Around = unlimited,
    ) -> None:
        self.plan = plan
        self.around = around
        self.stacks = stacks
        self.collector = collector
        self.lent = lent

    async def result(
        self,
        task: BackgroundTask,
        current: TaskContext | None = None,
    ) -> Any:
        """Resolve, call, and await what the call returns, with a task that is then current."""
        slots: dict[int, Any] = {}
        for step in self.plan.steps:
            slots[step.slot] = (
                await self.dependency(step, slots) if isinstance(step, Call) else self.collector()
            )
        injected = {name: slots[slot] for name, slot in self.plan.arguments}
        result = task.func(*task.args, **task.kwargs, **injected)
        if type(result) is CoroutineType and self.lent and not self.plan.itself_hops:
            return lend(result)
        if isawaitable(result):
            task_var.set(current)
            return await hop(self.around(result))
        return result

    async def dependency(self, step: Call, slots: dict[int, Any]) -> Any:
        positional = [slots[slot] for name, slot in step.arguments if name is None]
        named = {name: slots[slot] for name, slot in step.arguments if name is not None}
        made = step.func(*positional, **named)
        value = made
        if step.kind == "coroutine":
            value = lend(made) if self.lent else await hop(self.around(made))
        elif step.kind != "call":
            if step.kind == "generator":
                value = enter(made)
            else:
                value = enter_lent(made) if self.lent else await enter_async(made, self.around)
            self.stacks[step.scope].append((made, value))
        if step.adopts and isinstance(value, BackgroundTasks):
            self.collector().adopt(value)
        return value


def _key(func: Any) -> Any:
    """What a function's plans are kept under: a method's function, the method of an object."""
    while isinstance(func, partial):
        func = func.func
    if isinstance(func, MethodType):
        return func.__func__
    own = isroutine(func) or isclass(func) or hasattr(func, "__wrapped__")
    return func if own else type(func).__call__
