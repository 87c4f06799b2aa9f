"""The exceptions: what they say, and that ours are Werkzeug's too."""

from __future__ import annotations

import copy
import pickle

import pytest
from werkzeug.exceptions import HTTPException as WerkzeugHTTPException
from werkzeug.test import Client, create_environ
from werkzeug.wrappers import Response

from wsgibg import HTTPException
from wsgibg.exceptions import (
    ClosedResourceWarning,
    DependencyScopeError,
    FastAPIError,
    RegistrationError,
    RequestErrorModel,
    RequestValidationError,
    ResponseValidationError,
    TaskRefused,
    ValidationException,
)

ERROR = {"type": "missing", "loc": ("query", "q"), "msg": "Field required", "input": None}


def test_an_http_exception_has_fastapi_s_attributes():
    """And the code that Werkzeug asks for."""
    error = HTTPException(404, detail={"no": "item"}, headers={"X-A": "b"})

    assert (error.status_code, error.code) == (404, 404)
    assert error.detail == {"no": "item"}
    assert error.headers == {"X-A": "b"}
    assert isinstance(error, WerkzeugHTTPException)


def test_the_detail_is_the_reason_phrase_unless_one_is_given():
    """As in FastAPI; an empty one is one."""
    assert HTTPException(404).detail == "Not Found"
    assert HTTPException(404, "").detail == ""
    assert HTTPException(status_code=418).detail == "I'm a Teapot"


def test_an_http_exception_tells_what_it_is():
    """FastAPI's `str` and `repr`."""
    error = HTTPException(404, "No such item")

    assert str(error) == "404: No such item"
    assert repr(error) == "HTTPException(status_code=404, detail='No such item')"


def test_a_subclass_has_its_own_name():
    """In its `repr`, and nowhere else."""

    class OutOfStock(HTTPException):
        def __init__(self) -> None:
            super().__init__(409, "out of stock")

    assert repr(OutOfStock()) == "OutOfStock(status_code=409, detail='out of stock')"


def test_werkzeug_can_answer_it():
    """It is a WSGI application, as every exception of Werkzeug is."""
    error = HTTPException(404, "No such item", headers={"X-A": "b"})

    answer = Client(error).get("/")

    assert answer.status_code == 404
    assert "No such item" in answer.text
    assert answer.headers["X-A"] == "b"
    assert error.get_response(create_environ()).headers["X-A"] == "b"


def test_werkzeug_answers_a_detail_that_is_no_text():
    """With the phrase of the status."""
    answer = Client(HTTPException(404, {"no": "item"})).get("/")

    assert (answer.status_code, "Not Found" in answer.text) == (404, True)


def test_it_works_in_a_flask_view():
    """Flask answers it, and its handlers for Werkzeug's class catch it."""
    flask = pytest.importorskip("flask")
    app, other = flask.Flask("shop"), flask.Flask("other")

    @app.get("/item")
    @other.get("/item")
    def item():
        raise HTTPException(404, "No such item", headers={"X-A": "b"})

    plain = app.test_client().get("/item")
    assert (plain.status_code, plain.headers["X-A"]) == (404, "b")
    assert "No such item" in plain.text

    other.register_error_handler(
        WerkzeugHTTPException, lambda error: (f"handled {error.description}", error.code)
    )
    assert other.test_client().get("/item").text == "handled No such item"


@pytest.mark.parametrize("copy", [lambda one: pickle.loads(pickle.dumps(one)), copy.copy])
def test_an_http_exception_can_be_copied(copy):
    """It may have to travel between processes."""
    error = copy(HTTPException(404, "No such item", {"X-A": "b"}))

    assert (error.status_code, error.detail, error.headers) == (404, "No such item", {"X-A": "b"})


@pytest.mark.parametrize("kind", [RequestValidationError, ResponseValidationError])
def test_a_validation_error_lists_every_error(kind):
    """Its text has a line for each, and the handler where that is known."""
    context = {"path": "GET /", "function": "read", "file": "shop.py", "line": 7}
    error = kind([ERROR, ERROR], body={"a": 1}, endpoint_ctx=context)

    assert error.errors() == [ERROR, ERROR]
    assert error.body == {"a": 1}
    assert str(error) == (f"2 validation errors in GET / shop.py:7 read():\n  {ERROR}\n  {ERROR}")
    assert isinstance(error, ValidationException)


def test_a_validation_error_may_know_nothing_of_a_handler():
    """Users raise it as well."""
    assert str(RequestValidationError([ERROR])) == f"1 validation error:\n  {ERROR}"
    assert str(RequestValidationError([])) == "0 validation errors:"
    context = {"path": "GET /", "function": "len"}
    assert str(RequestValidationError([], endpoint_ctx=context)).startswith(
        "0 validation errors in GET /"
    )


def test_the_families():
    """What to catch to catch which."""
    assert issubclass(RegistrationError, FastAPIError)
    assert issubclass(DependencyScopeError, RegistrationError)
    assert issubclass(TaskRefused, (FastAPIError, TypeError))
    assert issubclass(ClosedResourceWarning, UserWarning)  # Python shows these by default
    assert not issubclass(ValidationException, FastAPIError)
    assert RequestErrorModel.__name__ == "Request"


def test_a_response_may_be_attached():
    """Werkzeug's `abort(response)` makes such an exception."""
    assert WerkzeugHTTPException(response=Response("x")).code is None
