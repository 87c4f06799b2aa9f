"""What a handler returns, and the response that it becomes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field
from werkzeug.wrappers import Response as WerkzeugResponse

from tests.support import client
from wsgibg import App, BackgroundTask, BackgroundTasks, Depends, Request, Response
from wsgibg.exceptions import ResponseValidationError
from wsgibg.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    StreamingResponse,
    WSGIResponse,
)


class Item(BaseModel):
    name: str
    price: float | None = None
    tags: list[str] = []


class Secret(Item):
    password: str = "secret"


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    item_name: str = Field(alias="itemName")


class Checked(BaseModel):
    model_config = ConfigDict(revalidate_instances="always")

    number: int


class Pair(JSONResponse):
    """A class with a form of its own."""

    media_type = "application/vnd.pair+json"

    def render(self, content: Any) -> bytes:
        return super().render({"content": content})


@dataclass
class Point:
    x: int


class Row:
    """An object with attributes, as an ORM gives it."""

    name = "tea"
    price = 3.5
    tags = ("a",)
    password = "secret"


def app_with(handler, method="GET", app=None, **options):
    app = app or App()
    app.api_route("/", methods=[method], **options)(handler)
    return app


def ask(handler, **options):
    return client(app_with(handler, **options)).get("/")


def returning(value):
    return lambda: value


# --- data ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "body"),
    [
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ("é", '"é"'),
        ([1, "a"], '[1,"a"]'),
        ({"a": {1}}, '{"a":[1]}'),
        (Item(name="tea"), '{"name":"tea","price":null,"tags":[]}'),
        ([Item(name="tea", price=2)], '[{"name":"tea","price":2.0,"tags":[]}]'),
        (Point(1), '{"x":1}'),
        (datetime(2024, 1, 2, 3, 4, 5), '"2024-01-02T03:04:05"'),  # noqa: DTZ001
        (b"bytes", '"bytes"'),
    ],
    ids=repr,
)
def test_data_become_compact_json(value, body):
    """UTF-8, with its length."""
    answer = ask(returning(value))

    assert answer.text == body
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Content-Length"] == str(len(body.encode()))


@pytest.mark.parametrize("size", [0, 4093, 4094, 4095, 5000])
def test_the_length_is_right_at_every_size(size):
    """Short lengths are made beforehand, long ones when they are needed."""
    answer = ask(returning("x" * size))

    assert answer.headers["Content-Length"] == str(size + 2)
    assert len(answer.data) == size + 2


@pytest.mark.parametrize("value", [float("nan"), 1j], ids=["nan", "complex"])
def test_what_json_cannot_hold_is_a_failure(value, caplog):
    """The client gets a 500, the log says why."""
    assert ask(returning(value)).status_code == 500
    assert "The request failed" in caplog.text


# --- response models -----------------------------------------------------------------------


def test_the_return_annotation_is_the_model():
    """What it does not name is not sent."""

    def handler() -> Item:
        return Secret(name="tea")

    assert ask(handler).json == {"name": "tea", "price": None, "tags": []}


def test_response_model_comes_before_the_annotation():
    """`None` switches it off."""

    def handler() -> int:
        return Secret(name="tea")

    assert "password" not in ask(handler, response_model=Item).json
    assert ask(handler, response_model=None).json["password"] == "secret"


@pytest.mark.parametrize(
    "value",
    [{"name": "tea", "price": 3.5, "tags": ["a"], "password": "x"}, Row()],
    ids=["dict", "object"],
)
def test_anything_with_the_right_parts_fits_a_model(value):
    """Dictionaries by key, objects by attribute."""
    answer = ask(returning(value), response_model=Item)

    assert answer.json == {"name": "tea", "price": 3.5, "tags": ["a"]}


@pytest.mark.parametrize(
    ("model", "value", "result"),
    [
        (list[Item], [{"name": "tea"}], [{"name": "tea", "price": None, "tags": []}]),
        (dict[str, float], {"a": "1.5"}, {"a": 1.5}),
        (Item | None, None, None),
        (int, "7", 7),
        (Point, {"x": "1"}, {"x": 1}),
        (Annotated[int, Field(gt=0)], 1, 1),
    ],
    ids=str,
)
def test_a_model_may_be_any_type(model, value, result):
    """Whatever pydantic can validate."""
    assert ask(returning(value), response_model=model).json == result


def test_what_does_not_fit_is_a_failure_that_tells_the_client_nothing(caplog):
    """The log has the place, the value and the handler."""
    app = app_with(returning({"price": "x"}), response_model=Item)
    seen = []

    @app.exception_handler(ResponseValidationError)
    def handle(request: Request, error: ResponseValidationError):
        seen.append(error)
        raise error

    answer = client(app).get("/")

    assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    assert [error["loc"] for error in seen[0].errors()] == [
        ("response", "name"),
        ("response", "price"),
    ]
    assert seen[0].body == {"price": "x"}
    assert "2 validation errors in GET / " in str(seen[0])
    assert "test_returns.py" in str(seen[0])
    assert "'loc': ('response', 'name')" in caplog.text


def test_an_instance_is_checked_again_where_its_model_says_so():
    """Pydantic's own rule, `revalidate_instances`."""
    broken = Checked.model_construct(number="x")
    trusted = Item.model_construct(name="tea", price=1.0, tags=[])

    assert ask(returning(broken), response_model=Checked).status_code == 500
    assert ask(returning(trusted), response_model=Item).json["name"] == "tea"


