"""Which answer an exception gets."""

from __future__ import annotations

import asyncio
import io
import logging
import threading

import pytest
import werkzeug.exceptions
from pydantic import BaseModel
from werkzeug.routing import RequestRedirect
from werkzeug.wrappers import Response as WerkzeugResponse

from tests.support import client
from wsgibg import App, BackgroundTask, BackgroundTasks, Depends, HTTPException, Request, Response
from wsgibg.exception_handlers import (
    http_exception_handler,
    request_validation_exception_handler,
)
from wsgibg.exceptions import RequestValidationError
from wsgibg.responses import JSONResponse, PlainTextResponse


class ShopError(Exception):
    """A user's own."""


class OutOfStock(ShopError):
    """A more special one."""


class Item(BaseModel):
    name: str


def needing_item(item: Item):
    pass


def app_raising(error, **options):
    app = App(**options)

    @app.get("/")
    def handler():
        raise error

    return app


def raising(error):
    def handler():
        raise error

    return handler


def saying(text, status_code=418):
    """An exception handler that answers with a text and the error."""

    def handle(request: Request, error: Exception):
        return PlainTextResponse(f"{text}: {error}", status_code=status_code)

    return handle


def ask(app, target="/", **request):
    return client(app).open(target, **request)


# --- without handlers of one's own ---------------------------------------------------------


def test_an_http_exception_is_answered_with_its_detail():
    """FastAPI's body, and the exception's headers."""
    answer = ask(app_raising(HTTPException(404, {"no": "item"}, {"X-A": "b"})))

    assert (answer.status_code, answer.json) == (404, {"detail": {"no": "item"}})
    assert answer.headers["X-A"] == "b"


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_content_has_none(status):
    """Not even a detail."""
    answer = ask(app_raising(HTTPException(status, "dropped", {"X-A": "b"})))

    assert (answer.status_code, answer.data, answer.headers["X-A"]) == (status, b"", "b")


def test_an_exception_of_werkzeug_is_answered_alike():
    """Its description, if it says more than the class does, and its headers."""
    plain = ask(app_raising(werkzeug.exceptions.NotFound()))
    own = ask(app_raising(werkzeug.exceptions.NotFound("No such item")))
    retry = ask(app_raising(werkzeug.exceptions.TooManyRequests(retry_after=5)))

    assert (plain.status_code, plain.json) == (404, {"detail": "Not Found"})
    assert own.json == {"detail": "No such item"}
    assert (retry.status_code, retry.headers["Retry-After"]) == (429, "5")
    assert retry.headers["Content-Type"] == "application/json"


def test_an_exception_of_werkzeug_may_have_an_odd_status():
    """Then its name stands in for a phrase."""

    class Odd(werkzeug.exceptions.HTTPException):
        code = 499

    answer = ask(app_raising(Odd()))

    assert (answer.status_code, answer.json) == (499, {"detail": "Unknown Error"})


def test_an_exception_without_a_status_is_a_500():
    """Werkzeug's base class has none."""
    answer = ask(app_raising(werkzeug.exceptions.HTTPException("odd")))

    assert (answer.status_code, answer.json) == (500, {"detail": "odd"})


@pytest.mark.parametrize(
    "response", [WerkzeugResponse("mine", 203), PlainTextResponse("mine", 203)]
)
def test_abort_with_a_response_means_that_response(response):
    """Whatever handlers there are."""
    app = App()
    app.add_exception_handler(werkzeug.exceptions.HTTPException, saying("handler"))

    @app.get("/")
    def handler():
        werkzeug.exceptions.abort(response)

    @app.get("/ours")
    def ours():
        raise werkzeug.exceptions.HTTPException(response=response)

    answer = ask(app, "/ours")
    assert (answer.status_code, answer.text) == (203, "mine")
    if isinstance(response, WerkzeugResponse):
        assert ask(app).text == "mine"


def test_a_redirect_of_werkzeug_is_one():
    """It brings its response along; no handler is asked, as in Flask."""
    app = app_raising(RequestRedirect("http://localhost/elsewhere"))
    app.add_exception_handler(werkzeug.exceptions.HTTPException, saying("handler"))
    app.add_exception_handler(308, saying("handler"))

    answer = ask(app)

    assert (answer.status_code, answer.location) == (308, "http://localhost/elsewhere")


