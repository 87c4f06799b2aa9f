"""Types, defaults and constraints in the words that a user wrote."""

from __future__ import annotations

from functools import partial
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from wsgibg._fields import Field

__all__ = ["rules_of", "type_name"]

#: What pydantic's schemas call a constraint.
_CONSTRAINTS = (
    "gt",
    "ge",
    "lt",
    "le",
    "multiple_of",
    "min_length",
    "max_length",
    "pattern",
    "max_digits",
    "decimal_places",
    "allow_inf_nan",
    "strict",
)
#: The longest default that is printed whole, in characters.
_LONGEST = 40


def type_name(annotation: Any) -> str:
    """A type as it is written, without the modules.

    Args:
        annotation: a type, or what stands for one in an annotation.

    Example:
        >>> from collections.abc import Callable
        >>> from typing import Annotated, Literal, Optional
        >>> type_name(Callable[[tuple[int, ...]], None])
        'Callable[[tuple[int, ...]], None]'
        >>> type_name(dict[str, Optional[int]])
        'dict[str, int | None]'
        >>> type_name(Annotated[Literal["a.b", 1], "what markers say is said elsewhere"])
        "Literal['a.b', 1]"
    """
    if annotation in (None, NoneType):
        return "None"
    if annotation is ...:
        return "..."
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_name(args[0])
    if origin in (Union, UnionType):
        return " | ".join(map(type_name, args))
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, args))}]"
    if isinstance(annotation, list):  # the parameters of a Callable
        return f"[{', '.join(map(type_name, annotation))}]"
    if origin is not None and args:
        return f"{type_name(origin)}[{', '.join(map(type_name, args))}]"
    return getattr(annotation, "__name__", None) or str(annotation)


def rules_of(declared: Field) -> list[str]:
    """What holds for a value: required or its default, then the constraints.

    Args:
        declared: the value.
    """
    return [_presence(declared), *_constraints(declared.adapter.core_schema)]


def _presence(declared: Field) -> str:
    if declared.required:
        return "required"
    factory = declared.info.default_factory
    if factory is not None:
        return f"default: what {_called(factory)} returns"
    text = repr(declared.info.default)
    return f"default {text if len(text) <= _LONGEST else text[: _LONGEST - 3] + '...'}"


def _constraints(schema: Any) -> list[str]:
    """Those of a value itself; what a list's items or a model's fields must be is theirs."""
    found = [f"{key}={schema[key]!r}" for key in _CONSTRAINTS if key in schema]
    if schema["type"] in ("default", "nullable") or schema["type"].startswith("function-"):
        found += _checks(schema.get("function"))
        found += _constraints(schema["schema"]) if "schema" in schema else []
    return found


def _checks(function: Any) -> list[str]:
    """What a validator function says of the value that it checks."""
    func = function["function"] if function else None
    if isinstance(func, partial):
        # So pydantic checks a constraint that the type's own validator has no word for.
        return [f"{key}={value!r}" for key, value in func.keywords.items()]
    if func is None or func.__module__.partition(".")[0] in ("pydantic", "pydantic_core"):
        return []
    return [f"checked by {_called(func)}"]


def _called(func: Any) -> str:
    return f"{getattr(func, '__name__', None) or type(func).__name__}()"
