"""What a callable declares: its parameters, as data; the only reader of annotations."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, ForwardRef, Literal, NoReturn, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from wsgibg import params
from wsgibg._annotations import (
    is_class,
    is_scalar,
    is_scalar_sequence,
    is_upload,
    may_be,
    optional_class,
    unalias,
)
from wsgibg._fields import Field
from wsgibg._injected import Declared, Injected, is_injected
from wsgibg.background import BackgroundTask
from wsgibg.exceptions import EndpointContext, RegistrationError
from wsgibg.params import Depends, Marker

__all__ = [
    "Kind",
    "Parameter",
    "context_of",
    "kind_of",
    "marked",
    "may_give",
    "place_of",
    "read_signature",
    "return_annotation",
]

Kind = Literal["call", "coroutine", "generator", "async_generator"]
_EMPTY = inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a handler or dependency.

    Exactly one of ``depends``, ``gives`` and ``field`` says where its value comes from.

    Args:
        name: its name.
        positional: whether it may be passed by position.
        depends: the callable that gives it.
        gives: the class of a request's own object (`Request`, `BackgroundTasks`, …).
        field: the value that is read from the request and validated.
        base: its type, without markers.
    """

    name: str
    positional: bool
    depends: Depends | None = None
    gives: type | None = None
    field: Field | None = None
    base: Any = None


# ------------------------------------------------------------------ callables
def _impartial(func: Any) -> Any:
    while isinstance(func, partial):
        func = func.func
    return func


def kind_of(func: Any) -> Kind:
    """How a callable is called: directly, awaited, or entered up to its ``yield``.

    Partials, decorated functions and callable objects count as what they lead to, and
    classes as plain calls (FastAPI's rule).
    """
    bare = _impartial(func)
    faces = [bare, inspect.unwrap(bare)]
    for face in tuple(faces):
        if not inspect.isclass(face) and not inspect.isroutine(face):
            method = _impartial(face.__call__)
            faces += [method, inspect.unwrap(method)]
    for face in faces:
        if inspect.isasyncgenfunction(face):
            return "async_generator"
        if inspect.isgeneratorfunction(face):
            return "generator"
        if inspect.iscoroutinefunction(face):
            return "coroutine"
    return "call"


def place_of(func: Any) -> str:
    """``file:line name()`` of a callable, for messages."""
    bare = inspect.unwrap(_impartial(func))
    name = getattr(bare, "__name__", None) or type(bare).__name__
    target = bare if inspect.isclass(bare) or inspect.isroutine(bare) else type(bare)
    try:
        line = inspect.getsourcelines(target)[1]
        return f"{inspect.getsourcefile(target)}:{line} {name}()"
    except (OSError, TypeError):
        return f"{name}()"


def context_of(func: Any, path: str) -> EndpointContext:
    """What an error's text says of a handler.

    Args:
        func: the handler.
        path: method and path.
    """
    place, _, name = place_of(func).rpartition(" ")
    context = EndpointContext(path=path, function=name.removesuffix("()"))
    file, _, line = place.rpartition(":")
    if file:
        context["file"], context["line"] = file, int(line)
    return context


def _signature(func: Any, *, follow: bool = True) -> inspect.Signature:
    try:
        return inspect.signature(func, follow_wrapped=follow, eval_str=True)
    except (NameError, AttributeError, TypeError, SyntaxError):
        # A name that only type checkers see; each annotation gets its own chance below.
        return inspect.signature(func, follow_wrapped=follow)


def _resolved(annotation: Any, func: Any) -> Any:
    """A string annotation, evaluated among the globals of its function."""
    if not isinstance(annotation, str):
        return unalias(annotation)
    names = getattr(inspect.unwrap(_impartial(func)), "__globals__", {})
    try:
        return unalias(eval(annotation, names))  # noqa: S307 (PEP 563 asks for it)
    except NameError:
        return ForwardRef(annotation)


def return_annotation(func: Any) -> Any:
    """The annotation of what a callable returns; ``None`` where it has none."""
    annotation = _signature(func).return_annotation
    return None if annotation is inspect.Signature.empty else _resolved(annotation, func)


def may_give(func: Any, kind: type) -> bool:
    """Whether the annotation of a callable (or its absence) allows that it gives a class."""
    if inspect.isclass(func):
        return issubclass(func, kind)
    try:
        annotation = _signature(func).return_annotation
    except ValueError:
        return True
    if annotation is inspect.Signature.empty:
        return True
    return may_be(_resolved(annotation, func), kind)