class Custom(werkzeug.exceptions.HTTPException):
    """An exception that knows its answer."""

    code = 418

    def get_response(self, environ=None, scope=None):
        return WerkzeugResponse(f"{environ['PATH_INFO']} is a teapot", 418)


def test_an_exception_of_werkzeug_may_know_its_answer():
    """It is sent, unless somebody has a handler for it."""
    app = app_raising(Custom())
    handled = app_raising(Custom())
    handled.add_exception_handler(Custom, saying("handler"))

    assert ask(app).text == "/ is a teapot"
    assert ask(handled).text.startswith("handler: ")


def test_wrong_data_are_answered_422():
    """FastAPI's body, JSON throughout."""
    app = App()

    @app.get("/")
    def handler(q: int):
        pytest.fail("not to be called")

    answer = ask(app, "/?q=x")

    assert answer.status_code == 422
    assert answer.json == {
        "detail": [
            {
                "type": "int_parsing",
                "loc": ["query", "q"],
                "msg": "Input should be a valid integer, unable to parse string as an integer",
                "input": "x",
            }
        ]
    }


def test_a_failure_tells_the_client_nothing(caplog):
    """The log has all of it."""
    answer = ask(app_raising(LookupError("the password is 1234")))

    assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    [record] = caplog.records
    assert (record.name, record.levelno) == ("wsgibg.app", logging.ERROR)
    assert "the password is 1234" in caplog.text
    assert "Traceback" in caplog.text


def test_debug_shows_the_traceback(caplog):
    """Also where there is a handler of last resort."""
    app = app_raising(LookupError("the password is 1234"), debug=True)
    app.add_exception_handler(Exception, saying("last resort"))

    answer = ask(app)

    assert answer.status_code == 500
    assert "LookupError: the password is 1234" in answer.text
    assert "Traceback" in answer.text


# --- handlers ------------------------------------------------------------------------------


def test_the_nearest_class_answers():
    """Whatever the order of declaration."""
    app = App(exception_handlers={ShopError: saying("shop"), OutOfStock: saying("stock")})
    app.get("/stock")(lambda: (_ for _ in ()).throw(OutOfStock("tea")))
    app.get("/other")(lambda: (_ for _ in ()).throw(ShopError("tea")))

    assert ask(app, "/stock").text == "stock: tea"
    assert ask(app, "/other").text == "shop: tea"


@pytest.mark.parametrize("kind", ["sync", "async", "suspending"])
def test_a_handler_may_be_async(kind):
    """On the loop, in the request's context."""
    app = app_raising(ShopError("tea"))

    async def nothing():
        pass

    def sync(request: Request, error: ShopError):
        return PlainTextResponse(f"{request.url.path} {error}", status_code=418)

    async def quick(request: Request, error: ShopError):
        return sync(request, error)

    async def suspending(request: Request, error: ShopError):
        await nothing()
        return sync(request, error)

    handlers = {"sync": sync, "async": quick, "suspending": suspending}
    app.exception_handler(ShopError)(handlers[kind])

    answer = ask(app)

    assert (answer.status_code, answer.text) == (418, "/ tea")


def test_the_decorator_gives_the_handler_back():
    """It stays a function."""
    app = App()
    handle = saying("x")

    assert app.exception_handler(404)(handle) is handle


@pytest.mark.parametrize(
    "error",
    [HTTPException(404, "gone"), werkzeug.exceptions.NotFound("gone")],
    ids=["ours", "werkzeug"],
)
@pytest.mark.parametrize(
    "key", [404, HTTPException, werkzeug.exceptions.HTTPException], ids=["404", "ours", "werkzeug"]
)
def test_handlers_for_status_and_either_class_catch_both(key, error):
    """Code and description are Werkzeug's names, and ours has them too."""
    app = app_raising(error)
    seen = []

    @app.exception_handler(key)
    def handle(request: Request, caught: HTTPException):
        seen.append((caught.code, caught.description))
        return PlainTextResponse("handled", status_code=caught.code)

    answer = ask(app)

    assert (answer.status_code, answer.text) == (404, "handled")
    assert seen == [(404, "gone")]


