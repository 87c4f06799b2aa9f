"""A declared value: how it is validated, and what stands in for it when it is missing."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from pydantic import TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation
from pydantic.fields import FieldInfo
from pydantic.warnings import UnsupportedFieldAttributeWarning
from pydantic_core import ValidationError

from wsgibg.exceptions import RegistrationError

__all__ = ["Field", "adapter_of", "missing", "relocated"]

#: In place of a default that has to be made for each request.
NOT_CONSTANT: Any = object()
#: Types whose default is given as it is; any other is copied for each request.
_IMMUTABLE = (str, int, float, bool, bytes, type(None))


def adapter_of(annotation: Any, place: str) -> TypeAdapter[Any]:
    """Pydantic's adapter of an annotation.

    Args:
        annotation: a type, with markers and constraints in ``Annotated``.
        place: where it stands, for the message.

    Raises:
        RegistrationError: pydantic cannot validate it.
    """
    try:
        with warnings.catch_warnings():
            # A marker carries an alias for us; pydantic says that it makes no use of it.
            warnings.simplefilter("ignore", UnsupportedFieldAttributeWarning)
            adapter = TypeAdapter(annotation)
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation) as error:
        msg = (
            f"{place}: {annotation!r} is not a type that pydantic can validate"
            f" ({str(error).splitlines()[0]}). Use another type, or give the value by Depends()."
        )
        raise RegistrationError(msg) from None
    if not adapter.pydantic_complete:
        # PEP 563 keeps annotations as text, and what a function defines is out of reach then.
        msg = (
            f"{place}: {annotation!r} names something that cannot be found."
            " Define or import it at the top level of the module."
        )
        raise RegistrationError(msg)
    return adapter


class Field:
    """A parameter's value: its names, its validation and its default.

    Args:
        name: the parameter's name.
        alias: the name in the request; the last part of an error's ``loc``.
        annotation: the declared type, markers included.
        base: the declared type without them.
        info: the marker.
        place: where it was declared, for messages.
        checks_default: whether the default is validated like a value that came with the request
            (FastAPI's rule for all but bodies).
    """

    __slots__ = (
        "adapter",
        "alias",
        "annotation",
        "base",
        "checks_default",
        "constant",
        "info",
        "name",
        "place",
        "plain",
        "required",
    )

    def __init__(
        self,
        name: str,
        alias: str,
        annotation: Any,
        base: Any,
        info: FieldInfo,
        place: str,
        *,
        checks_default: bool = False,
    ) -> None:
        self.name = name
        self.alias = alias
        self.annotation = annotation
        self.base = base
        self.info = info
        self.place = place
        self.required = info.is_required()
        self.adapter = adapter_of(annotation, place)
        #: Whether any string is valid as it is, so that nothing need be asked.
        self.plain = _is_plain(self.adapter.core_schema)
        self.checks_default = checks_default
        #: The default that every request may share; `NOT_CONSTANT` where there is none.
        self.constant = self._constant()

    @property
    def validate(self) -> Callable[..., Any]:
        """The bound method of pydantic-core, which costs 0.04 µs for an int."""
        return self.adapter.validator.validate_python

    def same_from_json(self) -> bool:
        """Whether what pydantic's JSON mode takes is what its Python mode makes of `json.loads`.

        Strict types, base64 bytes and validators that ask for the mode tell the two apart; so do
        unions (of ``date | str``, JSON mode takes the date) and decimals (1.0 has two digits or
        one). A null that has to be refused as missing is none of pydantic's business.
        """
        schema = repr(self.adapter.core_schema)
        words = any(word in schema for word in _MODE_WORDS)
        return not words and not _takes_null(self.adapter.core_schema)

    def default_is_constant(self) -> bool:
        """Whether every request may share the default."""
        return self.constant is not NOT_CONSTANT

    def default(self) -> Any:
        """A default of the request's own.

        Raises:
            pydantic_core.ValidationError: it is not what the parameter asks for.
        """
        value = deepcopy(self.info.get_default(call_default_factory=True))
        return self.validate(value) if self.checks_default and value is not None else value

    def _constant(self) -> Any:
        if self.info.default_factory is not None or type(self.info.default) not in _IMMUTABLE:
            return NOT_CONSTANT
        if self.checks_default and "'function-" in repr(self.adapter.core_schema):
            return NOT_CONSTANT  # somebody's code may say something else each time
        try:
            value = self.default()
        except ValidationError:
            return NOT_CONSTANT  # told to each request that needs it
        return value if type(value) in _IMMUTABLE else NOT_CONSTANT


_MODE_WORDS: tuple[str, ...] = (
    "'strict': True",
    "val_json_bytes",
    "with-info",
    "json-or-python",
    "is-instance",
)
_MODE_WORDS += ("'type': 'union'", "'type': 'decimal'")

#: Schemas that surely refuse null.
_NOT_NULL = frozenset(
    [
        "model-fields",
        "dataclass",
        "dataclass-args",
        "typed-dict",
        "tagged-union",
        "list",
        "tuple",
        "set",
        "frozenset",
        "dict",
        "str",
        "int",
        "float",
        "bool",
        "bytes",
        "date",
        "time",
        "datetime",
        "timedelta",
        "uuid",
        "url",
    ]
)


def _takes_null(schema: Any) -> bool:
    """Whether null may be valid for pydantic's schema; in doubt, yes."""
    known = {each["ref"]: each for each in schema.get("definitions", ())}
    while schema["type"] in ("definitions", "definition-ref", "model", "function-after"):
        if schema.get("root_model"):
            return True
        reference = schema.get("schema_ref")
        schema = schema["schema"] if reference is None else known[reference]
    return schema["type"] not in _NOT_NULL


def _is_plain(schema: Any) -> bool:
    """Whether pydantic's schema takes any string as it is."""
    while schema["type"] in ("default", "nullable"):
        schema = schema["schema"]
    return schema["type"] in ("str", "any") and set(schema) <= {"type", "metadata"}


def missing(loc: tuple[str | int, ...]) -> dict[str, Any]:
    """FastAPI's error for a required value that the request does not have."""
    return {"type": "missing", "loc": loc, "msg": "Field required", "input": None}


def relocated(error: ValidationError, loc: tuple[str | int, ...]) -> list[dict[str, Any]]:
    """Pydantic's errors with their place in the request in front, as FastAPI gives them."""
    return [{**each, "loc": (*loc, *each["loc"])} for each in error.errors(include_url=False)]
