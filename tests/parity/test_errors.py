# ruff: noqa: I002 (annotations are looked up where they stand: in local names)
"""Exceptions and their handlers, compared with FastAPI's."""

from typing import Any

import pytest

from tests.parity.both import both


class Animal(Exception):
    """The farthest class."""


class Dog(Animal):
    """The nearest."""


DETAILS: list[Any] = [None, "text", "", ["a", 1], {"a": {"b": None}}, 0, False, "é", 1.5]


@pytest.mark.parametrize("status", [400, 404, 418, 422, 500, 503, 204, 304, 205, 301, 200])
def test_an_http_exception_is_the_answer(status: int) -> None:
    """With its status, detail and headers."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.get("/{number}")
        def read(number: int, headers: bool = False) -> Any:
            given = {"X-Error": "1", "WWW-Authenticate": "Basic"} if headers else None
            raise ns.HTTPException(status, DETAILS[number], headers=given)

        @app.get("/")
        def by_name() -> Any:
            raise ns.HTTPException(status_code=status)

        return app

    pair = both(declare)
    for number in range(len(DETAILS)):
        pair.get(f"/{number}")
        pair.get(f"/{number}?headers=1")
    pair.get("/")


def raising(ns: Any) -> Any:
    """An app whose handlers raise what they are asked for."""
    app = ns.App()

    @app.get("/{kind}")
    def read(kind: str, q: int = 0) -> Any:
        ns.calls.append("handler")
        if kind == "dog":
            raise Dog(kind)
        if kind == "animal":
            raise Animal(kind)
        if kind == "value":
            raise ValueError(kind)
        if kind == "404":
            raise ns.HTTPException(404, "none")
        if kind == "418":
            raise ns.HTTPException(418)
        if kind == "sub":
            raise type("Sub", (ns.HTTPException,), {})(403, "sub")
        if kind == "lookup":
            return {}[kind]
        return kind

    return app


KINDS = ["dog", "animal", "value", "404", "418", "sub", "lookup", "fine", "a/b"]


def _declare(*wanted: Any) -> Any:
    def declare(ns: Any) -> Any:
        app = raising(ns)
        for name in wanted:
            key = getattr(ns, name) if isinstance(name, str) else name

            def handler(request: Any, exc: Any, name: Any = name) -> Any:
                ns.calls.append([str(name), type(exc).__name__, request.url.path])
                return ns.JSONResponse({"by": str(name)}, status_code=299, headers={"X-By": "h"})

            async def later(request: Any, exc: Any, name: Any = name) -> Any:
                ns.calls.append([str(name), type(exc).__name__, request.url.path])
                return ns.JSONResponse({"by": str(name)}, status_code=299)

            app.add_exception_handler(key, later if name in (Animal, 404) else handler)
        return app

    return declare


HANDLED: list[tuple[Any, ...]] = [
    (),
    (Animal,),
    (Dog, Animal),
    (Exception,),
    (500,),
    (Exception, ValueError),
    (404,),
    ("HTTPException",),
    ("AnyHTTPException",),
    ("HTTPException", 404),
    ("RequestValidationError",),
    (422,),
    (LookupError,),
    (418, "AnyHTTPException", Exception, Dog),
]


@pytest.mark.parametrize("wanted", HANDLED, ids=str)
def test_the_nearest_handler_answers(wanted: tuple[Any, ...]) -> None:
    """By status for HTTP exceptions, by class for all; unmatched paths are 404 exceptions too."""
    pair = both(_declare(*wanted))
    for kind in KINDS:
        if "HTTPException" in wanted and kind in ("a/b", "404", "418", "sub"):
            continue  # Starlette's own 404 is no FastAPI HTTPException; ours are one class
        pair.get(f"/{kind}")
        pair.get(f"/{kind}?q=x")
        if "HTTPException" not in wanted:
            pair.post(f"/{kind}")


def test_a_handler_of_errors_may_fail_itself() -> None:
    """By another exception, or by an HTTP exception: it is not handled again."""

    def declare(ns: Any) -> Any:
        app = raising(ns)

        @app.exception_handler(Dog)
        def dog(request: Any, exc: Any) -> Any:
            ns.calls.append("dog")
            raise ValueError("handler")

        @app.exception_handler(Animal)
        def animal(request: Any, exc: Any) -> Any:
            ns.calls.append("animal")
            raise ns.HTTPException(404, "no such animal")

        return app

    pair = both(declare)
    pair.get("/dog")
    pair.get("/animal")


def test_handlers_given_to_the_app_count_too() -> None:
    """``App(exception_handlers=...)``."""

    def declare(ns: Any) -> Any:
        async def missing(request: Any, exc: Any) -> Any:
            return ns.PlainTextResponse(f"missing {exc.detail}", status_code=exc.status_code)

        def wrong(request: Any, exc: Any) -> Any:
            return ns.PlainTextResponse("wrong", status_code=400)

        app = ns.App(exception_handlers={404: missing, ns.RequestValidationError: wrong})

        @app.get("/{number}")
        def read(number: int) -> Any:
            raise ns.HTTPException(404, number)

        return app

    pair = both(declare)
    for path in ("/1", "/x", "/x/y"):
        pair.get(path)
    pair.post("/1")


def test_a_result_that_the_model_refuses_is_a_500() -> None:
    """The client is told nothing."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.get("/")
        def read() -> int:
            return "x"

        @app.get("/object")
        def an_object() -> Any:
            return ns.jsonable_encoder(object)

        return app

    pair = both(declare)
    assert pair.get("/").status == 500
    pair.get("/object")
