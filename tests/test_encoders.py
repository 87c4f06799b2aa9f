"""Any value as JSON."""

from __future__ import annotations

import json
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from ipaddress import IPv4Address, IPv6Network
from pathlib import PurePosixPath
from re import compile as pattern
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AnyUrl, BaseModel, ConfigDict, Field, SecretStr
from pydantic_core import PydanticUndefined

from wsgibg.encoders import ENCODERS_BY_TYPE, dump_json, dump_plain, is_plain, jsonable_encoder
from wsgibg.exceptions import FastAPIError


class Colour(Enum):
    RED = "red"


class Shade(str, Enum):  # noqa: UP042, both spellings occur
    DARK = "dark"


class Size(IntEnum):
    BIG = 3


class Item(BaseModel):
    name: str
    price: float | None = None
    tags: list[str] = Field(default=[], alias="labels")
    model_config = ConfigDict(populate_by_name=True)


@dataclass
class Point:
    x: int
    at: date | None = None
    more: list[Item] = field(default_factory=list)


class Plain:
    def __init__(self):
        self.day = date(2024, 5, 17)
        self._sa_instance_state = object()


class Text(str):
    __slots__ = ()


class Pairs:
    def __iter__(self):
        return iter([("a", 1)])


class Broken:
    __slots__ = ()

    def __iter__(self):
        raise RuntimeError("no")


class Pair(NamedTuple):
    left: int
    right: int


# --- what becomes of each kind of value ----------------------------------------------------


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (1.5, 1.5),
        ("text", "text"),
        pytest.param(Text("text"), Text("text"), id="a str of its own class"),
        (b"bytes", "bytes"),
        (date(2024, 5, 17), "2024-05-17"),
        (datetime(2024, 5, 17, 8, 30, tzinfo=UTC), "2024-05-17T08:30:00+00:00"),
        (time(8, 30), "08:30:00"),
        (timedelta(minutes=1.5), 90.0),
        (Decimal(1), 1),
        (Decimal("1.50"), 1.5),
        (Colour.RED, "red"),
        (Shade.DARK, "dark"),
        (Size.BIG, 3),
        (PurePosixPath("a/b"), "a/b"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (IPv4Address("127.0.0.1"), "127.0.0.1"),
        (IPv6Network("::/8"), "::/8"),
        (AnyUrl("https://example.org/a"), "https://example.org/a"),
        (SecretStr("hush"), "**********"),
        (pattern("a+"), "a+"),
        (PydanticUndefined, None),
        ((1, 2), [1, 2]),
        ({1}, [1]),
        (frozenset({1}), [1]),
        (deque([1]), [1]),
        ((n for n in (1, 2)), [1, 2]),
        (Pair(1, Size.BIG), [1, 3]),
        (OrderedDict(a=Colour.RED), {"a": "red"}),
        (MappingProxyType({"a": Colour.RED}), {"a": "red"}),
        ({Colour.RED: {date(2024, 5, 17): None}}, {"red": {"2024-05-17": None}}),
        (Pairs(), {"a": 1}),
        (Plain(), {"day": "2024-05-17"}),
        (Item(name="tea"), {"name": "tea", "price": None, "labels": []}),
        (
            Point(1, more=[Item(name="tea")]),
            {"x": 1, "at": None, "more": [{"name": "tea", "price": None, "labels": []}]},
        ),
    ],
    ids=repr,
)
def test_a_value_becomes_what_json_can_carry(value, encoded):
    """Each kind of value has one form, at any depth."""
    result = jsonable_encoder(value)
    assert result == encoded
    assert type(result) is type(encoded) or isinstance(value, Shade | Size)
    json.dumps(result)


def test_the_value_of_an_enum_is_an_ordinary_one():
    """An enum that is a `str` as well comes out as the plain string."""
    assert type(jsonable_encoder(Shade.DARK)) is str
    assert type(jsonable_encoder(Size.BIG)) is int


def test_an_object_without_items_and_attributes_is_refused_with_both_reasons():
    """The message names the value, its type and the remedy."""
    with pytest.raises(ValueError, match=r"of type Broken .* items .no. nor attributes .*Return a"):
        jsonable_encoder({"a": [Broken()]})


def test_a_dataclass_itself_is_refused():
    """A forgotten pair of parentheses is named."""
    with pytest.raises(TypeError, match=r"Point.* is a class, not an instance"):
        jsonable_encoder(Point)


def test_a_model_of_pydantic_1_is_refused():
    """It is told by its name, so that nothing of pydantic 1 is imported."""
    old = type("BaseModel", (), {"__module__": "pydantic.v1.main"})
    model = type("Old", (old,), {})
    with pytest.raises(FastAPIError, match=r"model of pydantic.v1, which is not supported"):
        jsonable_encoder(model())


def test_a_colour_of_pydantics_extra_types_is_its_text():
    """It is told by its name, so that nothing optional is imported."""

    class Color:
        __module__ = "pydantic_extra_types.color"
        __qualname__ = "Color"

        def __str__(self):
            return "orange"

    assert jsonable_encoder([Color()]) == ["orange"]


def test_a_type_can_be_given_an_encoder_for_good(monkeypatch):
    """The table of encoders is asked at every call, also for subclasses."""
    monkeypatch.setitem(ENCODERS_BY_TYPE, Broken, lambda _: "mended")
    assert jsonable_encoder([type("Worse", (Broken,), {})()]) == ["mended"]


# --- options -------------------------------------------------------------------------------


