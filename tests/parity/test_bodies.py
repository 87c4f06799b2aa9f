# ruff: noqa: B006, I002, UP007
# (Annotations are looked up where they stand, in local names; old spellings are declared too.)
"""JSON bodies, compared with FastAPI's."""

import datetime
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Generic, Literal, Optional, TypeVar, Union

import pytest
from pydantic import BaseModel, ConfigDict, Field, Json, RootModel, model_validator
from typing_extensions import TypedDict

from tests.parity.both import Ask, both

T = TypeVar("T")


class Size(Enum):
    """Of a thing."""

    SMALL = "s"
    LARGE = "l"


class Item(BaseModel):
    """What is sent."""

    name: str
    price: float = Field(default=1.0, gt=0)
    tags: list[str] = []
    size: Size | None = None
    made: datetime.date | None = None


class User(BaseModel):
    """What is sent with it."""

    model_config = ConfigDict(extra="forbid")
    login: str = Field(alias="userName", min_length=2)
    friend: Optional["User"] = None


class Cat(BaseModel):
    """One kind of pet."""

    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    """Another kind."""

    kind: Literal["dog"]
    name: str


class Strict(BaseModel):
    """Takes no conversions."""

    model_config = ConfigDict(strict=True)
    number: int
    when: datetime.date | None = None
    data: bytes = b""
    pair: tuple[int, int] = (0, 0)


class Checked(BaseModel):
    """Has a rule of its own."""

    low: int
    high: int

    @model_validator(mode="after")
    def ordered(self) -> "Checked":
        """Low is not above high."""
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


class Box(BaseModel, Generic[T]):
    """Holds something."""

    content: T


class Root(RootModel[list[int] | None]):
    """A list or nothing."""


class Lenient(BaseModel):
    """Makes an object of anything."""

    name: str = "none"

    @model_validator(mode="before")
    @classmethod
    def from_anything(cls, value: Any) -> Any:
        """Whatever it is."""
        return value if isinstance(value, dict) else {"name": repr(value)}


@dataclass
class Point:
    """No model of pydantic's."""

    x: int
    y: int = 0


class Options(TypedDict, total=False):
    """Nor this."""

    depth: int