@pytest.mark.parametrize("key", [404, HTTPException])
def test_handlers_for_our_class_get_ours(key):
    """With `status_code`, `detail` and `headers`, whoever raised it."""
    app = app_raising(werkzeug.exceptions.NotFound("gone"))
    app.add_exception_handler(key, saying("ours"))

    assert ask(app).text == "ours: 404: gone"


def test_a_handler_for_one_class_of_werkzeug_gets_it():
    """As it was raised."""
    app = app_raising(werkzeug.exceptions.NotFound("gone"))
    app.add_exception_handler(werkzeug.exceptions.NotFound, saying("not found"))

    assert ask(app).text.startswith("not found: 404 Not Found: gone")


def test_a_handler_for_one_class_of_werkzeug_gets_ours_of_that_status():
    """Also where no route answered; other statuses are none of its business."""
    app = app_raising(HTTPException(404, "gone"))
    app.get("/other")(raising(HTTPException(409)))
    app.add_exception_handler(HTTPException, saying("ours"))
    app.add_exception_handler(werkzeug.exceptions.NotFound, saying("not found"))
    app.add_exception_handler(werkzeug.exceptions.MethodNotAllowed, saying("not so"))

    assert ask(app).text == "not found: 404: gone"
    assert ask(app, "/nowhere").text == "not found: 404: Not Found"
    assert ask(app, "/", method="DELETE").text == "not so: 405: Method Not Allowed"
    assert ask(app, "/other").text == "ours: 409: Conflict"


@pytest.mark.parametrize("order", [1, -1])
def test_handlers_for_both_base_classes_do_not_disturb_each_other(order):
    """Whichever comes first, ours has its own and Werkzeug's the other."""
    app = app_raising(HTTPException(404, "gone"))
    app.get("/werkzeug")(raising(werkzeug.exceptions.Conflict("twice")))
    for key in [HTTPException, werkzeug.exceptions.HTTPException][::order]:
        app.add_exception_handler(key, saying(key.__module__.partition(".")[0]))

    assert ask(app).text == "wsgibg: 404: gone"
    assert ask(app, "/werkzeug").text == "werkzeug: 409 Conflict: twice"


def test_a_status_comes_before_a_class():
    """Starlette's order."""
    app = app_raising(HTTPException(404))
    app.add_exception_handler(HTTPException, saying("class"))
    app.add_exception_handler(404, saying("status"))

    assert ask(app).text.startswith("status")


def test_handlers_see_what_no_route_answered():
    """404, 405 and the like are HTTP exceptions as any other."""
    app = App()
    app.get("/")(lambda: None)
    app.add_exception_handler(404, saying("nothing", 404))
    app.add_exception_handler(405, saying("not so", 405))
    browser = client(app)

    assert browser.get("/nowhere").text == "nothing: 404: Not Found"
    assert browser.post("/").text == "not so: 405: Method Not Allowed"


@pytest.mark.parametrize("path", ["/", "/nowhere"])
@pytest.mark.parametrize("handled", [True, False])
def test_head_requests_get_no_body(path, handled):
    """The length is that of GET."""
    app = App()
    app.post("/")(lambda: None)
    if handled:
        app.add_exception_handler(HTTPException, saying("x", 404))
    browser = client(app)
    head, get = browser.head(path), browser.get(path)

    assert head.data == b""
    assert head.headers["Content-Length"] == get.headers["Content-Length"] == str(len(get.data))


@pytest.mark.parametrize("key", [Exception, 500])
def test_a_last_resort_answers_what_nobody_else_does(key, caplog):
    """The error is logged all the same."""
    app = app_raising(LookupError("lost"))
    app.add_exception_handler(key, saying("sorry", 500))

    assert ask(app).text == "sorry: 'lost'" or ask(app).text == "sorry: lost"
    assert "The request failed: LookupError" in caplog.text


