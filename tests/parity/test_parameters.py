# ruff: noqa: B006, I002, UP007, UP042, UP045
# (Annotations are looked up where they stand, in local names; old spellings are declared too.)
"""Path, query, header and cookie parameters, compared with FastAPI's."""

import datetime
import re
from collections import deque
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, Optional, Union
from uuid import UUID

import pytest
from pydantic import AfterValidator, BeforeValidator, Json, StringConstraints
from pydantic import Field as PydanticField
from pydantic.types import PositiveInt

from tests.parity.both import both, refused_by_both


class Colour(str, Enum):
    """Names as values."""

    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    """Numbers as values."""

    LOW = 1
    HIGH = 2


def tripled(value: str) -> str:
    """What a validator makes of a string."""
    if value == "bad":
        raise ValueError("no bad words")
    return value * 3


TYPES: list[Any] = [
    str,
    int,
    float,
    bool,
    bytes,
    Any,
    Decimal,
    UUID,
    datetime.datetime,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    Colour,
    Level,
    Literal["red", 1],
    int | str,
    int | None,
    Optional[float],
    Union[bool, datetime.date, None],
    PositiveInt,
    re.Pattern,
    Annotated[str, StringConstraints(min_length=2, to_upper=True)],
    Annotated[str, AfterValidator(tripled)],
    Annotated[str, BeforeValidator(tripled)],
    Annotated[int, PydanticField(ge=3)],
]
VALUES = [
    "1",
    "0",
    "-7",
    "1.5",
    "1e3",
    "nan",
    "inf",
    "%201%20",
    "true",
    "off",
    "red",
    "RED",
    "bad",
    "a",
    "caf%C3%A9",
    "a%2Fb",
    "%FF",
    "2024-02-29",
    "2024-02-30",
    "2024-02-29T12:00:00Z",
    "12:30",
    "P1DT2H",
    "3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "null",
    "99999999999999999999999999",
    "1_000",
    "%D9%A1",
    "[",
]


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_a_type_reads_the_same_wherever_the_value_stands(kind: Any) -> None:
    """Each type takes and refuses the same strings, in path, query, header and cookie."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.get("/path/{value}")
        def in_path(value: kind) -> Any:
            return repr(value)

        @app.get("/query")
        def in_query(value: kind) -> Any:
            return repr(value)

        @app.get("/header")
        def in_header(x_value: Annotated[kind, ns.Header()]) -> Any:
            return repr(x_value)

        @app.get("/cookie")
        def in_cookie(value: Annotated[kind, ns.Cookie()]) -> Any:
            return repr(value)

        return app

    pair = both(declare)
    for value in VALUES:
        pair.get(f"/path/{value}")
        pair.get(f"/query?value={value}")
        pair.get("/header", {"X-Value": value})
        pair.get("/cookie", {"Cookie": f"value={value}"})
    for missing in ("/query", "/query?value=", "/query?value", "/header", "/cookie"):
        pair.get(missing)
    pair.get("/header", {"X-Value": ""})
    pair.get("/cookie", {"Cookie": "value="})


CONSTRAINTS: list[tuple[Any, dict[str, Any]]] = [
    (int, {"gt": 1}),
    (int, {"ge": 1, "le": 2}),
    (float, {"lt": 1.5}),
    (int, {"multiple_of": 3}),
    (float, {"allow_inf_nan": False}),
    (Decimal, {"max_digits": 3, "decimal_places": 1}),
    (str, {"min_length": 2, "max_length": 3}),
    (str, {"pattern": "^[a-z]+$"}),
    (str | None, {"max_length": 1}),
    (int | None, {"ge": 5}),
    (int, {"strict": True}),
]


@pytest.mark.parametrize("style", ["annotated", "default"])
@pytest.mark.parametrize(("kind", "constraints"), CONSTRAINTS, ids=str)
def test_constraints_give_the_same_errors(
    kind: Any, constraints: dict[str, Any], style: str
) -> None:
    """What a marker asks of a value is asked in both styles, with the same words."""

    def declare(ns: Any) -> Any:
        app = ns.App()
        if style == "annotated":

            @app.get("/")
            def read(value: Annotated[kind, ns.Query(**constraints)]) -> Any:
                return repr(value)

            @app.get("/{value}")
            def read_path(value: Annotated[kind, ns.Path(**constraints)]) -> Any:
                return repr(value)

        else:

            @app.get("/")
            def read(value: kind = ns.Query(**constraints)) -> Any:
                return repr(value)

            @app.get("/{value}")
            def read_path(value: kind = ns.Path(**constraints)) -> Any:
                return repr(value)

        return app

    pair = both(declare)
    for value in ("1", "2", "3", "6", "1.25", "123.45", "a", "ab", "abcd", "AB", "nan", "x1"):
        pair.get(f"/?value={value}")
        pair.get(f"/{value}")
    pair.get("/")


def test_defaults_stand_in_for_what_is_missing() -> None:
    """They are copied where they can be changed, and validated like what a client sends."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.get("/plain")
        def plain(a: int = 3, b: str = "x", c: int | None = None, d: int = "three") -> Any:
            return [a, b, c, d]

        @app.get("/marked")
        def marked(
            a: Annotated[int, ns.Query(ge=5)] = 3,
            b: Annotated[list[int], ns.Query()] = [1],
            d: int = ns.Query(default=7, gt=9),
            e: int | None = ns.Query(default=None, alias="E"),
            *,
            c: Annotated[list[int], ns.Query(default_factory=list)],
        ) -> Any:
            b.append(len(b))
            return [a, b, c, d, e]

        @app.get("/coerced")
        def coerced(
            a: datetime.date = "2024-02-29",
            b: str = 3,
            c: float = 1,
            d: Annotated[str, AfterValidator(tripled)] = "ab",
            e: Colour = "red",
            f: int | None = ns.Query(None, gt=3),
            g: Annotated[str, ns.Header()] = 4,
            h: Annotated[list[int], ns.Query()] = ("1", "x"),
        ) -> Any:
            return repr([a, b, c, d, e, f, g, h])

        @app.get("/elsewhere")
        def elsewhere(
            a: Annotated[str | None, ns.Header()] = None,
            b: Annotated[int, ns.Cookie()] = 4,
            c: str = ns.Header("none", alias="X-C"),
        ) -> Any:
            return [a, b, c]

        return app

    pair = both(declare)
    for target in ("/plain", "/plain?a=1&d=2", "/plain?a=&c=", "/marked?a=6&b=1&b=x", "/elsewhere"):
        pair.get(target)
    for target in ("/coerced", "/coerced?b=&h=1", "/coerced?b=3&h=2&d=bad&f=1"):
        pair.get(target)
        pair.get(target, {"G": "5"})
    for _ in range(2):
        pair.get("/marked?c=1")
        pair.get("/marked?c=1&b=1&b=2")
    pair.get("/elsewhere", {"A": "1", "Cookie": "b=x; c=1", "X-C": ""})