@pytest.mark.parametrize(
    ("options", "result"),
    [
        ({"response_model_include": {"name"}}, {"name": "tea"}),
        ({"response_model_include": ["name", "price"]}, {"name": "tea", "price": None}),
        ({"response_model_exclude": {"tags"}}, {"name": "tea", "price": None}),
        ({"response_model_exclude": ["tags", "price"]}, {"name": "tea"}),
        ({"response_model_exclude_unset": True}, {"name": "tea", "price": None}),
        ({"response_model_exclude_defaults": True}, {"name": "tea"}),
        ({"response_model_exclude_none": True}, {"name": "tea", "tags": []}),
    ],
    ids=str,
)
@pytest.mark.parametrize("response_class", [None, JSONResponse])
def test_options_say_which_parts_are_sent(options, result, response_class):
    """FastAPI's options, by the fast way and through a class."""
    more = {} if response_class is None else {"response_class": response_class}
    item = Item(name="tea", price=None)

    assert ask(returning(item), response_model=Item, **options, **more).json == result


@pytest.mark.parametrize(("by_alias", "key"), [(True, "itemName"), (False, "item_name")])
def test_aliases_are_sent_unless_told_otherwise(by_alias, key):
    """`response_model_by_alias`."""
    answer = ask(
        returning(Aliased(item_name="tea")),
        response_model=Aliased,
        response_model_by_alias=by_alias,
    )

    assert answer.json == {key: "tea"}


@pytest.mark.parametrize("kind", [Response, JSONResponse, WerkzeugResponse], ids=str)
def test_a_response_as_annotation_is_no_model(kind):
    """It is served as it is."""

    def handler():
        return kind('"as it is"')

    handler.__annotations__ = {"return": kind}

    assert "as it is" in ask(handler).text


# --- response classes ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response_class", "content_type"),
    [(PlainTextResponse, "text/plain; charset=utf-8"), (HTMLResponse, "text/html; charset=utf-8")],
)
@pytest.mark.parametrize("annotation", [None, str])
def test_text_is_sent_as_it_is(response_class, content_type, annotation):
    """Without a model, or with `str`."""

    def handler():
        return "<é>"

    if annotation:
        handler.__annotations__ = {"return": annotation}
    answer = ask(handler, response_class=response_class)

    assert answer.text == "<é>"
    assert answer.headers["Content-Type"] == content_type
    assert answer.headers["Content-Length"] == "4"


