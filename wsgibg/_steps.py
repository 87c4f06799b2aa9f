"""The steps of a route as plain data: *what* happens; `wsgibg._emit` says *how*."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wsgibg._fields import Field
from wsgibg._models import Collect
from wsgibg._signature import Kind, Parameter
from wsgibg.background import BackgroundTasks
from wsgibg.params import Scope

__all__ = ["Argument", "Call", "Give", "Plan", "Read", "Recall", "Step", "arguments_of_call"]

#: An argument of a call: the parameter's name (nothing: by position) and the slot of its value.
Argument = tuple[str | None, int]


@dataclass(frozen=True, slots=True)
class Read:
    """Read a value from the request and validate it.

    Args:
        slot: where the value goes.
        field: the value: validation, default, names.
        location: the first part of an error's ``loc``.
        key: the key in its source (for a path parameter: its position in the match).
        many: whether it is a list of the values of a repeated key.
        collect: gathers the input of a parameter model from the whole source.
        text: whether the source gives text; a path's convertor gives something else.
    """

    slot: int
    field: Field
    location: str
    key: str | int
    many: bool
    collect: Collect | None = None
    text: bool = True


@dataclass(frozen=True, slots=True)
class Give:
    """Give an object of the request's own."""

    slot: int
    kind: type
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """Call a dependency or the handler.

    Args:
        slot: where the result goes.
        func: what is called.
        arguments: the slots of its arguments.
        kind: how it is called.
        scope: when a generator is left.
        adopts: whether it may return a collector that somebody made by hand.
        label: how errors and `explain` name it.
    """

    slot: int
    func: Callable[..., Any]
    arguments: tuple[Argument, ...]
    kind: Kind
    scope: Scope
    adopts: bool
    label: str


@dataclass(frozen=True, slots=True)
class Recall:
    """A dependency's second use: its value is there, or its own errors are told again."""

    slot: int
    reads: tuple[int, ...]


Step = Read | Give | Call | Recall


@dataclass(frozen=True, slots=True)
class Plan:
    """What one route does, decided.

    Args:
        steps: in order; the last is the call of the handler.
        names: a readable name for each slot.
        path_names: the path parameters, in the order in which the match gives their values.
        collector: the class of the request's collector.
        embed: whether the body is an object with the body parameters as keys.
        hops: whether some async step may suspend.
        asynchronous: whether there is an async step at all.
    """

    steps: tuple[Step, ...]
    names: tuple[str, ...]
    path_names: tuple[str, ...]
    collector: type[BackgroundTasks]
    embed: bool
    hops: bool
    asynchronous: bool

    @property
    def handler(self) -> Call:
        """The last step."""
        return self.calls()[-1]

    def reads(self, location: str) -> list[Read]:
        """The values that are read from one place."""
        return [step for step in self.steps if isinstance(step, Read) and step.location == location]

    def calls(self) -> list[Call]:
        """Every call, the handler's last."""
        return [step for step in self.steps if isinstance(step, Call)]


def arguments_of_call(
    func: Callable[..., Any], parameters: tuple[Parameter, ...], slots: Mapping[str, int]
) -> list[Argument]:
    """By name, as FastAPI passes them; by position where that is surely the same."""
    # PERF: an argument by position saves 0.01 µs.
    code = getattr(func, "__code__", None)
    straight = code is not None and not hasattr(func, "__wrapped__")
    found: list[Argument] = []
    for position, each in enumerate(parameters):
        by_position = (
            straight
            and each.positional
            and position < code.co_argcount  # type: ignore[union-attr]
            and code.co_varnames[position] == each.name  # type: ignore[union-attr]
        )
        straight = by_position
        found.append((None if by_position else each.name, slots[each.name]))
    return found
