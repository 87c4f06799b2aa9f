# ruff: noqa: I002, UP007, UP045
# (Annotations are looked up where they stand, in local names; old spellings are declared too.)
"""What handlers return, compared with FastAPI: models, options, statuses, classes, responses."""

import datetime
import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from typing import Annotated, Any, Optional, Union

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, computed_field
from typing_extensions import TypedDict

from tests.parity.both import Answer, Ask, both


class Colour(Enum):
    """An enum."""

    RED = "red"


class Inner(BaseModel):
    """A model in a model."""

    number: int = 1
    text: str | None = None


class Model(BaseModel):
    """What is returned."""

    model_config = ConfigDict(populate_by_name=True)
    name: str
    inner: Inner | None = None
    price: float = Field(default=2.5, alias="thePrice")
    when: datetime.datetime | None = None
    secret: SecretStr | None = None
    tags: set[str] = set()

    @computed_field
    @property
    def shout(self) -> str:
        """Made of another field."""
        return self.name.upper()


class Public(BaseModel):
    """Less of it."""

    name: str


class Child(Model):
    """More of it."""

    password: str = "secret"


class Object:
    """Has attributes."""

    def __init__(self) -> None:
        self.name = "object"
        self.hidden = 1


@dataclass
class Point:
    """A dataclass."""

    x: int
    y: int | None = None


class Typed(TypedDict, total=False):
    """A typed dictionary."""

    a: int


VALUES: dict[str, Any] = {
    "none": None,
    "text": "é",
    "number": 1,
    "float": 1.0,
    "nan": float("nan"),
    "list": [1, "a", None],
    "tuple": (1, 2),
    "set": {1},
    "deque": deque([1]),
    "dict": {"a": 1, 2: "b"},
    "date": datetime.date(2024, 2, 29),
    "datetime": datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC),
    "timedelta": datetime.timedelta(minutes=1),
    "decimal": Decimal("1.50"),
    "whole decimal": Decimal(3),
    "uuid": uuid.UUID(int=1),
    "enum": Colour.RED,
    "bytes": b"bytes",
    "broken bytes": b"\xff",
    "path": PurePosixPath("/a"),
    "model": Model(name="m", inner=Inner(text="t"), tags={"x"}),
    "minimal model": Model(name="m"),
    "child": Child(name="c", thePrice=3),
    "dict of a model": {"name": "d", "thePrice": "4", "more": 1},
    "wrong": {"name": 1},
    "object": Object(),
    "point": Point(1),
    "models": [Model(name="a"), {"name": "b"}],
    "nested": {"a": [Point(1, 2), {"b": Model(name="n")}]},
    "surrogate": "\ud800",
    "generator": "generator",
    "big": 10**30,
}
ANNOTATIONS: list[Any] = [
    None,
    Any,
    Model,
    Public,
    Optional[Model],
    list[Model],
    Union[Inner, Model],
    dict[str, Any],
    Point,
    Typed,
    int,
    str,
    Decimal,
    set[int],
    datetime.date,
    Annotated[str, Field(max_length=1)],
    bytes,
    object,
]


@pytest.mark.parametrize("annotation", ANNOTATIONS, ids=str)
def test_values_are_sent_as_their_annotation_says(annotation: Any) -> None:
    """By annotation, by ``response_model``, or by neither."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        def result(name: str) -> Any:
            return (each for each in range(2)) if name == "generator" else VALUES[name]

        @app.get("/annotated/{name}")
        def annotated(name: str) -> annotation:
            return result(name)

        @app.get("/model/{name}", response_model=annotation)
        async def modelled(name: str) -> Any:
            return result(name)

        @app.get("/both/{name}", response_model=annotation)
        def both_ways(name: str) -> str:
            return result(name)

        @app.get("/class/{name}", response_class=ns.JSONResponse)
        def by_class(name: str) -> annotation:
            return result(name)

        @app.get("/off/{name}", response_model=None)
        def off(name: str) -> annotation:
            return result(name)

        return app

    pair = both(declare)
    for name in VALUES:
        for way in ("annotated", "model", "both", "class", "off"):
            pair.get(f"/{way}/{name}")


def test_a_handler_without_annotation_returns_anything() -> None:
    """Encoded as ``jsonable_encoder`` does."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.get("/{name}")
        def read(name: str):
            return (each for each in range(2)) if name == "generator" else VALUES[name]

        return app

    pair = both(declare)
    for name in VALUES:
        pair.get(f"/{name}")


