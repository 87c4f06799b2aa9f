"""What an annotation means for a parameter: one value, several, or a structure."""

from __future__ import annotations

import collections
import dataclasses
import types
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, Json

from wsgibg.datastructures import UploadFile

__all__ = [
    "is_class",
    "is_json",
    "is_scalar",
    "is_scalar_sequence",
    "is_sequence",
    "is_upload",
    "may_be",
    "optional_class",
    "unalias",
    "unannotated",
]

_SEQUENCES = (list, tuple, set, frozenset, collections.deque, Sequence)


def is_class(annotation: Any, bases: type | tuple[type, ...]) -> bool:
    """`issubclass` for what may not be a class at all."""
    return (
        isinstance(annotation, type) and not get_args(annotation) and issubclass(annotation, bases)
    )


def unalias(annotation: Any) -> Any:
    """What a PEP 695 ``type X = ...`` stands for."""
    while type(annotation).__name__ == "TypeAliasType":
        annotation = annotation.__value__
    return annotation


def unannotated(annotation: Any) -> Any:
    """The type inside ``Annotated``."""
    annotation = unalias(annotation)
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, or nothing."""
    union = get_origin(annotation) in (Union, types.UnionType)
    return get_args(annotation) if union else ()


def optional_class(annotation: Any) -> Any:
    """The class in ``Optional[class]``; anything else as it is."""
    rest = [each for each in _members(annotation) if each is not type(None)]
    return rest[0] if len(rest) == 1 else annotation


def _any_of(annotation: Any, test: Callable[[Any], bool]) -> bool:
    """Whether a test holds for an annotation, or for any member of a union."""
    annotation = unannotated(annotation)
    members = _members(annotation)
    if members:
        return any(_any_of(member, test) for member in members)
    return test(annotation)


def is_sequence(annotation: Any) -> bool:
    """Whether it, or a member of the union, is a list, tuple, set or the like."""
    return _any_of(annotation, _is_sequence)


def _is_sequence(annotation: Any) -> bool:
    kind = get_origin(annotation) or annotation
    return is_class(kind, _SEQUENCES) and not issubclass(kind, (str, bytes))


def _is_structure(annotation: Any) -> bool:
    origin = get_origin(annotation)
    return (
        is_class(annotation, (BaseModel, Mapping, UploadFile))
        or is_class(origin, Mapping)
        or _is_sequence(annotation)
        or (dataclasses.is_dataclass(annotation) and isinstance(annotation, type))
        or hasattr(origin, "__get_pydantic_core_schema__")
        or hasattr(origin, "__pydantic_core_schema__")
    )


def is_scalar(annotation: Any) -> bool:
    """Whether a value of it is one string in a URL; else it comes from the body."""
    return annotation is ... or not _any_of(annotation, _is_structure)


def is_scalar_sequence(annotation: Any) -> bool:
    """Whether it is a sequence of scalars, and so may be a repeated key."""
    annotation = unannotated(annotation)
    members = _members(annotation)
    if members:
        return any(is_scalar_sequence(member) for member in members) and all(
            is_scalar_sequence(member) or is_scalar(member) for member in members
        )
    return _is_sequence(annotation) and all(is_scalar(item) for item in get_args(annotation))


def may_be(annotation: Any, kind: type) -> bool:
    """Whether a value of an annotation (or what it yields) may be of a class."""
    annotation = unannotated(annotation)
    if annotation is None:
        return False
    members = _members(annotation)
    if members:
        return any(may_be(member, kind) for member in members)
    origin = get_origin(annotation)
    if is_class(origin, (Iterator, Iterable, AsyncIterator, AsyncIterable)) and origin not in (
        *_SEQUENCES,
        dict,
    ):
        return any(may_be(each, kind) for each in get_args(annotation)[:1])
    concrete = origin or annotation
    if not isinstance(concrete, type):
        return True  # Any, a type variable, a name that only type checkers see
    return issubclass(concrete, kind) or issubclass(kind, concrete)


def is_json(annotation: Any) -> bool:
    """Whether it is pydantic's ``Json``: a structure that one string holds."""
    annotation = unalias(annotation)
    return get_origin(annotation) is Annotated and any(
        type(each) is Json for each in annotation.__metadata__
    )


def is_upload(annotation: Any) -> bool:
    """Whether it is an uploaded file, or several."""

    def test(kind: Any) -> bool:
        if _is_sequence(kind):
            return bool(get_args(kind)) and all(is_upload(item) for item in get_args(kind))
        return is_class(kind, UploadFile)

    return _any_of(annotation, test)