# ------------------------------------------------------------------ parameters
def read_signature(
    func: Any,
    *,
    path_names: Collection[str] = (),
    injectable: tuple[type, ...] = (),
    start: str = "",
    via: str = "",
    lenient: bool = False,
    only: Collection[str] | None = None,
) -> tuple[Parameter, ...]:
    """The parameters of a handler or dependency.

    Args:
        func: the callable.
        path_names: the names of the route's path parameters.
        injectable: classes whose annotation asks for an object of the request.
        start: the place of the handler, for messages; by default the callable's own.
        via: how the callable was reached from there.
        lenient: whether the path may get further parameters, by a prefix.
        only: the parameters that are to be read, by name, of the callable itself rather than of
            what it wraps; by default all.

    Raises:
        RegistrationError: a parameter is declared in a way that cannot work.
    """
    own = place_of(func)
    if via:
        file = own.rpartition(" ")[0]
        via = f"{via} ({file})" if file else via
    start = start or own
    try:
        signature = _signature(func, follow=only is None)
    except ValueError as error:
        msg = f"{start}{via}: its parameters cannot be read ({error}). Wrap it in a def."
        raise RegistrationError(msg) from None
    reader = _Reader(func, path_names, injectable, start, via, lenient=lenient)
    given = signature.parameters.values()
    return tuple(reader.read(each) for each in given if only is None or each.name in only)


#: The text of an annotation that cannot be found, and is meant to be injected.
_MEANT = re.compile(r"\b(Depends|Security|Query|Header|Cookie)\(|\bBackgroundTasks\b")


def marked(func: Any, injectable: tuple[type, ...]) -> tuple[str, ...]:
    """The names of the parameters whose declaration says where their value comes from.

    Args:
        func: a callable whose other parameters are somebody else's to fill.
        injectable: classes whose annotation asks for an object of the request.
    """
    found = []
    for name, each in _signature(func, follow=False).parameters.items():
        annotation = _resolved(each.annotation, func)
        base, *markers = (
            get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
        )
        if (
            is_injected(each.default)
            or any(isinstance(marker, Declared) for marker in markers)
            or is_class(optional_class(unalias(base)), injectable)
            or (isinstance(annotation, ForwardRef) and _MEANT.search(annotation.__forward_arg__))
        ):
            found.append(name)
    return tuple(found)