def test_a_handler_that_fails_is_a_failure(caplog):
    """Then the last resort answers, or nobody."""
    app = app_raising(ShopError("tea"))

    @app.exception_handler(ShopError)
    def handle(request: Request, error: ShopError):
        raise LookupError("in the handler")

    assert ask(app).text == "Internal Server Error"
    assert "in the handler" in caplog.text


@pytest.mark.parametrize("key", [ShopError, Exception])
def test_a_handler_that_returns_no_response_is_a_failure(key, caplog):
    """The log says what it should have returned."""
    app = app_raising(ShopError("tea"))
    app.add_exception_handler(key, lambda request, error: {"not": "a response"})

    if key is Exception:  # nobody is left to answer: the server has to
        with pytest.raises(RuntimeError, match="is not a response"):
            ask(app)
    else:
        assert ask(app).status_code == 500
        assert "is not a response. Return a Response" in caplog.text


def test_a_handler_may_return_any_kind_of_response():
    """Werkzeug's too; its tasks run, those of the failed request do not."""
    ran = []
    app = App()

    @app.get("/")
    def handler(tasks: BackgroundTasks):
        tasks.add_task(ran.append, "request")
        raise ShopError

    @app.get("/werkzeug")
    def other():
        raise OutOfStock

    @app.exception_handler(ShopError)
    def handle(request: Request, error: ShopError):
        return PlainTextResponse("x", background=BackgroundTask(lambda: ran.append("answer")))

    app.add_exception_handler(OutOfStock, lambda request, error: WerkzeugResponse("w", 203))

    assert ask(app, "/werkzeug").text == "w"
    assert ask(app).text == "x"
    assert "request" not in ran


def test_a_handler_knows_the_request():
    """Its path parameters, its body and its app."""
    app = App()

    @app.post("/{item_id}")
    def handler(item_id: int, item: Item):
        raise ShopError

    @app.exception_handler(ShopError)
    def handle(request: Request, error: ShopError):
        return JSONResponse(
            [request.path_params, request.get_json(), request.app is app, request.method]
        )

    answer = client(app).post("/7", json={"name": "tea"})

    assert answer.json == [{"item_id": "7"}, {"name": "tea"}, True, "POST"]


def test_a_handler_of_wrong_data_sees_the_body():
    """`RequestValidationError.body` is what was parsed."""
    app = App()

    @app.post("/")
    def handler(item: Item):
        pytest.fail("not to be called")

    @app.exception_handler(RequestValidationError)
    def handle(request: Request, error: RequestValidationError):
        return JSONResponse({"errors": len(error.errors()), "body": error.body}, status_code=400)

    answer = client(app).post("/", json={"title": "tea"})

    assert (answer.status_code, answer.json) == (400, {"errors": 1, "body": {"title": "tea"}})


class Input(io.BytesIO):
    """A body that notes which threads read it."""

    def __init__(self, body):
        super().__init__(body)
        self.readers = set()

    def read(self, size=-1):
        self.readers.add(threading.current_thread())
        return super().read(size)


async def with_body(request: Request, error: Exception):
    await asyncio.sleep(0)
    return PlainTextResponse(await request.body(), 418)


async def with_data(request: Request, error: Exception):
    return PlainTextResponse(request.get_data(), 418)


class WithBody:
    async def __call__(self, request: Request, error: Exception):
        return PlainTextResponse(await request.body(), 418)


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("handler", [with_body, with_data, WithBody()], ids=["await", "not", "obj"])
def test_an_async_handler_does_not_read_the_body_on_the_loop(handler, inline):
    """A slow client must not hold up all async code."""
    app = App(async_inline=inline)
    app.post("/")(raising(OutOfStock()))
    app.add_exception_handler(OutOfStock, handler)
    body = Input(b"hello")

    answer = client(app).post("/", input_stream=body, content_length=5)

    assert answer.text == "hello"
    assert body.readers == {threading.current_thread()}