def test_fields_are_included_and_excluded():
    """Models, dataclasses and dictionaries alike; the elements of a list each."""
    item = Item(name="tea", price=2)
    assert jsonable_encoder(item, include={"name"}) == {"name": "tea"}
    assert jsonable_encoder(item, exclude=["price", "tags"]) == {"name": "tea"}
    assert jsonable_encoder([{"a": 1, "b": 2}], include=["a"]) == [{"a": 1}]
    assert jsonable_encoder(Point(1), exclude={"at", "more"}) == {"x": 1}
    assert jsonable_encoder({"a": {"a": 1, "b": 2}}, include={"a"}) == {"a": {"a": 1, "b": 2}}


def test_models_options_are_passed_on():
    """Aliases, unset fields, defaults and `None` are the model's business."""
    item = Item(name="tea", tags=[])
    assert jsonable_encoder(item, by_alias=False) == {"name": "tea", "price": None, "tags": []}
    assert jsonable_encoder(item, exclude_unset=True) == {"name": "tea", "labels": []}
    assert jsonable_encoder(item, exclude_defaults=True) == {"name": "tea"}
    assert jsonable_encoder(item, exclude_none=True) == {"name": "tea", "labels": []}


def test_none_is_left_out_of_dictionaries_too():
    """But not out of lists."""
    assert jsonable_encoder({"a": None, "b": [None]}, exclude_none=True) == {"b": [None]}


def test_a_custom_encoder_is_asked_first():
    """By exact type before the first that fits, at any depth but not inside a model."""
    encoders = {date: lambda d: "date", datetime: lambda d: "datetime"}
    value = {"a": datetime(2024, 5, 17, tzinfo=UTC), "b": [date(2024, 5, 17)]}
    assert jsonable_encoder(value, custom_encoder=encoders) == {"a": "datetime", "b": ["date"]}
    assert jsonable_encoder(datetime.now(UTC), custom_encoder={date: lambda d: "date"}) == "date"
    assert jsonable_encoder("a", custom_encoder={int: str}) == "a"
    assert jsonable_encoder(Item(name="tea"), custom_encoder={str: str.upper})["name"] == "tea"


def test_sqlalchemys_state_is_left_out_unless_it_is_wanted():
    """Keys that begin with `_sa`."""
    value = {"_sa_instance_state": 1, "_salt": 2, 3: 4, "a": 5}
    assert jsonable_encoder(value) == {3: 4, "a": 5}
    assert jsonable_encoder(value, sqlalchemy_safe=False) == value


def test_an_unknown_option_is_refused():
    """A misspelled option is not ignored."""
    with pytest.raises(TypeError, match="sqlalchemy_save"):
        jsonable_encoder({}, sqlalchemy_save=True)


# --- bytes ---------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)  # fmt: skip


@given(JSON)
def test_plain_data_come_back_from_their_bytes(value):
    """The fast way writes what the json module reads."""
    assert is_plain(value)
    assert json.loads(dump_plain(value)) == value
    if "_sa" not in repr(value):
        assert json.loads(dump_json(value)) == value


@pytest.mark.parametrize("dump", [dump_json, dump_plain])
def test_the_text_is_compact_and_in_utf8(dump):
    """No spaces, no escapes where none are needed."""
    assert dump({"a": [1, "ä"], "b": None}) == '{"a":[1,"ä"],"b":null}'.encode()


@pytest.mark.parametrize("dump", [dump_json, dump_plain])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    "wrap",
    [lambda n: n, lambda n: {"a": n}, lambda n: [{"a": [n]}]],
    ids=["bare", "in a dict", "deep"],
)
def test_numbers_that_json_lacks_are_refused(dump, number, wrap):
    """At any depth, by the fast way and by the other."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump(wrap(number))
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump((wrap(number),))


@pytest.mark.parametrize("dump", [dump_json, dump_plain])
def test_their_names_as_text_are_allowed(dump):
    """A string that says NaN is a string."""
    assert dump({"NaN": "Infinity"}) == b'{"NaN":"Infinity"}'


@pytest.mark.parametrize("dump", [dump_json, dump_plain])
def test_a_lone_surrogate_is_refused(dump):
    """UTF-8 has no bytes for it."""
    with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
        dump(["\ud800"])


def test_dump_json_takes_any_value():
    """It encodes first what is not plain."""
    assert dump_json([Item(name="tea"), {1}]) == b'[{"name":"tea","price":null,"labels":[]},[1]]'
    assert dump_json({1: True, None: False}) == b'{"1":true,"null":false}'


def test_dump_plain_takes_no_other_value():
    """A response class is given encoded data."""
    assert dump_plain(({1: Shade.DARK},)) == b'[{"1":"dark"}]'
    with pytest.raises(TypeError, match="date is not JSON serializable"):
        dump_plain(date(2024, 5, 17))


def test_dump_json_leaves_out_sqlalchemys_state():
    """Also where everything is plain; a value may say `_sa`."""
    assert dump_json({"_sa_instance_state": 1, "a": [{"_sa": 1}, "_sa"]}) == b'{"a":[{},"_sa"]}'
    assert dump_plain({"_sa": 1}) == b'{"_sa":1}'


def test_deep_nesting_is_written():
    """Deeper than the fast way goes."""
    value = []
    for _ in range(200):
        value = [value]
    assert dump_json(value) == b"[" * 201 + b"]" * 201


def test_a_value_that_contains_itself_is_refused():
    """Clearly, and by both."""
    value = {}
    value["self"] = [value]
    with pytest.raises(RecursionError, match="of type dict contains itself"):
        dump_json(value)
    with pytest.raises(ValueError, match="Circular"):
        dump_plain(value)


@pytest.mark.parametrize(
    "value", [{1: 1}, (1,), {Shade.DARK: 1}, [Size.BIG], {"a": {"b": b""}}, float("nan")], ids=repr
)
def test_only_jsons_own_types_are_plain(value):
    """A subclass may mean something else."""
    assert not is_plain(value)
