"""What a view of another framework has injected, flattened to a tuple of steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wsgibg._fields import Field
from wsgibg._paths import PathPattern
from wsgibg._plan import INJECTABLE, Builder, Way, location_of
from wsgibg._signature import Parameter, kind_of, place_of, read_signature
from wsgibg._steps import Plan, Read
from wsgibg.background import BackgroundTasks
from wsgibg.exceptions import RegistrationError
from wsgibg.responses import Response

__all__ = ["make_view_plan"]

_NO_PATH = PathPattern.parse("")


def make_view_plan(
    declaring: Callable[..., Any],
    view: Callable[..., Any],
    names: tuple[str, ...],
    own: tuple[str, ...],
    *,
    overrides: Mapping[Any, Any],
) -> Plan:
    """Flatten what a view leaves to be injected; the plan's last step is its call.

    Args:
        declaring: whose parameters they are: the view, or what it wraps.
        view: the view.
        names: the parameters that are injected.
        own: those that the framework fills; a dependency gets them as path parameters.
        overrides: replacements of dependencies (``wrapped.dependency_overrides``).

    Raises:
        RegistrationError: a parameter is declared in a way that cannot work here.
    """
    builder = _ViewBuilder(_NO_PATH, overrides, "request", lenient=True)
    builder.path_names = own
    way = Way(place_of(declaring))
    parameters = read_signature(
        declaring, injectable=INJECTABLE, start=way.start, lenient=True, only=names
    )
    slots = builder.injected(declaring, parameters, way)
    builder.call(view, list(slots.items()), kind_of(view), "function", way.start)
    return builder.plan()


class _ViewBuilder(Builder):
    """Collects the steps of a view, and refuses what its framework has for itself."""

    def injected(self, view: Any, parameters: tuple[Parameter, ...], way: Way) -> dict[str, int]:
        """Add the steps of a view's injected parameters."""
        slots: dict[str, int] = {}
        self.walking.append(view)
        for each in parameters:
            if each.depends is not None:
                slots[each.name] = self.depend(each.depends, way, each)
        fields = [each.field for each in parameters if each.field is not None]
        for declared in fields:
            location = location_of(declared)
            if location == "path":
                msg = (
                    f"{declared.place}: the path's parameters are the framework's to give."
                    " Drop Path() from the view; its dependencies may ask for them by Path()."
                )
                raise RegistrationError(msg)
            same = [each for each in fields if location_of(each) == location]
            slots[declared.name] = self._read(declared, location, alone=len(same) == 1)
        for each in parameters:
            if each.gives is not None:
                slots[each.name] = self._give(each.name, each.gives, way)
        return slots

    def _read(self, declared: Field, location: str, *, alone: bool) -> int:
        if location == "body":
            msg = (
                f"{declared.place}: it would be read from the body, which is the framework's to"
                " read. Take it from the framework's own request in the view; Query(), Header()"
                " and Cookie() can be injected."
            )
            raise RegistrationError(msg)
        if location == "path":
            slot = self._slot(declared.name)
            key = declared.alias
            self.steps.append(Read(slot, declared, location, key, many=False, text=False))
            return slot
        return super()._read(declared, location, alone=alone)

    def _give(self, name: str, kind: type, path: Way) -> int:
        if issubclass(kind, Response) or (
            issubclass(kind, BackgroundTasks) and kind is not BackgroundTasks
        ):
            remedy = (
                "Annotate it as BackgroundTasks"
                if issubclass(kind, BackgroundTasks)
                else "Set headers and cookies on the framework's own response"
            )
            msg = (
                f"{path.start}, parameter {name!r}{path.via()}: a view of another framework"
                f" cannot have a {kind.__name__} injected. {remedy}."
            )
            raise RegistrationError(msg)
        return super()._give(name, kind, path)
