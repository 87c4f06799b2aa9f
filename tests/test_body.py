"""The JSON body: when a body is JSON, what it is checked against, what its errors say."""

from __future__ import annotations

import gc
import io
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, BeforeValidator, Field

from tests.support import client
from wsgibg import App, Body, Depends, Request
from wsgibg._body import is_json, load_json, spool
from wsgibg.exceptions import HTTPException, RequestValidationError


class Item(BaseModel):
    name: str
    price: float = Field(1.0, gt=0)


class User(BaseModel):
    name: str


class Strict(BaseModel):
    number: int = Field(strict=True)


@dataclass
class Point:
    x: int
    y: int = 0


def app_with(handler, **options):
    app = App(**options)
    app.post("/")(handler)
    return app


def post(handler, **request):
    return client(app_with(handler)).post("/", **request)


def send(handler, data, content_type="application/json"):
    return post(handler, data=data, content_type=content_type)


def errors_of(answer):
    assert answer.status_code == 422
    return [(error["type"], error["loc"]) for error in answer.json["detail"]]


def environ_of(body, content_type="application/json", length=None):
    return {
        "REQUEST_METHOD": "POST",
        "wsgi.input": io.BytesIO(body),
        "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": str(len(body) if length is None else length),
    }


# --- what is JSON --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "json"),
    [
        ("application/json", True),
        ("Application/JSON", True),
        ("application/json; charset=utf-8", True),
        ("application/geo+json", True),
        ("application/vnd.api+json; v=1", True),
        ("application/geo+json-seq", False),
        ("text/json", False),
        ("text/plain", False),
        ("application/x-www-form-urlencoded", False),
        ("nonsense", False),
        ("application/json\r\nX: y", False),
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_the_content_type_says_whether_a_body_is_json(content_type, json, strict):
    """FastAPI's rule."""
    assert is_json({"CONTENT_TYPE": content_type}, strict) is json


@pytest.mark.parametrize("environ", [{}, {"CONTENT_TYPE": ""}])
def test_a_body_without_a_type_is_json_only_if_that_is_allowed(environ):
    """`strict_content_type` says no by default."""
    assert not is_json(environ, strict=True)
    assert is_json(environ, strict=False)


def test_a_body_is_loaded():
    """Parsed where it is JSON, raw where it is not, nothing where it is empty."""
    assert load_json(environ_of(b'{"a": 1}'), None, strict=True) == {"a": 1}
    assert load_json(environ_of(b"text", "text/plain"), None, strict=True) == b"text"
    assert load_json(environ_of(b""), None, strict=True) is None


def test_a_body_that_cannot_be_loaded_is_refused():
    """Not well-formed, not text, too deep, too large: each in its own way."""
    with pytest.raises(RequestValidationError) as caught:
        load_json(environ_of(b'{"a": }'), None, strict=True)
    assert caught.value.body == '{"a": }'
    assert caught.value.errors() == [
        {
            "type": "json_invalid",
            "loc": ("body", 6),
            "msg": "JSON decode error",
            "input": {},
            "ctx": {"error": "Expecting value"},
        }
    ]
    for body in (b'"\xff"', b"[" * 100_000):
        with pytest.raises(HTTPException) as refused:
            load_json(environ_of(body), None, strict=True)
        assert refused.value.status_code == 400
    with pytest.raises(Exception, match="413"):
        load_json(environ_of(b"[1, 2, 3]"), 5, strict=True)


# --- one value -----------------------------------------------------------------------------


def one(item: Item):
    return item


def test_a_single_model_is_the_body():
    """Its defaults are filled in."""
    assert post(one, json={"name": "tea"}).json == {"name": "tea", "price": 1.0}


@pytest.mark.parametrize(
    ("data", "errors"),
    [
        (b"{}", [("missing", ["body", "name"])]),
        (
            b'{"name": 1, "price": 0}',
            [("string_type", ["body", "name"]), ("greater_than", ["body", "price"])],
        ),
        (b"[]", [("model_attributes_type", ["body"])]),
        (b"null", [("missing", ["body"])]),
        (b"", [("missing", ["body"])]),
        (b'{"name"', [("json_invalid", ["body", 7])]),
        (b'{"name": "a"} x', [("json_invalid", ["body", 14])]),
    ],
)
def test_errors_of_a_body_name_their_place(data, errors):
    """FastAPI's types and places."""
    assert errors_of(send(one, data)) == errors


def test_a_body_that_is_not_json_is_refused():
    """It is looked at as bytes."""
    assert errors_of(send(one, b'{"name": "tea"}', "text/plain")) == [
        ("model_attributes_type", ["body"])
    ]


def test_a_body_that_is_no_text_is_answered_400():
    """No error of a parameter: nothing could be parsed."""
    answer = send(one, b'{"name": "\xff"}')

    assert (answer.status_code, answer.json) == (
        400,
        {"detail": "There was an error parsing the body"},
    )


@pytest.mark.parametrize(
    ("kind", "value", "result"),
    [
        (Point, {"x": 1}, {"x": 1, "y": 0}),
        (dict[str, int], {"a": "1"}, {"a": 1}),
        (list[Item], [{"name": "a"}], [{"name": "a", "price": 1.0}]),
        (Item | None, None, None),
        (Annotated[int, Body()], 7, 7),
        (Annotated[str, Body()], "x", "x"),
        (Annotated[Any, Body()], {"a": [1]}, {"a": [1]}),
        (Strict, {"number": 1}, {"number": 1}),
    ],
    ids=str,
)
def test_a_body_may_be_anything(kind, value, result):
    """Models, dataclasses, mappings, lists, scalars with a marker."""

    def handler(body):
        return body

    handler.__annotations__ = {"body": kind}
    if value is None:
        handler.__defaults__ = (None,)

    answer = post(handler, json=value)

    assert (answer.status_code, answer.json) == (200, result)


def test_an_optional_body_may_be_missing():
    """Its default stands in."""

    def handler(item: Item | None = None):
        return item

    answer = client(app_with(handler)).post("/")

    assert (answer.status_code, answer.json) == (200, None)


def test_a_default_body_is_made_anew():
    """A handler may change what it got."""

    def handler(item: dict[str, int] = Body({"a": 1})):
        item["a"] += 1
        return item

    browser = client(app_with(handler))

    assert browser.post("/").json == {"a": 2}
    assert browser.post("/").json == {"a": 2}


def test_python_s_rules_hold_where_they_differ_from_json_s():
    """As in FastAPI, pydantic sees what `json.loads` gives."""

    def handler(item: Strict):
        return item

    assert errors_of(post(handler, json={"number": "1"})) == [("int_type", ["body", "number"])]


def modes(value: Any, info: Any) -> Any:
    return info.mode


def test_a_validator_sees_python_s_mode():
    """A validator that asks for the mode is told the truth of FastAPI."""

    def handler(item: Annotated[Any, BeforeValidator(modes), Body()]):
        return item

    assert post(handler, json=1).json == "python"


def test_big_numbers_and_duplicate_keys_are_read_as_python_reads_them():
    """Whichever parser is used."""

    def handler(body: dict[str, Any]):
        return body

    answer = send(handler, b'{"a": 1, "a": 2, "big": 123456789012345678901234567890}')

    assert answer.json == {"a": 2, "big": 123456789012345678901234567890}


# --- several values ------------------------------------------------------------------------


def two(item: Item, user: User, importance: Annotated[int, Body(gt=0)] = 1):
    return [item.name, user.name, importance]


def test_several_values_are_keys_of_the_body():
    """FastAPI's rule."""
    body = {"item": {"name": "tea"}, "user": {"name": "me"}}

    assert post(two, json=body).json == ["tea", "me", 1]
    assert post(two, json={**body, "importance": 5}).json == ["tea", "me", 5]


@pytest.mark.parametrize("data", [b"{}", b"null", b"", b"[]", b"1", b'"item"'])
def test_missing_keys_are_told_one_by_one(data):
    """Whatever the body is instead of an object."""
    errors = errors_of(send(two, data))

    assert errors[:2] == [("missing", ["body", "item"]), ("missing", ["body", "user"])]


def test_errors_inside_a_key_have_its_place():
    """The key, and what pydantic adds."""
    answer = post(two, json={"item": {}, "user": {"name": "me"}, "importance": 0})

    assert errors_of(answer) == [
        ("missing", ["body", "item", "name"]),
        ("greater_than", ["body", "importance"]),
    ]


def test_a_single_value_may_be_embedded():
    """`embed=True` makes it a key all the same."""

    def handler(item: Annotated[Item, Body(embed=True)]):
        return item.name

    assert post(handler, json={"item": {"name": "tea"}}).json == "tea"
    assert errors_of(post(handler, json={"name": "tea"})) == [("missing", ["body", "item"])]


def test_values_of_dependencies_are_keys_as_well():
    """One name counts once."""

    def dependency(item: Item):
        return item.name

    def same(item: Item, name: str = Depends(dependency)):
        return [item.name, name]

    def other(user: User, name: str = Depends(dependency)):
        return [user.name, name]

    assert post(same, json={"name": "tea"}).json == ["tea", "tea"]
    assert post(other, json={"item": {"name": "tea"}, "user": {"name": "me"}}).json == ["me", "tea"]


# --- order ---------------------------------------------------------------------------------


def test_nothing_is_called_before_the_json_is_known_to_be_well_formed():
    """FastAPI's order: syntax, dependencies, values."""
    calls = []

    def dependency():
        calls.append("dependency")

    app = App()

    @app.post("/", dependencies=[Depends(dependency)])
    def handler(item: Item):
        calls.append("handler")

    browser = client(app)

    assert browser.post("/", data=b"{", content_type="application/json").status_code == 422
    assert calls == []
    assert browser.post("/", json={}).status_code == 422
    assert calls == ["dependency"]


def test_handlers_without_a_body_do_not_read_it():
    """What nobody asks for stays with the server."""
    app = App(max_content_length=1)
    app.post("/")(lambda: "unread")

    assert client(app).post("/", data=b"long enough").json == "unread"


# --- the request beside the body -----------------------------------------------------------


def test_sync_code_reads_the_body_from_the_request():
    """Also beside a parameter that was read from it."""

    def handler(item: Item, request: Request):
        return [item.name, request.get_json()]

    assert post(handler, json={"name": "tea"}).json == ["tea", {"name": "tea"}]


@pytest.mark.parametrize("inline", [True, False])
def test_async_code_awaits_the_body(inline):
    """On the loop's thread, from what the server's thread has taken in."""

    async def handler(request: Request):
        return [await request.json(), (await request.body()).decode()]

    answer = client(app_with(handler, async_inline=inline)).post("/", json={"name": "tea"})

    assert answer.json == [{"name": "tea"}, '{"name": "tea"}']


def test_a_body_for_async_code_has_the_same_limit():
    """413, before the handler is called."""

    async def handler(request: Request):
        return await request.json()

    app = app_with(handler, max_content_length=5)

    assert client(app).post("/", json={"name": "tea"}).status_code == 413


def test_a_body_for_async_code_is_closed_when_nobody_came_to_read_it():
    """A dependency may fail before the request is given to anybody."""

    async def handler(request: Request):
        return await request.json()

    def failing():
        raise LookupError

    app = App(dependencies=[Depends(failing)])
    app.post("/")(handler)

    # A file that is not closed is a ResourceWarning, and warnings are errors here.
    assert client(app).post("/", json={"name": "tea"}).status_code == 500
    gc.collect()


def test_a_spooled_body_replaces_the_server_s():
    """It can be read by any thread; there is none where nothing was sent."""
    environ = environ_of(b"hello")

    with spool(environ, None) as file:
        assert file.read() == b"hello"
        assert environ["wsgi.input"] is file
    assert spool({"REQUEST_METHOD": "GET"}, None) is None


def test_a_body_that_ends_too_early_is_refused():
    """The client promised more."""
    with pytest.raises(Exception, match="400"):
        spool(environ_of(b"short", length=10), None)
