"""What a background task has injected when it runs, flattened to a tuple of steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from wsgibg._aio import can_suspend
from wsgibg._calls import declaring
from wsgibg._fields import Field
from wsgibg._paths import PathPattern
from wsgibg._plan import INJECTABLE, Builder, Way
from wsgibg._signature import kind_of, place_of, read_signature
from wsgibg._steps import Call, Give
from wsgibg.background import BackgroundTasks
from wsgibg.exceptions import RegistrationError
from wsgibg.params import Scope

__all__ = ["TaskPlan", "make_task_plan"]

_NO_PATH = PathPattern.parse("")
_OUTSIDE = "which tasks and app.call() run without"
_REMEDY = "Take what is needed out of the request in the handler, and pass it to add_task()."
#: How people call the places that parameters are read from.
_PLACES = {"path": "path", "query": "query string", "header": "headers", "cookie": "cookies"}


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """How the injected parameters of one function come to their values.

    It does not refer to the function, which may so be forgotten together with its plan.

    Args:
        steps: the calls of dependencies, and the giving of the collector, in order.
        arguments: the names of the injected parameters, with the slots of their values.
        asynchronous: whether a dependency or the function itself is async.
        hops: whether some async step may suspend.
        itself_hops: whether what the function returns may suspend, if it can be awaited.
    """

    steps: tuple[Call | Give, ...]
    arguments: tuple[tuple[str, int], ...]
    asynchronous: bool
    hops: bool
    itself_hops: bool


def make_task_plan(
    func: Callable[..., Any],
    names: tuple[str, ...],
    *,
    overrides: Mapping[Any, Any],
    default_scope: Scope = "request",
) -> TaskPlan:
    """Flatten what a task leaves to be injected.

    Args:
        func: the task's function.
        names: the parameters that the call leaves out.
        overrides: replacements of dependencies (``app.dependency_overrides``).
        default_scope: the scope of ``yield`` dependencies that name none.

    Raises:
        RegistrationError: something is asked for that only a request has, or a parameter is
            declared in a way that cannot work.
    """
    builder = _TaskBuilder(_NO_PATH, overrides, default_scope, lenient=True)
    arguments = builder.injected(declaring(func), names)
    itself_hops = can_suspend(func)
    is_async = kind_of(func) == "coroutine"
    plan = builder.plan()
    return TaskPlan(
        steps=tuple(each for each in plan.steps if isinstance(each, (Call, Give))),
        arguments=arguments,
        asynchronous=plan.asynchronous or is_async,
        hops=plan.hops or (is_async and itself_hops),
        itself_hops=itself_hops,
    )


class _TaskBuilder(Builder):
    """Collects the steps of a task, and refuses what only a request has."""

    def injected(self, func: Any, names: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
        """Add the steps of a function's injected parameters."""
        way = Way(place_of(func))
        parameters = read_signature(
            func, injectable=INJECTABLE, start=way.start, lenient=True, only=names
        )
        slots: dict[str, int] = {}
        self.walking.append(func)
        for each in parameters:
            if each.depends is not None:
                slots[each.name] = self.depend(each.depends, way, each)
        for each in parameters:
            if each.field is not None:
                self._read(each.field, "", alone=False)
            elif each.gives is not None:
                slots[each.name] = self._give(each.name, each.gives, way)
        return tuple(slots.items())

    def _read(self, declared: Field, location: str, *, alone: bool) -> NoReturn:
        del location, alone
        where = _PLACES.get(getattr(declared.info, "in_", ""), "body")
        msg = (
            f"{declared.place}: it would be read from the {where} of a request, {_OUTSIDE}."
            f" {_REMEDY} What a task has injected comes from Depends() alone."
        )
        raise RegistrationError(msg)

    def _give(self, name: str, kind: type, path: Way) -> int:
        place = f"{path.start}, parameter {name!r}{path.via()}"
        if kind is BackgroundTasks:
            return super()._give(name, kind, path)
        if issubclass(kind, BackgroundTasks):
            msg = (
                f"{place}: a task gets the collector of its batch, which is no {kind.__name__}."
                " Annotate it as BackgroundTasks."
            )
        else:
            msg = f"{place}: {kind.__name__} belongs to a request, {_OUTSIDE}. {_REMEDY}"
        raise RegistrationError(msg)