class _Reader:
    """Reads one parameter after the other and knows what to call them in messages."""

    def __init__(
        self,
        func: Any,
        path_names: Collection[str],
        injectable: tuple[type, ...],
        start: str,
        via: str,
        *,
        lenient: bool,
    ) -> None:
        self.func = func
        self.lenient = lenient
        self.path_names = path_names
        self.injectable = injectable
        self.start = start
        self.via = via
        self.name = ""

    def refuse(self, reason: str) -> NoReturn:
        raise RegistrationError(f"{self.place()}: {reason}")

    def place(self) -> str:
        return f"{self.start}, parameter {self.name!r}{self.via}"

    def read(self, given: inspect.Parameter) -> Parameter:
        self.name = given.name
        injected = given.default is Injected
        if injected:
            given = given.replace(default=_EMPTY)
        if given.kind is given.VAR_POSITIONAL:
            self.refuse("*args cannot be filled from a request. Declare each parameter.")
        annotation = _resolved(given.annotation, self.func)
        positional = given.kind in (given.POSITIONAL_ONLY, given.POSITIONAL_OR_KEYWORD)
        base, markers = self._taken_apart(annotation)
        depends = self._depends(base, markers, given.default)
        wanted = optional_class(base)
        if depends is not None and (
            depends.dependency is not wanted or not is_class(wanted, self.injectable)
        ):
            return Parameter(given.name, positional, depends=depends, base=base)
        if is_class(wanted, self.injectable):
            if any(isinstance(each, FieldInfo) for each in (*markers, given.default)):
                self.refuse(f"{wanted.__name__} is given by its annotation alone. Drop the marker.")
            return Parameter(given.name, positional, gives=wanted)
        if is_class(wanted, BackgroundTask):
            self.refuse("a single BackgroundTask is not given. Use BackgroundTasks (with an s).")
        if injected and not any(isinstance(each, Marker) for each in markers):
            self._refuse_injected(annotation)
        field = self._field(annotation, base, markers, given.default)
        return Parameter(given.name, positional, field=field, base=base)

    def _refuse_injected(self, annotation: Any) -> NoReturn:
        if isinstance(annotation, ForwardRef):
            self.refuse(
                f"{annotation.__forward_arg__} names something that cannot be found. Define or"
                " import it at the top level of the module, or write `= Depends(f)`."
            )
        self.refuse("nothing says what is injected. Write Annotated[T, Depends(f)] = Injected.")

    def _taken_apart(self, annotation: Any) -> tuple[Any, list[Any]]:
        if annotation is _EMPTY:
            return Any, []
        if get_origin(annotation) is Annotated:
            base, *markers = get_args(annotation)
            return unalias(base), [each for each in markers if isinstance(each, _MARKERS)]
        return annotation, []

    def _depends(self, base: Any, markers: list[Any], default: Any) -> Depends | None:
        own = [each for each in markers if isinstance(each, (Depends, Marker))]
        depends = own[-1] if own and isinstance(own[-1], Depends) else None
        if isinstance(default, Depends):
            if own:
                self.refuse("a marker in Annotated and Depends() as the default: keep one.")
            depends = default
        if depends is not None and depends.dependency is None:
            depends = replace(depends, dependency=base)
        if depends is not None and not callable(depends.dependency):
            self.refuse(f"Depends({depends.dependency!r}) cannot be called. Pass a function.")
        return depends

    def _field(self, annotation: Any, base: Any, markers: list[Any], default: Any) -> Field:
        if annotation is _EMPTY:
            annotation = Any
        own = [each for each in markers if isinstance(each, Marker)]
        if isinstance(default, FieldInfo):
            if own:
                self.refuse("a marker in Annotated and another as the default: keep one.")
            info = copy(default)
            annotation = Annotated[annotation, info]
        elif own:
            info = copy(own[-1])
            if info.default is not params.Undefined:
                self.refuse(
                    f"{type(info).__name__}() in Annotated cannot have a default."
                    " Write it behind the annotation, as `= value`."
                )
            self._set_default(info, default)
        else:
            info = self._inferred(base, default)
        self._check(info, base)
        if isinstance(info, Marker):
            alias = self._alias(info)
        else:
            self.refuse(
                "pydantic's Field() does not say where the value is. Use Query() or Body()."
            )
        checks = isinstance(info, params.Param)
        return Field(self.name, alias, annotation, base, info, self.place(), checks_default=checks)

    def _set_default(self, info: Marker, default: Any) -> None:
        if default is _EMPTY or default is ...:
            return
        if isinstance(info, params.Path):
            self.refuse("path parameters cannot have a default value: the path always has them.")
        info.default = default

    def _inferred(self, base: Any, default: Any) -> Marker:
        """The marker of a parameter without one: by its name, then by its type (FastAPI's rule)."""
        if self.name in self.path_names:
            return params.Path()
        value = params.Undefined if default is _EMPTY else default
        if is_upload(base):
            self.refuse("uploaded files are not supported yet. Read `await request.form()`.")
        return params.Query(value) if is_scalar(base) else params.Body(value)

    def _check(self, info: FieldInfo, base: Any) -> None:
        if self.name in self.path_names:
            if not isinstance(info, params.Path):
                self.refuse(f"it is in the path, so {type(info).__name__}() cannot mark it.")
            if not is_scalar(base):
                self.refuse(
                    f"a part of the path is one string, which {base!r} cannot be read from."
                )
        elif isinstance(info, params.Path):
            if not self.lenient and self._alias(info) not in self.path_names:
                self.refuse(f"the path has no {{{self.name}}}. Name it there, or use Query().")
        elif isinstance(info, params.Param):
            fits = is_scalar(base) or is_scalar_sequence(base) or is_class(base, BaseModel)
            if isinstance(info, params.Query) and not fits:
                self.refuse(f"a query string cannot hold {base!r}. Use Body().")

    def _alias(self, info: Marker) -> str:
        if isinstance(info.validation_alias, str) and info.validation_alias:
            return info.validation_alias
        if not info.alias and getattr(info, "convert_underscores", False):
            return self.name.replace("_", "-")
        return info.alias or self.name


_MARKERS = (Depends, FieldInfo)