def test_a_default_factory_makes_each_default_anew() -> None:
    """``default_factory`` is called for each request that needs it."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.get("/")
        def read(q: list[str] = ns.Query(default_factory=list)) -> Any:
            q.append("more")
            return q

        return app

    pair = both(declare)
    for target in ("/", "/", "/?q=1"):
        pair.get(target)


def test_aliases_are_the_names_in_request_and_error() -> None:
    """The alias is read, and named by errors; the parameter's own name is not."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.get("/{item_id}")
        def read(
            item_id: Annotated[int, ns.Path(alias="item_id")],
            q: Annotated[int, ns.Query(alias="item query")],
            v: Annotated[int, ns.Query(validation_alias="valid")] = 1,
            both_: Annotated[int, ns.Query(alias="a", validation_alias="b")] = 2,
            s: Annotated[int, ns.Query(serialization_alias="out")] = 3,
            h: Annotated[int, ns.Header(alias="X-Strange-Name")] = 4,
            c: Annotated[int, ns.Cookie(alias="__Host-c")] = 5,
        ) -> Any:
            return [item_id, q, v, both_, s, h, c]

        return app

    pair = both(declare)
    for query in (
        "item%20query=1",
        "item+query=1&valid=x&a=x&b=x&s=x",
        "q=1",
        "item+query=1&v=8&valid=9&a=8&b=9&out=8&s=9",
    ):
        pair.get(f"/5?{query}")
    pair.get("/x?item+query=1", {"X-Strange-Name": "7", "Cookie": "__Host-c=8; c=9"})
    pair.get("/1?item+query=1", {"X-Strange-Name": "x", "Cookie": "__Host-c=x"})


