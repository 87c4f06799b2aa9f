"""Values encoded as FastAPI encodes them."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from fastapi.encoders import jsonable_encoder as fastapi_encoder
from fastapi.responses import JSONResponse
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AnyUrl, BaseModel, Field, NameEmail, PostgresDsn, SecretBytes

from wsgibg.encoders import dump_json, dump_plain, jsonable_encoder


class Colour(Enum):
    RED = "red"
    DAY = date(2024, 5, 17)


class Size(IntEnum):
    BIG = 3


class Inner(BaseModel):
    a: int = Field(1, alias="A")
    b: Any = None


class Text(str):
    __slots__ = ()


class Stamp(date):
    pass


@dataclass
class Point:
    a: Any
    b: Any = None


class Plain:
    def __init__(self, value: Any) -> None:
        self.a = value
        self._sa_state = 1


LEAVES = st.sampled_from(
    [
        *[None, True, 7, 1.5, float("inf"), "a", "_sa_x", Text("t"), b"b", b"\xff"],
        *[date(2024, 5, 17), Stamp(2024, 5, 17), Decimal(3), Decimal("3.10"), Decimal("NaN")],
        *[Colour.RED, Colour.DAY, Size.BIG, PurePosixPath("a/b"), UUID(int=1)],
        *[AnyUrl("https://example.org"), PostgresDsn("postgresql://u@h/d"), object(), Colour],
        *[SecretBytes(b"x"), NameEmail("Ada", "ada@example.org"), Inner(b=2), Inner(A=2)],
    ]
)
KEYS = st.sampled_from(["a", "b", "_sa_x", 1, None, Colour.RED, Size.BIG, (1, 2)])
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.lists(inner, max_size=3).map(deque),
        st.dictionaries(KEYS, inner, max_size=3),
        st.dictionaries(KEYS, inner, max_size=3).map(MappingProxyType),
        inner.map(Plain),
        inner.map(Point),
        inner.map(lambda value: Inner(b=value)),
    ),
    max_leaves=6,
)
NAMES = st.none() | st.sets(st.sampled_from(["a", "b", "A"])) | st.lists(st.sampled_from("ab"))
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "include": NAMES,
        "exclude": NAMES,
        "by_alias": st.booleans(),
        "exclude_unset": st.booleans(),
        "exclude_defaults": st.booleans(),
        "exclude_none": st.booleans(),
        "sqlalchemy_safe": st.booleans(),
        "custom_encoder": st.sampled_from([None, {date: lambda _: "D"}, {Size: str, str: repr}]),
    },
)


def outcome(function: Any, *args: Any, **kwargs: Any) -> Any:
    """What a call returns, or that it raises."""
    try:
        return repr(function(*args, **kwargs))
    except Exception:
        return "an error"


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydantic's, of values of the wrong type
@settings(max_examples=500)
@given(value=VALUES, options=OPTIONS)
def test_values_become_what_fastapi_makes_of_them(value: Any, options: dict[str, Any]) -> None:
    """With any options, at any depth; where FastAPI fails, so do we."""
    theirs = outcome(fastapi_encoder, value, **options)
    assert outcome(jsonable_encoder, value, **options) == theirs


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=300)
@given(value=VALUES)
def test_bytes_say_what_fastapis_bytes_say(value: Any) -> None:
    """The text may differ in how it writes a number (1e-7), never in what it says."""

    def theirs(value: Any) -> Any:
        return json.loads(JSONResponse(fastapi_encoder(value)).body)

    assert outcome(lambda: json.loads(dump_json(value))) == outcome(theirs, value)


@settings(max_examples=300)
@given(value=VALUES)
def test_a_json_response_takes_what_starlettes_takes(value: Any) -> None:
    """Nothing is encoded there that the json module does not know."""
    theirs = outcome(lambda: json.loads(JSONResponse(value).body))
    assert outcome(lambda: json.loads(dump_plain(value))) == theirs