JSON = {"Content-Type": "application/json"}
SCALARS: list[bytes] = [
    b"",
    b"null",
    b"true",
    b"1",
    b"1.5",
    b'"x"',
    b'"1"',
    b"[]",
    b"{}",
    b"[1]",
    b'["a", 2]',
    b'{"name": "n"}',
    b'{"name": 1}',
    b'{"name": "n", "price": "2.5", "size": "s", "made": "2024-02-29"}',
    b'{"name": "n", "price": 0, "tags": "a", "size": "x", "made": "2024-02-30"}',
    b'{"userName": "me", "friend": {"userName": "you"}}',
    b'{"userName": "m", "friend": {"login": "you"}, "more": 1}',
    b'{"kind": "cat", "lives": 9}',
    b'{"kind": "dog"}',
    b'{"kind": "bird"}',
    b'{"number": 1, "when": "2024-01-01", "data": "abc", "pair": [1, 2]}',
    b'{"number": "1"}',
    b'{"low": 1, "high": 2}',
    b'{"low": 2, "high": 1}',
    b'{"content": [{"name": "n"}]}',
    b'{"x": 1, "y": "2"}',
    b'{"depth": "3", "other": 1}',
    b'{"1": 2, "a": 1}',
    b'{"item": {"name": "n"}, "user": {"userName": "me"}, "count": 3}',
    b'{"item": {}, "user": null, "count": "x"}',
    b'{"item": [], "count": null}',
    b'{"value": 3}',
    b'{"value": null}',
    b'{"name": "a", "name": "b"}',
]
BROKEN: list[bytes] = [
    b"{",
    b"[1,]",
    b"{'name': 1}",
    b'{"name": "n"} x',
    b"nan",
    b"\xff",
    b'"\xff"',
    b'{"name": "\xff"}',
    b'\xef\xbb\xbf{"name": "n"}',
    '{"name": "n"}'.encode("utf-16"),
    '{"name": "é"}'.encode("latin-1"),
    b'{"name": "a\\u0000b"}',
    b'{"name": "a\x00b"}',
    b" ",
    b"\n\n{",
    b'{"name":\n"n",\n}',
    b"1" * 5000,
    b"1.0",
    b'"2024-02-29"',
    b"[1.0, 1]",
    b"-",
    b"[" * 100_000,
]
# Python's json module reads these, and cannot write what it has read.
UNSPEAKABLE: list[bytes] = [
    b"NaN",
    b"[Infinity]",
    b"[-Infinity, 1]",
    b'{"name": "n", "price": NaN}',
    b'{"name": "n", "price": Infinity}',
    b'{"name": NaN, "value": NaN}',
    b'"\\ud800"',
    b'{"name": "\\ud800"}',
    b'{"\\ud800": 1}',
    b"1e999",
]
KINDS: list[Any] = [
    Item,
    Item | None,
    User,
    Strict,
    Checked,
    Box[list[Item]],
    Point,
    Options,
    dict[str, int],
    dict[int, Any],
    dict,
    list[int],
    list[Any],
    datetime.date | str,
    list[Decimal | int],
    Root,
    Lenient,
    set[str],
    tuple[int, str],
    list[Item] | Item,
    Cat | Dog,
    Union[int, list[str], None],
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_type_reads_the_same_as_the_only_body(kind: Any) -> None:
    """Whatever is sent gives the same value or the same errors."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.post("/required")
        def required(value: kind) -> Any:
            return repr(value)

        @app.post("/optional")
        def optional(value: kind = None) -> Any:
            return repr(value)

        @app.post("/embedded")
        def embedded(value: Annotated[kind, ns.Body(embed=True)]) -> Any:
            return repr(value)

        @app.post("/late")
        def late(value: kind, asked: Annotated[str, ns.Depends(lambda: "asked")]) -> Any:
            return [repr(value), asked]

        return app

    pair = both(declare)
    for content in [*SCALARS, *BROKEN]:
        for path in ("/required", "/optional", "/late"):
            pair.post(path, JSON, content=content)
    for content in [*SCALARS, b"{", b'{"value": ["a"]}', b'{"value": {"name": "n"}}']:
        pair.post("/embedded", JSON, content=content)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_what_json_cannot_carry_back_is_answered_all_the_same(kind: Any) -> None:
    """NaN and half a surrogate pair: where FastAPI answers 500, for want of a 422, we do not."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.post("/")
        def read(value: kind) -> Any:
            return ascii(value)

        @app.post("/raw")
        def raw(value: Annotated[bytes, ns.Body()], q: int) -> Any:
            return repr(value)

        return app

    pair = both(declare)
    for content in UNSPEAKABLE:
        theirs, ours = pair.answers(Ask("POST", "/", tuple(JSON.items()), content))
        assert ours == theirs or (ours.status, theirs.status) == (422, 500)
    text = (("Content-Type", "text/plain"),)
    for path in ("/", "/raw"):
        theirs, ours = pair.answers(Ask("POST", path, text, b"\xff"))
        assert ours == theirs or (ours.status, theirs.status) == (422, 500)


def test_a_discriminator_tells_models_apart() -> None:
    """The field that it names decides which model is meant."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.post("/")
        def read(value: Annotated[Cat | Dog, Field(discriminator="kind")]) -> Any:
            return repr(value)

        return app

    pair = both(declare)
    for content in [*SCALARS, *BROKEN]:
        pair.post("/", JSON, content=content)


MARKED: list[tuple[Any, dict[str, Any]]] = [
    (int, {}),
    (int, {"gt": 3}),
    (str, {"max_length": 1, "alias": "other"}),
    (float | None, {}),
    (bool, {"embed": True}),
    (bytes, {}),
    (Any, {}),
    (Size, {"embed": True, "alias": "value"}),
    (datetime.date, {}),
    (list[int], {"max_length": 1}),
    (Json[list[int]], {}),
    (Item, {"embed": False}),
    (int, {"strict": True}),
]


@pytest.mark.parametrize("style", ["annotated", "default"])
@pytest.mark.parametrize(("kind", "options"), MARKED, ids=str)
def test_a_marked_value_is_read_from_the_body(
    kind: Any, options: dict[str, Any], style: str
) -> None:
    """``Body()`` takes scalars as well, with constraints, aliases and embedding."""

    def declare(ns: Any) -> Any:
        app = ns.App()
        if style == "annotated":

            @app.post("/")
            def read(value: Annotated[kind, ns.Body(**options)]) -> Any:
                return repr(value)

        elif kind == Json[list[int]]:

            @app.post("/")
            def read(value: list[int] = ns.Body(**options)) -> Any:
                return repr(value)

        else:

            @app.post("/")
            def read(value: kind = ns.Body(**options)) -> Any:
                return repr(value)

        @app.post("/default")
        def with_default(value: kind = ns.Body(default=5, **options)) -> Any:
            return repr(value)

        return app

    pair = both(declare)
    for content in [*SCALARS, *BROKEN[:8], b'"[1]"', b'{"other": "xy"}', b'"s"', b'"2024-02-29"']:
        pair.post("/", JSON, content=content)
        if "Json" not in str(kind):
            pair.post("/default", JSON, content=content)


def test_several_body_parameters_are_keys_of_one_object() -> None:
    """With their errors in the order of declaration, across dependencies as well."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        def user(user: User, count: Annotated[int, ns.Body(ge=1)] = 7) -> Any:
            return [user.login, count]

        @app.post("/two")
        def two(item: Item, user: User | None = None) -> Any:
            return repr([item, user])

        @app.post("/three")
        def three(
            item: Item, user: Annotated[Any, ns.Depends(user)], count: int = ns.Body()
        ) -> Any:
            return repr([item, user, count])

        @app.post("/same")
        def same(user: User, also: Annotated[Any, ns.Depends(user)]) -> Any:
            return repr([user, also])

        def again(item: Item) -> Item:
            return item

        @app.post("/shared")
        def shared(item: Item, again: Annotated[Item, ns.Depends(again)]) -> Any:
            return repr([item, again])

        return app

    pair = both(declare)
    for path in ("/two", "/three", "/same", "/shared"):
        for content in [*SCALARS, *BROKEN[:10]]:
            pair.post(path, JSON, content=content)
        pair.post(path, {"Content-Type": "text/plain"}, content=b'{"item": {"name": "n"}}')
        pair.post(path)


TYPES = [
    "application/json",
    "application/json; charset=utf-8",
    "APPLICATION/JSON",
    "application/vnd.api+json",
    "application/problem+json; x=y",
    "application/xml+json",
    "application/jsonx",
    "application/+json",
    "application/geo+json+x",
    "text/json",
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/octet-stream",
    "json",
    "application",
    "/json",
    "application/json/x",
    ";",
    " application/json",
    "application/json, text/plain",
    "multipart/form-data; boundary=x",
]


@pytest.mark.parametrize("strict", [True, False])
def test_a_body_is_json_if_its_type_says_so(strict: bool) -> None:
    """``application/json`` and ``application/*+json``; anything else stays bytes."""

    def declare(ns: Any) -> Any:
        app = ns.App(strict_content_type=strict)

        @app.post("/item")
        def item(item: Item) -> Any:
            return item

        @app.post("/raw")
        def raw(value: Annotated[Any, ns.Body()]) -> Any:
            return repr(value)

        @app.post("/bytes")
        def as_bytes(value: Annotated[bytes, ns.Body()]) -> Any:
            return repr(value)

        @app.post("/two")
        def two(item: Item, count: Annotated[int, ns.Body()]) -> Any:
            return [item, count]

        return app

    pair = both(declare)
    for path in ("/item", "/raw", "/bytes", "/two"):
        for content in (b'{"name": "n", "item": {"name": "x"}, "count": 1}', b"x", b""):
            for kind in TYPES:
                pair.post(path, {"Content-Type": kind}, content=content)
            pair.post(path, content=content)
            pair.post(path, {"Content-Type": ""}, content=content)


def test_every_method_may_have_a_body() -> None:
    """GET and DELETE as well."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.api_route("/", methods=["GET", "DELETE", "PATCH", "OPTIONS"])
        def read(item: Item) -> Any:
            return item

        return app

    pair = both(declare)
    for method in ("GET", "DELETE", "PATCH", "OPTIONS"):
        assert pair.request(method, "/", json={"name": "n"}).status == 200
        assert pair.request(method, "/").status == 422


def test_the_default_of_a_body_is_given_as_it_is() -> None:
    """Unlike that of a query parameter it is not validated, but copied for each request."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.post("/list")
        def a_list(value: list[int] = [1, "x"]) -> Any:
            value.append(len(value))
            return value

        @app.post("/item")
        def item(item: Item = Item(name="default")) -> Any:
            item.tags.append("t")
            return item

        @app.post("/factory")
        def factory(value: Annotated[dict, ns.Body(default_factory=dict)]) -> Any:
            value["n"] = len(value)
            return value

        @app.post("/keys")
        def keys(
            a: Annotated[int, ns.Body(gt=5)] = 3, b: Annotated[list[int], ns.Body()] = []
        ) -> Any:
            b.append(a)
            return b

        return app

    pair = both(declare)
    for path in ("/list", "/item", "/factory", "/keys"):
        for _ in range(2):
            pair.post(path)
            pair.post(path, JSON, content=b"null")
            pair.post(path, JSON, content=b"{}")
            pair.post(path, JSON, content=b'{"a": null, "b": [1]}')


def test_handlers_of_wrong_data_see_errors_and_body() -> None:
    """``exc.errors()`` and ``exc.body`` are what FastAPI gives."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.exception_handler(ns.RequestValidationError)
        def wrong(request: Any, exc: Any) -> Any:
            body = exc.body.decode() if isinstance(exc.body, bytes) else exc.body
            errors = ns.jsonable_encoder(exc.errors())
            return ns.JSONResponse({"errors": errors, "body": body}, status_code=400)

        @app.post("/")
        def read(item: Item, q: int = 0) -> Any:
            return item

        return app

    pair = both(declare)
    for content in (b'{"name": "n"}', b'{"name": 1}', b"{", b"", b"[]", b'"x"'):
        pair.post("/", JSON, content=content)
        pair.post("/?q=x", JSON, content=content)
        pair.post("/?q=x", {"Content-Type": "text/plain"}, content=content)