def test_headers_are_named_with_hyphens_unless_told_otherwise() -> None:
    """Underscores become hyphens; an alias is left as it is; case does not matter."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.get("/")
        def read(
            user_agent: Annotated[str | None, ns.Header()] = None,
            content_type: Annotated[str | None, ns.Header()] = None,
            content_length: Annotated[int | None, ns.Header()] = None,
            x_token: Annotated[int, ns.Header()] = 0,
            host: str = ns.Header(),
            accept: str = ns.Header("none", alias="ACCEPT"),
        ) -> Any:
            return [user_agent, content_type, content_length, x_token, host, accept]

        return app

    pair = both(declare)
    pair.get("/")
    pair.get("/", {"user-AGENT": "me", "X-TOKEN": "7", "accept": "*/*"})
    pair.get("/", {"Content-Type": "text/plain", "x-token": "seven"}, content=b"abc")
    pair.get("/", {"Host": "example.org:8080"})
    pair.get("/", {"User-Agent": "caf\xe9"})


def test_lists_collect_repeated_keys() -> None:
    """A list takes every value of its key, anything else the last."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.get("/query")
        def query(
            a: Annotated[list[int], ns.Query()],
            b: Annotated[list[str] | None, ns.Query(max_length=2)] = None,
            c: Annotated[set[int], ns.Query()] = {9},
            d: Annotated[tuple[int, str], ns.Query()] = (1, "a"),
            e: Annotated[frozenset[str], ns.Query()] = frozenset(),
            f: Annotated[deque[int], ns.Query()] = deque(),
            g: Annotated[list, ns.Query()] = [],
            h: int = 0,
        ) -> Any:
            return [a, b, sorted(c), d, sorted(e), list(f), g, h]

        @app.get("/header")
        def header(x_tag: Annotated[list[str] | None, ns.Header()] = None) -> Any:
            return x_tag

        @app.get("/numbers")
        def numbers(x_number: Annotated[list[int], ns.Header()]) -> Any:
            return x_number

        @app.get("/cookie")
        def cookie(tag: Annotated[list[str], ns.Cookie()]) -> Any:
            return tag

        return app

    pair = both(declare)
    for target in (
        "a=1&a=2",
        "a=1&a=x&a=y",
        "",
        "a=",
        "a=1&b=1&b=2&b=3",
        "a=1&c=1&c=1&c=2",
        "a=1&d=1&d=2",
        "a=1&d=1",
        "a=1&e=x&e=x&f=1&f=2&g=1&g=z",
        "a=1&h=1&h=2",
        "a=1&h=1&h=x",
    ):
        pair.get(f"/query?{target}")
    pair.get("/header")
    pair.get("/header", [("X-Tag", "a"), ("x-tag", "b")])
    pair.get("/numbers", [("X-Number", "1"), ("X-Number", "b")])
    pair.get("/numbers")
    pair.get("/cookie", {"Cookie": "tag=a"})
    pair.get("/cookie")


def test_query_strings_are_taken_apart_the_same() -> None:
    """Escapes, plus signs, blanks, doubled separators and raw bytes."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.get("/")
        def read(a: str | None = None, b: Annotated[list[str], ns.Query()] = []) -> Any:
            return [a, b]

        @app.get("/plain")
        def plain(a: str | None = None, b: str = "none") -> Any:
            return [a, b]

        return app

    pair = both(declare)
    for query in (
        "a",
        "a=",
        "=a",
        "&&a=1&&b=2&",
        "a=1;b=2",
        "a=1=2",
        "a=%41%2",
        "a=%zz",
        "a=+%2B+",
        "%61=1",
        "a=%C3%A9&b=%FF",
        "a=\xc3\xa9",
        "a=\xff&b=\xc3",
        "a=1&a=2&b=1&b",
        "a=%00",
        "a=1#b=2",
        "?a=1",
        "a=%ED%A0%80",
    ):
        pair.get(f"/?{query}")
        pair.get(f"/plain?{query}")


def test_cookies_are_taken_apart_the_same() -> None:
    """Quotes, spaces, equals signs, doubled and broken pairs."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.get("/")
        def read(
            a: Annotated[str, ns.Cookie()] = "none", b: Annotated[str | None, ns.Cookie()] = None
        ) -> Any:
            return [a, b]

        return app

    pair = both(declare)
    for field in (
        "a=1",
        "a=1; b=2",
        "a=1;b=2",
        "a=1; a=2",
        "a",
        "a=",
        'a="x y"',
        'a="x\\"y\\054z"',
        "a=x=y",
        " a = 1 ; b",
        "a=1, b=2",
        "a=%20",
        "a=caf\xe9",
        ";;a=1;;",
        "A=1",
        'a="',
        'a="x',
    ):
        pair.get("/", {"Cookie": field})
    pair.get("/", [("Cookie", "a=1"), ("Accept", "b=2")])


