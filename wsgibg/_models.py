"""A parameter model: the values of one source, gathered for one pydantic model."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, NamedTuple

from pydantic import BaseModel, Json
from pydantic.fields import FieldInfo

from wsgibg._annotations import is_sequence
from wsgibg.params import SOURCES

__all__ = ["Collect", "collect_for"]

#: Gives a model's input, from an opened source.
Collect = Callable[[Any], dict[str, Any]]


class _Wanted(NamedTuple):
    """One field of the model, as the source has it."""

    key: str
    alias: str
    many: bool
    info: FieldInfo


def collect_for(model: type[BaseModel], location: str, *, convert_underscores: bool) -> Collect:
    """How the input of a model is gathered from a source (FastAPI's rule).

    Args:
        model: the model; its aliases are the names in the request.
        location: ``"query"``, ``"header"`` or ``"cookie"``.
        convert_underscores: whether underscores of field names stand for hyphens (headers).

    Returns:
        A function from the opened source to a dictionary. What the model has no field for is
        in it as well, so that ``extra="forbid"`` can refuse it.
    """
    source = SOURCES[location]
    wanted = []
    known = set()
    for name, info in model.model_fields.items():
        alias = info.validation_alias if isinstance(info.validation_alias, str) else None
        alias = alias or info.alias or name
        seen = alias
        if location == "header" and convert_underscores and alias == name:
            seen = alias.replace("_", "-")
        many = is_sequence(info.annotation) and not any(
            type(each) is Json for each in info.metadata
        )
        wanted.append(_Wanted(source.key(seen), alias, many and location != "cookie", info))
        known |= {source.key(seen), source.key(alias)}

    def collect(opened: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for field in wanted:
            value = opened.getlist(field.key) if field.many else opened.get(field.key)
            if (value is None or value == []) and not field.info.is_required():
                value = deepcopy(field.info.get_default(call_default_factory=True))
            if value is not None and value != []:
                found[field.alias] = value
        for key, name in source.names(opened):
            if key not in known:
                values = opened.getlist(key) if hasattr(opened, "getlist") else [opened[key]]
                found[name] = values[0] if len(values) == 1 else values
        return found

    return collect