def test_a_text_class_takes_a_response_too():
    """And nothing that is no text."""
    assert ask(returning(JSONResponse(1)), response_class=PlainTextResponse).json == 1
    assert ask(returning(7), response_class=PlainTextResponse).status_code == 500


def test_a_class_of_one_s_own_renders_the_data():
    """It is given what JSON can hold."""
    answer = ask(returning([Item(name="tea")]), response_class=Pair)

    assert answer.json == {"content": [{"name": "tea", "price": None, "tags": []}]}
    assert answer.headers["Content-Type"] == "application/vnd.pair+json"


def test_a_class_of_one_s_own_gets_the_model_s_data():
    """What the model refuses is a failure here as well."""
    kept = ask(returning(Secret(name="tea")), response_model=Item, response_class=Pair)

    assert "password" not in kept.json["content"]
    assert ask(returning({}), response_model=Item, response_class=Pair).status_code == 500


def test_a_redirect_class_has_a_status_of_its_own():
    """Unless the route names another."""
    answer = ask(returning("/there"), response_class=RedirectResponse)
    assert (answer.status_code, answer.headers["Location"]) == (307, "/there")

    answer = ask(returning("/there"), response_class=RedirectResponse, status_code=303)
    assert answer.status_code == 303


# --- status --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [201, 299, 418])
def test_the_route_s_status_is_sent(status):
    """Known to Python or not."""
    answer = ask(returning({"a": 1}), status_code=status)

    assert (answer.status_code, answer.json) == (status, {"a": 1})


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("value", [None, "dropped"])
def test_a_status_without_content_sends_none(status, value):
    """Neither body nor Content-Type nor Content-Length (RFC 9110)."""
    answer = ask(returning(value), status_code=status)

    assert (answer.status_code, answer.data) == (status, b"")
    assert "Content-Type" not in answer.headers
    assert "Content-Length" not in answer.headers


def test_205_has_an_empty_body():
    """Its length is zero."""
    answer = ask(returning("dropped"), status_code=205)

    assert (answer.data, answer.headers["Content-Length"]) == (b"", "0")


@pytest.mark.parametrize(
    "handler",
    [returning({"a": 1}), lambda: PlainTextResponse("text"), lambda: WerkzeugResponse("werkzeug")],
    ids=["data", "ours", "werkzeug"],
)
def test_head_keeps_the_length_of_get(handler):
    """Its body is empty all the same."""
    app = App()
    app.api_route("/", methods=["GET", "HEAD"])(handler)
    browser = client(app)
    get, head = browser.get("/"), browser.head("/")

    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Length"] == get.headers["Content-Length"] == str(len(get.data))
    assert head.headers["Content-Type"] == get.headers["Content-Type"]


# --- the injected response -----------------------------------------------------------------


def test_an_injected_response_gives_status_headers_and_cookies():
    """From dependencies and the handler; the data stay the handler's."""

    def dependency(response: Response):
        response.headers["X-Dependency"] = "yes"
        response.set_cookie("a", "1")

    def handler(response: Response, value: None = Depends(dependency)):
        response.status_code = 202
        response.set_cookie("b", "2")
        return {"a": 1}

    answer = ask(handler)

    assert (answer.status_code, answer.json) == (202, {"a": 1})
    assert answer.headers["X-Dependency"] == "yes"
    assert [value.split(";")[0] for value in answer.headers.getlist("Set-Cookie")] == ["a=1", "b=2"]
    assert answer.headers["Content-Length"] == "7"


@pytest.mark.parametrize("response_class", [PlainTextResponse, Pair])
def test_an_injected_response_works_with_every_class(response_class):
    """Its status wins over the route's."""

    def handler(response: Response):
        response.status_code = 202
        return "text"

    answer = ask(handler, response_class=response_class, status_code=201)

    assert answer.status_code == 202
    assert "text" in answer.text