def test_json_in_a_parameter_is_parsed() -> None:
    """Pydantic's ``Json`` reads a structure out of one string."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.get("/")
        def read(
            q: Annotated[Json[list[int]], ns.Query()],
            h: Annotated[Json[list[str]] | None, ns.Header()] = None,
        ) -> Any:
            return [q, h]

        return app

    pair = both(declare)
    # Not compared: of an empty string FastAPI says that a list is missing, we that it is no JSON.
    for query in ("q=[1,2]", "q=[1,x]", "q=[", "", "q=[1]&q=[2]", "q=[%22a%22]"):
        pair.get(f"/?{query}")
    pair.get("/?q=[1]", {"H": '["a"]'})


def test_parameters_without_marker_go_by_name_and_type() -> None:
    """The path's names are path parameters, scalars are query parameters."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.get("/{a}/{b}")
        def read(b, a: int, c, d: int = 1, e=None, *, f: str = "f", g: bool) -> Any:
            return [a, b, c, d, e, f, g]

        return app

    pair = both(declare)
    for target in ("/1/2?c=3&g=yes", "/x/y", "/1/2?c=3&g=maybe&d=x&e=4", "/1/2?c&g=1&f="):
        pair.get(target)


def test_errors_come_in_order_of_place_then_of_declaration() -> None:
    """Path, query, header, cookie, body; within each as they are declared."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.post("/{b}/{a}")
        def read(
            body: list[int],
            cookie: Annotated[int, ns.Cookie()],
            header: Annotated[int, ns.Header()],
            q2: int,
            q1: int,
            a: int,
            b: int,
        ) -> Any:
            return [a, b, q1, q2, header, cookie, body]

        return app

    pair = both(declare)
    answer = pair.post("/x/y?q1=x&q2=y", {"Header": "h", "Cookie": "cookie=c"}, json=["x"])
    assert [error["loc"][0] for error in answer.json()["detail"]] == [
        *["path"] * 2,
        *["query"] * 2,
        "header",
        "cookie",
        "body",
    ]
    pair.post("/1/2?q1=3&q2=4", {"Header": "5", "Cookie": "cookie=6"}, json=[7])
    pair.post("/1/2")
    pair.post("/x/2?q1=1&q2=2", {"Header": "5", "Cookie": "cookie=6"}, json=[])


def _function(annotation: Any, *default: Any, name: str = "value") -> Any:
    """A handler with one parameter."""
    names = {"annotation": annotation, "default": default}
    value = " = default[0]" if default else ""
    exec(f"def read({name}: annotation{value}): return None", names)
    return names["read"]


WRONG: dict[str, Any] = {
    "query in the path": lambda ns: _function(int, ns.Query(), name="item_id"),
    "body in the path": lambda ns: _function(int, ns.Body(), name="item_id"),
    "depends on a number": lambda ns: _function(int, ns.Depends(3)),
    "default twice": lambda ns: _function(Annotated[int, ns.Query(default=3)]),
    "marker twice": lambda ns: _function(Annotated[int, ns.Query()], ns.Query()),
    "marker and depends": lambda ns: _function(Annotated[int, ns.Query()], ns.Depends(int)),
    "depends twice": lambda ns: _function(Annotated[int, ns.Depends(int)], ns.Depends(int)),
    "a dictionary": lambda ns: _function(Annotated[dict[str, int], ns.Query()]),
    "lists in a list": lambda ns: _function(Annotated[list[list[int]], ns.Query()]),
    "a list in the path": lambda ns: _function(list[int], name="item_id"),
    "default in the path": lambda ns: _function(Annotated[int, ns.Path()], 3, name="item_id"),
    "marked request": lambda ns: _function(Annotated[ns.Request, ns.Query()]),
    "no type of pydantic's": lambda ns: _function(object()),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_declaration_that_cannot_work_is_refused(wrong: Any) -> None:
    """At once, by both, and we name the place and the parameter."""

    def declare(ns: Any) -> Any:
        app = ns.App()
        app.get("/{item_id}")(wrong(ns))
        return app

    assert "parameter" in refused_by_both(declare)