OPTIONS: list[dict[str, Any]] = [
    {"response_model_exclude_unset": True},
    {"response_model_exclude_defaults": True},
    {"response_model_exclude_none": True},
    {"response_model_by_alias": False},
    {"response_model_include": {"name", "price"}},
    {"response_model_exclude": {"name", "inner"}},
    {"response_model_include": ["name"]},
    {"response_model_exclude": {"inner": {"text"}}},
    {"response_model_include": set(), "response_model_exclude_none": True},
    {"response_model_exclude": set()},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options_choose_what_of_a_model_is_sent(options: dict[str, Any]) -> None:
    """Include, exclude, unset, defaults, none, aliases."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.get("/one/{name}", **options)
        def one(name: str) -> Model:
            return VALUES[name]

        @app.get("/many/{name}", response_model=list[Model], **options)
        def many(name: str) -> Any:
            return [VALUES[name]]

        @app.get("/class/{name}", response_class=ns.JSONResponse, **options)
        def by_class(name: str) -> Model:
            return VALUES[name]

        @app.get("/none/{name}", **options)
        def without(name: str):
            return VALUES[name]

        return app

    pair = both(declare)
    for name in ("model", "minimal model", "child", "dict of a model", "object", "wrong"):
        for way in ("one", "many", "class", "none"):
            pair.get(f"/{way}/{name}")


STATUSES = [200, 201, 202, 204, 205, 304, 299, 307, 400, 404, 422, 500, 599]


@pytest.mark.parametrize("status", STATUSES)
def test_the_status_code_is_the_decorators_unless_somebody_says_another(status: int) -> None:
    """A status without content has none, whoever says it."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.get("/data", status_code=status, response_model=None)
        def data() -> Any:
            return {"a": 1}

        @app.get("/none", status_code=status)
        def none() -> None:
            return None

        @app.get("/injected", status_code=201)
        def injected(response: ns.Response) -> Any:
            response.status_code = status
            return {"a": 1}

        @app.get("/reset", status_code=status, response_model=None)
        def reset(response: ns.Response) -> Any:
            response.headers["x-a"] = "1"
            return {"a": 1}

        @app.get("/response", status_code=status, response_model=None)
        def response() -> Any:
            return ns.JSONResponse({"a": 1})

        @app.get("/own")
        def own() -> Any:
            return ns.PlainTextResponse("" if status in (204, 304) else "own", status_code=status)

        @app.head("/head", status_code=status, response_model=None)
        def head() -> Any:
            return {"a": 1}

        return app

    pair = both(declare)
    for path in ("data", "none", "injected", "reset", "response", "own"):
        theirs, ours = pair.answers(Ask("GET", f"/{path}"))
        if status in (204, 205, 304):  # ours never describe content that there is none of
            theirs, ours = without_type(theirs), without_type(ours)
        assert ours == theirs
    theirs, ours = pair.answers(Ask("HEAD", "/head"))
    assert ours.status == theirs.status
    assert ours.body == b""


def without_type(answer: Answer) -> Answer:
    """An answer without the fields that describe content."""
    names = ("content-type", "content-length")
    fields = [pair for pair in answer.headers if pair[0] not in names]
    return Answer(answer.status, fields, answer.body, answer.calls)


def test_a_response_class_makes_the_body() -> None:
    """That of the route, the router, the inclusion or the app."""

    def declare(ns: Any) -> Any:
        class Custom(ns.Response):
            media_type = "application/x-custom; v=1"

            def render(self, content: Any) -> bytes:
                return f"<{content!r}>".encode()

        app = ns.App(default_response_class=Custom)
        router = ns.APIRouter(default_response_class=ns.PlainTextResponse)
        bare = ns.APIRouter()

        for name, options in {
            "default": {},
            "text": {"response_class": ns.PlainTextResponse},
            "html": {"response_class": ns.HTMLResponse},
            "json": {"response_class": ns.JSONResponse},
            "redirect": {"response_class": ns.RedirectResponse},
            "redirect 302": {"response_class": ns.RedirectResponse, "status_code": 302},
            "response": {"response_class": ns.Response},
            "custom": {"response_class": Custom, "status_code": 201},
        }.items():
            for place in (app, router, bare):

                @place.get(f"/{name}", **options)
                def read() -> Any:
                    return "/text é?a=<b>"

                @place.get(f"/{name} model", **options)
                def modelled() -> str:
                    return "/text"

                @place.get(f"/{name} of a response", **options)
                def response() -> Any:
                    return ns.HTMLResponse("<html>", headers={"X-Own": "1"})

                @place.get(f"/{name} with fields", **options)
                def with_fields(response: ns.Response) -> Any:
                    response.headers["X-Given"] = "given"
                    response.headers["Content-Type"] = "text/x-given"
                    return "/with"

        app.include_router(router, prefix="/router")
        app.include_router(bare, prefix="/bare")
        app.include_router(bare, prefix="/inclusion", default_response_class=ns.HTMLResponse)
        return app

    pair = both(declare)
    for prefix in ("", "/router", "/bare", "/inclusion"):
        for name in ("default", "text", "html", "json", "redirect", "redirect%20302", "response"):
            for what in ("", "%20model", "%20of%20a%20response", "%20with%20fields"):
                pair.get(f"{prefix}/{name}{what}")
        pair.get(f"{prefix}/custom")


def test_an_injected_response_gives_headers_and_cookies() -> None:
    """Of several dependencies and the handler, in order; not to a returned response."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        def first(response: ns.Response) -> None:
            response.headers["X-First"] = "1"
            response.headers["X-Shared"] = "first"
            response.set_cookie("a", "1", max_age=60, path="/a", domain="example.org")
            response.status_code = 202

        def second(response: ns.Response) -> None:
            response.headers.append("X-Shared", "second")
            response.set_cookie("b", "x y;z", secure=True, samesite="strict")
            response.delete_cookie("c")

        @app.get("/data", dependencies=[ns.Depends(first), ns.Depends(second)])
        def data(response: ns.Response, q: int = 0) -> Any:
            response.headers["x-first"] = "2"
            return {"q": q}

        @app.get("/status", status_code=201, dependencies=[ns.Depends(first)])
        def status(response: ns.Response) -> Any:
            return {}

        @app.get("/returned", dependencies=[ns.Depends(first)])
        def returned(response: ns.Response) -> Any:
            response.headers["x-lost"] = "1"
            return ns.JSONResponse({}, headers={"X-Own": "1"})

        @app.get("/itself")
        def itself(response: ns.Response) -> Any:
            response.headers["x-kept"] = "1"
            response.status_code = 203
            response.body = b"own body"
            return response

        @app.get("/raised", dependencies=[ns.Depends(first)])
        def raised() -> Any:
            raise ns.HTTPException(400)

        return app

    pair = both(declare)
    for path in ("data", "data?q=x", "status", "returned", "raised"):
        pair.get(f"/{path}")


def test_responses_are_sent_as_they_are() -> None:
    """With headers, media types, cookies; streams in pieces."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        def pieces() -> Iterator[Any]:
            yield "text"
            yield b" bytes"

        async def later() -> Any:
            yield b"later"

        makers = {
            "empty": lambda: ns.Response(),
            "bytes": lambda: ns.Response(b"\xff\x00", media_type="image/png"),
            "text": lambda: ns.Response("é", media_type="text/plain"),
            "headers": lambda: ns.Response(
                "x", headers={"X-A": "1", "Content-Type": "a/b", "x-b": "é"}, media_type="c/d"
            ),
            "json": lambda: ns.JSONResponse({"a": "é", "b": [1.0, None]}, headers={"X": "y"}),
            "redirect": lambda: ns.RedirectResponse("/é?a=b c", 303),
            "stream": lambda: ns.StreamingResponse(pieces(), media_type="text/csv"),
            "async stream": lambda: ns.StreamingResponse(later(), 206, {"X-S": "1"}),
            "html": lambda: ns.HTMLResponse("<b>", 418),
        }

        @app.api_route("/{name}", methods=["GET", "HEAD"])
        def read(name: str) -> Any:
            response = makers[name]()
            response.set_cookie("k", name.partition(" ")[0])
            return response

        return app

    pair = both(declare)
    for name in ("empty", "bytes", "text", "headers", "json", "redirect", "stream", "html"):
        pair.get(f"/{name}")
        pair.request("HEAD", f"/{name}")
    pair.get("/async%20stream")


def test_annotations_of_responses_are_no_models() -> None:
    """A handler annotated with a response class may return one."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.get("/response")
        def response() -> ns.Response:
            return ns.PlainTextResponse("x")

        @app.get("/redirect")
        def redirect() -> ns.RedirectResponse:
            return ns.RedirectResponse("/")

        @app.get("/union", response_model=None)
        def union(q: bool = False) -> ns.Response | dict:
            return {"a": 1} if q else ns.JSONResponse({"b": 2})

        return app

    pair = both(declare)
    for path in ("response", "redirect", "union", "union?q=1"):
        pair.get(f"/{path}")