def test_an_injected_response_may_say_204():
    """Then there is no content either."""

    def handler(response: Response):
        response.status_code = 204
        return {"dropped": True}

    answer = ask(handler)

    assert (answer.status_code, answer.data) == (204, b"")


def test_an_injected_response_does_not_change_a_returned_one():
    """FastAPI's rule."""

    def handler(response: Response):
        response.headers["X-Lost"] = "yes"
        return PlainTextResponse("mine")

    assert "X-Lost" not in ask(handler).headers


def test_background_of_an_injected_response_is_merged():
    """Injected tasks first, then the response's."""
    ran = []

    def handler(response: Response, tasks: BackgroundTasks):
        response.background = BackgroundTask(ran.append, "response")
        tasks.add_task(ran.append, "injected")

    assert ask(handler).status_code == 200
    assert ran == ["injected", "response"]


# --- returned responses --------------------------------------------------------------------


def test_a_returned_response_is_sent_as_it_is():
    """The route's status and model do not touch it."""

    def handler() -> Any:
        return JSONResponse({"a": 1}, status_code=203, headers={"X-A": "b"})

    answer = ask(handler, status_code=201, response_model=Item)

    assert (answer.status_code, answer.json, answer.headers["X-A"]) == (203, {"a": 1}, "b")


def test_background_of_a_returned_response_is_merged():
    """A hand-made collector as well."""
    ran = []

    def handler(tasks: BackgroundTasks):
        tasks.add_task(ran.append, "injected")
        mine = BackgroundTasks()
        mine.add_task(ran.append, "mine")
        return PlainTextResponse("x", background=mine)

    ask(handler)

    assert ran == ["injected", "mine"]


def test_a_stream_is_sent_in_pieces():
    """Without a length; sync and async."""

    async def late():
        yield "a"
        yield b"b"

    app = App()
    app.get("/sync")(lambda: StreamingResponse(iter(["a", b"b"]), media_type="text/plain"))
    app.get("/async")(lambda: StreamingResponse(late(), media_type="text/plain"))
    browser = client(app)

    for path in ("/sync", "/async"):
        answer = browser.get(path)
        assert answer.text == "ab"
        assert "Content-Length" not in answer.headers


@pytest.mark.parametrize("tasks", [True, False])
def test_a_werkzeug_response_is_served(tasks):
    """With its own headers, and tasks after it."""
    ran = []
    closed = []

    def collecting(collector: BackgroundTasks):
        if tasks:
            collector.add_task(ran.append, list(closed))

    def handler(value: None = Depends(collecting)):
        response = WerkzeugResponse("werkzeug", status=203, headers={"X-A": "b"})
        response.call_on_close(lambda: closed.append("closed"))
        return response

    answer = ask(handler)

    assert (answer.status_code, answer.text, answer.headers["X-A"]) == (203, "werkzeug", "b")
    assert closed == ["closed"]
    assert ran == ([[]] if tasks else [])


def test_any_wsgi_app_may_answer():
    """`WSGIResponse` passes the request on."""
    ran = []

    def wsgi(environ, start_response):
        body = environ["PATH_INFO"].encode()
        start_response("203 Odd", [("Content-Type", "text/plain"), ("Content-Length", "1")])
        return [body]

    def handler():
        return WSGIResponse(wsgi, background=BackgroundTask(ran.append, "task"))

    answer = ask(handler)

    assert (answer.status_code, answer.text) == (203, "/")
    assert ran == ["task"]


def test_a_bare_wsgi_callable_is_no_response():
    """Only `WSGIResponse` says that it is one; a function has no data to send."""
    assert ask(returning(lambda environ, start_response: [])).text == "{}"


def test_numbers_beyond_json_are_kept():
    """Python's integers have no end."""
    big = 10**30

    assert json.loads(ask(returning(big)).text) == big
