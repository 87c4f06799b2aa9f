"""A handler and everything it depends on, flattened to a tuple of steps in FastAPI's order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from inspect import unwrap
from typing import Any

from pydantic import BaseModel

from wsgibg._aio import can_suspend
from wsgibg._annotations import is_class, is_json, is_sequence, optional_class
from wsgibg._fields import Field
from wsgibg._models import collect_for
from wsgibg._paths import PathPattern
from wsgibg._signature import (
    Kind,
    Parameter,
    kind_of,
    may_give,
    place_of,
    read_signature,
)
from wsgibg._steps import Argument, Call, Give, Plan, Read, Recall, Step, arguments_of_call
from wsgibg.background import BackgroundTasks
from wsgibg.exceptions import DependencyScopeError, RegistrationError
from wsgibg.params import SOURCES, Body, Depends, Param, Scope, Security, SecurityScopes
from wsgibg.requests import Request
from wsgibg.responses import Response

__all__ = ["INJECTABLE", "Builder", "Way", "location_of", "make_plan"]

#: What a request has of its own and gives by annotation: a new kind is a row here and a line in
#: `wsgibg._compile.GIVEN`.
INJECTABLE: tuple[type, ...] = (Request, Response, BackgroundTasks, SecurityScopes)


def make_plan(
    endpoint: Callable[..., Any],
    *,
    pattern: PathPattern,
    dependencies: Iterable[Depends] = (),
    overrides: Mapping[Any, Any] | None = None,
    default_scope: Scope = "request",
    lenient: bool = False,
) -> Plan:
    """Flatten a handler.

    Args:
        endpoint: the handler.
        pattern: the route's path.
        dependencies: those of the app, the router and the decorator, called before its own.
        overrides: replacements of dependencies (``app.dependency_overrides``).
        default_scope: the scope of ``yield`` dependencies that name none.
        lenient: whether the path may get further parameters, by a prefix.

    Raises:
        RegistrationError: a parameter is declared in a way that cannot work.
    """
    builder = Builder(pattern, overrides or {}, default_scope, lenient=lenient)
    place = place_of(endpoint)
    for depends in dependencies:
        if not isinstance(depends, Depends):
            msg = (
                f"{place}: dependencies=[{depends!r}] holds no dependency."
                " Write Depends(...) around it."
            )
            raise RegistrationError(msg)
        # Without a parameter, a second use is never another call (FastAPI's rule).
        builder.depend(replace(depends, use_cache=True), Way(place))
    arguments = builder.arguments_of(endpoint, Way(place))
    kind = kind_of(endpoint)
    if kind in ("generator", "async_generator"):
        msg = (
            f"{place}: a handler that yields is not supported yet."
            " Return StreamingResponse(the_generator())."
        )
        raise RegistrationError(msg)
    builder.call(endpoint, arguments, kind, "function", place)
    return builder.plan()


@dataclass(frozen=True, slots=True)
class Way:
    """The way from the handler down to a dependency."""

    #: Where the handler is, for messages.
    start: str
    names: tuple[str, ...] = ()
    outer: tuple[str, ...] = ()
    own: tuple[str, ...] = ()

    @property
    def scopes(self) -> tuple[str, ...]:
        """The OAuth2 scopes, outermost first; its own where they are new."""
        return self.outer + tuple(
            dict.fromkeys(each for each in self.own if each not in self.outer)
        )

    def via(self) -> str:
        return f" via {' -> '.join(self.names)}" if self.names else ""

    def down(self, depends: Depends) -> Way:
        own = tuple(depends.scopes or ()) if isinstance(depends, Security) else ()
        names = (*self.names, _name(depends.dependency))
        return Way(self.start, names, self.outer + self.own, own)


@dataclass(slots=True)
class _Cached:
    slot: int
    reads: list[int] = field(default_factory=list)


class Builder:
    """Collects the steps while it walks down the dependencies, depth first."""

    def __init__(
        self,
        pattern: PathPattern,
        overrides: Mapping[Any, Any],
        default_scope: Scope,
        *,
        lenient: bool,
    ) -> None:
        self.path_names = pattern.names
        self.texts = pattern.texts
        self.lenient = lenient
        self.overrides = overrides
        self.default_scope = default_scope
        self.steps: list[Step] = []
        self.names: list[str] = []
        self.cache: dict[tuple[Any, ...], _Cached] = {}
        self.given: dict[type, int] = {}
        self.collector = BackgroundTasks
        self.signatures: dict[Any, tuple[Parameter, ...]] = {}
        #: The parameters of the body, those of a dependency before those of what it depends on.
        self.bodies: list[Field] = []
        #: The callables whose dependencies are being added, outermost first.
        self.walking: list[Any] = []

    # -------------------------------------------------------------- walking
    def depend(self, depends: Depends, path: Way, param: Parameter | None = None) -> int:
        """The slot of a dependency's value; its steps are added where they are new."""
        original = depends.dependency
        func = self.overrides.get(_identity(original), original)
        down = path.down(depends)
        kind = kind_of(func)
        # What is shared goes by the original, also where it is overridden (FastAPI's rule).
        scope = depends.scope or ("request" if kind_of(original) in _GENERATORS else None)
        if scope == "request":
            scope = self.default_scope
        own = isinstance(depends, Security) and depends.scopes
        scopes = down.scopes if own or self._uses_scopes(original, down, set()) else ()
        key = (_identity(original), tuple(sorted(set(scopes))), scope or "")
        known = self.cache.get(key)
        if known is not None and depends.use_cache:
            self.arguments_of(func, down, again=True)
            self.steps.append(Recall(known.slot, tuple(known.reads)))
            return known.slot
        first = len(self.steps)
        lasts = scope or self.default_scope
        arguments = self.arguments_of(func, down, within=lasts if kind in _GENERATORS else None)
        reads = [
            position
            for position, step in enumerate(self.steps[first:], first)
            if isinstance(step, Read) and step.slot in {slot for _, slot in arguments}
        ]
        collects = param is not None and is_class(optional_class(param.base), BackgroundTasks)
        adopts = collects or may_give(func, BackgroundTasks)
        slot = self.call(func, arguments, kind, lasts, place_of(func), adopts=adopts)
        self.cache.setdefault(key, _Cached(slot, reads))
        return slot

    def arguments_of(
        self,
        func: Callable[..., Any],
        path: Way,
        *,
        within: Scope | None = None,
        again: bool = False,
    ) -> list[Argument]:
        """Add the steps that a call's arguments need: dependencies, then values, then objects.

        Args:
            func: what is to be called.
            path: the way down to it.
            within: its scope if it is a ``yield`` dependency.
            again: whether its own values are there already (only uncached dependencies of
                it are called once more, FastAPI's rule).
        """
        parameters = self._parameters(func, path)
        declared = [each.field for each in parameters if each.field is not None]
        body = [each for each in declared if location_of(each) == "body"]
        # The handler's come first, whatever is called before it.
        self.bodies = self.bodies + body if path.names else body + self.bodies
        slots: dict[str, int] = {}
        if any(func is each for each in self.walking):
            msg = f"{path.start}{path.via()}: it depends on itself. Break the circle."
            raise RegistrationError(msg)
        self.walking.append(func)
        for each in parameters:
            if each.depends is not None:
                self._check_scope(func, within, each.depends, path)
                slots[each.name] = self.depend(each.depends, path, each)
        self.walking.pop()
        if again:
            return []
        for location in ("path", "query", "header", "cookie", "body"):
            fields = [each for each in declared if location_of(each) == location]
            for value in fields:
                slots[value.name] = self._read(value, location, alone=len(fields) == 1)
        for each in parameters:
            if each.gives is not None:
                slots[each.name] = self._give(each.name, each.gives, path)
        return arguments_of_call(func, parameters, slots)

    def _parameters(self, func: Callable[..., Any], path: Way) -> tuple[Parameter, ...]:
        key = _identity(func)
        if key not in self.signatures:
            self.signatures[key] = read_signature(
                func,
                path_names=self.path_names,
                injectable=INJECTABLE,
                start=path.start,
                via=path.via(),
                lenient=self.lenient,
            )
        return self.signatures[key]

    def _uses_scopes(self, func: Any, path: Way, seen: set[Any]) -> bool:
        """Whether OAuth2 scopes matter to a dependency, so that other scopes are another call."""
        key = _identity(func)
        if key in seen:
            return False
        seen.add(key)
        if hasattr(unwrap(func), "scheme_name"):
            return True
        for each in self._parameters(func, path):
            if each.gives is SecurityScopes:
                return True
            depends = each.depends
            if depends is not None and (
                (isinstance(depends, Security) and depends.scopes)
                or self._uses_scopes(depends.dependency, path.down(depends), seen)
            ):
                return True
        return False

    def _check_scope(self, func: Any, within: Scope | None, depends: Depends, path: Way) -> None:
        order = ("function", "request", "tasks")
        wanted = self.default_scope if depends.scope == "request" else depends.scope
        if within is None or wanted is None:
            return
        if order.index(wanted) < order.index(within):
            msg = (
                f"{path.start}{path.via()}: {_name(func)}() has the scope {within!r} and"
                f" depends on {_name(depends.dependency)}() with the scope {wanted!r},"
                f" which is left earlier. Give both the same scope."
            )
            raise DependencyScopeError(msg)

    # -------------------------------------------------------------- adding steps
    def _slot(self, name: str) -> int:
        self.names.append(
            f"{name}_{len(self.names)}" if name.isidentifier() else f"v_{len(self.names)}"
        )
        return len(self.names) - 1

    def _read(self, declared: Field, location: str, *, alone: bool) -> int:
        slot = self._slot(declared.name)
        key: str | int = declared.alias
        if location == "path":
            known = declared.alias in self.path_names
            key = self.path_names.index(declared.alias) if known else -1
        elif isinstance(declared.info, Param):
            key = declared.info.source.key(declared.alias)
        several = is_sequence(declared.base) and not is_json(declared.annotation)
        many = location in ("query", "header") and several
        collect = None
        if alone and location in SOURCES and is_class(declared.base, BaseModel):
            convert = getattr(declared.info, "convert_underscores", True)
            collect = collect_for(declared.base, location, convert_underscores=convert)
        text = location != "path" or declared.alias in self.texts
        self.steps.append(Read(slot, declared, location, key, many, collect, text=text))
        return slot

    def _give(self, name: str, kind: type, path: Way) -> int:
        if kind is SecurityScopes:
            slot = self._slot(name)
            self.steps.append(Give(slot, kind, path.scopes))
            return slot
        family = next(base for base in INJECTABLE if issubclass(kind, base))
        if family is BackgroundTasks:
            self._collector_is(kind, name, path)
        if family not in self.given:
            self.given[family] = self._slot(_GIVEN_NAMES[family])
            self.steps.append(Give(self.given[family], kind))
        return self.given[family]

    def _collector_is(self, kind: type[BackgroundTasks], name: str, path: Way) -> None:
        """There is one collector, so it is of the most derived class that anybody asks for."""
        if issubclass(self.collector, kind):
            return
        if not issubclass(kind, self.collector):
            msg = (
                f"{path.start}, parameter {name!r}{path.via()} asks for {kind.__name__} and"
                f" another for {self.collector.__name__}: a request has one collector. Let one"
                " inherit."
            )
            raise RegistrationError(msg)
        try:
            kind()
        except TypeError as error:
            msg = f"{kind.__name__} is made without arguments for each request, and {error}."
            raise RegistrationError(msg) from None
        self.collector = kind

    def call(
        self,
        func: Callable[..., Any],
        arguments: list[Argument],
        kind: Kind,
        scope: Scope,
        label: str,
        *,
        adopts: bool = False,
    ) -> int:
        """Add the call of a dependency or of the handler."""
        slot = self._slot(_name(func))
        self.steps.append(Call(slot, func, tuple(arguments), kind, scope, adopts, label))
        return slot

    def plan(self) -> Plan:
        """What was collected."""
        if BackgroundTasks in self.given:
            slot = self.given[BackgroundTasks]
            at = next(i for i, each in enumerate(self.steps) if each.slot == slot)
            self.steps[at] = Give(slot, self.collector)
        steps = tuple(self.steps)
        asynchronous = [
            step.func
            for step in steps
            if isinstance(step, Call) and step.kind in ("coroutine", "async_generator")
        ]
        return Plan(
            steps=steps,
            names=tuple(self.names),
            path_names=self.path_names,
            collector=self.collector,
            embed=_embeds(self.bodies),
            hops=any(map(can_suspend, asynchronous)),
            asynchronous=bool(asynchronous),
        )


_GENERATORS = ("generator", "async_generator")
_GIVEN_NAMES = {Request: "request", Response: "response", BackgroundTasks: "tasks"}


def _name(func: Any) -> str:
    name: str = getattr(unwrap(func), "__name__", None) or type(func).__name__
    return name


def _identity(func: Any) -> Any:
    """What a dependency is known by: itself, or its identity where it cannot be hashed."""
    try:
        hash(func)
    except TypeError:
        return id(func)
    return func


def location_of(declared: Field) -> str:
    """Where a value is read from."""
    info = declared.info
    return info.in_ if isinstance(info, (Param, Body)) else "query"


def _embeds(body: list[Field]) -> bool:
    """FastAPI's rule: a single body parameter is the body, several are its keys."""
    if len({each.name for each in body}) > 1:
        return True
    return bool(body) and bool(getattr(body[0].info, "embed", None))