@pytest.mark.parametrize("length", [5, 50])
def test_an_async_handler_may_answer_for_a_body_that_cannot_be_read(length):
    """Too large, or cut off by the client: it need not look at it."""
    app = App(max_content_length=10)
    app.post("/")(raising(OutOfStock()))

    @app.exception_handler(OutOfStock)
    async def handler(request: Request, error: Exception):
        await asyncio.sleep(0)
        return PlainTextResponse("sold out", 418)

    answer = client(app).post("/", input_stream=io.BytesIO(b"hey"), content_length=length)

    assert (answer.status_code, answer.text) == (418, "sold out")


def test_an_async_handler_for_wrong_data_has_the_body_that_was_read():
    """It is in memory already, and not copied."""
    app = App()
    app.post("/")(needing_item)
    app.add_exception_handler(RequestValidationError, with_body)
    body = Input(b"[]")

    answer = client(app).post(
        "/", input_stream=body, content_length=2, content_type="application/json"
    )

    assert (answer.status_code, answer.text) == (418, "[]")


def test_our_handlers_can_be_called_by_yours():
    """FastAPI's names."""
    app = app_raising(HTTPException(404, "gone"))
    app.get("/data")(needing_q)

    @app.exception_handler(HTTPException)
    def handle(request: Request, error: HTTPException):
        response = http_exception_handler(request, error)
        response.headers["X-Seen"] = "yes"
        return response

    @app.exception_handler(RequestValidationError)
    def handle_data(request: Request, error: RequestValidationError):
        response = request_validation_exception_handler(request, error)
        response.headers["X-Seen"] = "yes"
        return response

    for path, status in (("/", 404), ("/data", 422)):
        answer = ask(app, path)
        assert (answer.status_code, answer.headers["X-Seen"]) == (status, "yes")


def needing_q(q: int):
    pytest.fail("not to be called")


@pytest.mark.parametrize("value", [float("nan"), "\ud800", b"\xff"], ids=["nan", "half", "bytes"])
def test_wrong_data_that_json_cannot_carry_are_shown(value):
    """As Python shows them; the client still learns what was wrong."""
    app = App()

    @app.get("/")
    def handler():
        raise RequestValidationError(
            [{"type": "odd", "loc": ("body", 0, "a"), "msg": "odd", "input": value}]
        )

    answer = ask(app)

    assert answer.status_code == 422
    assert answer.json["detail"][0]["loc"] == ["body", 0, "a"]


def test_wrong_data_without_end_are_left_out():
    """A nesting that goes too deep to be shown."""
    deep = []
    for _ in range(100_000):
        deep = [deep]
    error = RequestValidationError([{"type": "odd", "loc": ("body",), "msg": "odd", "input": deep}])

    answer = ask(app_raising(error))

    assert (answer.status_code, answer.json["detail"][0]["input"]) == (422, "...")
    while deep:
        deep = deep.pop()


@pytest.mark.parametrize("depth", range(800, 1000, 20))
def test_no_nesting_of_a_body_breaks_the_answer(depth):
    """Whether it is parsed or not, the client did something wrong, and is told so."""
    app = App()

    @app.post("/")
    def handler(item: Item):
        pytest.fail("not to be called")

    data = b"[" * depth + b"]" * depth
    answer = client(app).post("/", data=data, content_type="application/json")

    assert answer.status_code in (400, 422)


def test_an_error_that_cannot_be_shown_is_answered():
    """Its `__str__` may fail."""

    class Silent(ShopError):
        def __str__(self) -> str:
            raise LookupError

    app = app_raising(Silent())
    app.add_exception_handler(Silent, lambda request, error: PlainTextResponse("quiet"))

    assert ask(app).text == "quiet"


def test_dependencies_see_the_error_before_it_is_answered():
    """Inner ones first."""
    seen = []

    def dependency(response: Response):
        try:
            yield
        except ShopError as error:
            seen.append(error)
            raise

    app = App(dependencies=[Depends(dependency)])

    @app.get("/")
    def handler():
        raise ShopError("tea")

    @app.exception_handler(ShopError)
    def handle(request: Request, error: ShopError):
        seen.append("answered")
        return PlainTextResponse("x", status_code=418)

    assert ask(app).status_code == 418
    assert [type(each) for each in seen] == [ShopError, str]
