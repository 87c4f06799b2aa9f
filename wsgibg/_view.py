"""What a view of another framework declares: what is injected, and what the framework passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from inspect import Parameter, isclass, signature
from typing import Any
from weakref import WeakKeyDictionary

from wsgibg._calling import Injecting
from wsgibg._calls import declaring
from wsgibg._plan import INJECTABLE
from wsgibg._signature import kind_of, marked, place_of
from wsgibg._steps import Plan
from wsgibg._view_plan import make_view_plan
from wsgibg.exceptions import RegistrationError

__all__ = ["View"]

#: By the parameters that a call leaves out: the plan, and the arguments that are not the view's.
_Plans = dict[tuple[str, ...], tuple[Plan, frozenset[str]]]
_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


class View:
    """A view, inspected once.

    Args:
        view: a function, method or other callable.

    Raises:
        RegistrationError: it cannot be called with injected parameters.
    """

    def __init__(self, view: Callable[..., Any]) -> None:
        self.view = view
        self.place: str = place_of(view)
        if not callable(view) or isclass(view):
            msg = f"{self.place}: inject takes a function or a method. Decorate each method."
            raise RegistrationError(msg)
        if kind_of(view) == "async_generator":
            msg = f"{self.place}: an async generator is no view. Return what yields instead."
            raise RegistrationError(msg)
        #: Whose parameters count: a partial has fewer than its function.
        self.declaring: Any = view if isinstance(view, partial) else declaring(view)
        #: The injected parameters.
        self.names: tuple[str, ...] = marked(self.declaring, INJECTABLE)
        whole = signature(self.declaring, follow_wrapped=False)
        given = whole.parameters.values()
        self._check(given)
        own = [each for each in given if each.name not in self.names]
        self.defaults = {each.name: each.default for each in own if each.default is not each.empty}
        self.own = tuple(each.name for each in own if each.kind not in _VARIADIC)
        self.takes_any: bool = any(each.kind is each.VAR_KEYWORD for each in own)
        #: The framework's positional parameters, and how many come before an injected one.
        self.positional = [each.name for each in own if each.kind in _POSITIONAL]
        order = [each.name for each in given if each.kind in _POSITIONAL]
        first = [position for position, name in enumerate(order) if name in self.names]
        self.straight: int = first[0] if first else len(order)
        self._declared: _Plans = {}
        self._overridden: WeakKeyDictionary[Injecting, tuple[Mapping[Any, Any], _Plans]]
        self._overridden = WeakKeyDictionary()
        _, extra = self._plan(self.names, {}, self._declared)
        added = [Parameter(name, Parameter.KEYWORD_ONLY) for name in sorted(extra)]
        at = len(own) - 1 if self.takes_any else len(own)
        #: What the framework sees.
        self.signature = whole.replace(parameters=[*own[:at], *added, *own[at:]])

    def _check(self, given: Iterable[Parameter]) -> None:
        if not self.names:
            msg = (
                f"{self.place}: inject found nothing to inject. Mark a parameter with Depends(),"
                " annotate it as BackgroundTasks, or drop the decorator."
            )
            raise RegistrationError(msg)
        variadic = any(each.kind is each.VAR_POSITIONAL for each in given)
        for each in given:
            if each.name not in self.names:
                continue
            place = f"{self.place}, parameter {each.name!r}: it is injected by its name, which a"
            if each.kind is each.POSITIONAL_ONLY:
                raise RegistrationError(
                    f"{place} parameter in front of `/` does not take. Put it behind."
                )
            if variadic and each.kind is not each.KEYWORD_ONLY:
                raise RegistrationError(
                    f"{place} parameter in front of `*args` may not take. Put it behind."
                )

    # -------------------------------------------------------------- plans
    def _plan(
        self, names: tuple[str, ...], overrides: Mapping[Any, Any], plans: _Plans
    ) -> tuple[Plan, frozenset[str]]:
        found = plans.get(names)
        if found is None:
            plan = make_view_plan(self.declaring, self.view, names, self.own, overrides=overrides)
            paths = {str(each.key) for each in plan.reads("path")}
            extra = frozenset(() if self.takes_any else paths.difference(self.own))
            found = plans[names] = plan, extra
        return found

    def plan_in(self, injector: Injecting, names: tuple[str, ...]) -> tuple[Plan, frozenset[str]]:
        """The plan of a call, and the arguments that dependencies ask for instead of the view.

        Args:
            injector: who knows the overrides of an application, as they are now.
            names: the parameters that the call leaves to be injected.
        """
        overrides = injector.overrides
        if not overrides:
            return self._plan(names, overrides, self._declared)
        known, plans = self._overridden.get(injector, (None, {}))
        if known is not overrides:
            plans = {}
            self._overridden[injector] = overrides, plans
        return self._plan(names, overrides, plans)

    # -------------------------------------------------------------- a call's arguments
    def left_out(self, kwargs: Mapping[str, Any]) -> tuple[str, ...]:
        """The parameters that a call leaves to be injected."""
        return tuple(name for name in self.names if name not in kwargs)

    def arranged(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """A framework's arguments as the view takes them.

        What stands behind the place of an injected parameter goes by its name.
        """
        if len(args) <= self.straight:
            return args, kwargs
        rest = dict(zip(self.positional[self.straight :], args[self.straight :], strict=False))
        if rest.keys() & kwargs.keys():
            return args, kwargs  # (which Python refuses by itself)
        return args[: self.straight] + args[len(self.positional) :], {**rest, **kwargs}

    def passed(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """A framework's arguments by name, with the view's defaults."""
        return {**self.defaults, **dict(zip(self.positional, args, strict=False)), **kwargs}
