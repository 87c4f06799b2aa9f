"""Which answer an exception gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from werkzeug.exceptions import HTTPException as WerkzeugHTTPException

from wsgibg.encoders import jsonable_encoder
from wsgibg.exceptions import HTTPException, RequestValidationError
from wsgibg.requests import Request
from wsgibg.responses import JSONResponse, PlainTextResponse, Response

__all__ = [
    "ExceptionHandlers",
    "body_allowed",
    "http_exception_handler",
    "request_validation_exception_handler",
    "server_error",
]

Handler = Callable[[Request, Any], Any]


def body_allowed(status_code: int) -> bool:
    """Whether a response with this status may carry a body (RFC 9110)."""
    return status_code >= 200 and status_code not in (204, 205, 304)


def http_exception_handler(request: Request, exc: HTTPException) -> Response:
    """FastAPI's answer to an `HTTPException`: its detail as JSON.

    Args:
        request: the request that failed.
        exc: the exception that was raised.
    """
    del request
    headers = getattr(exc, "headers", None)
    if not body_allowed(exc.status_code):
        return Response(status_code=exc.status_code, headers=headers)
    return JSONResponse({"detail": exc.detail}, status_code=exc.status_code, headers=headers)


def request_validation_exception_handler(
    request: Request, exc: RequestValidationError
) -> JSONResponse:
    """FastAPI's answer to wrong data: 422 with every error.

    Args:
        request: the request that failed.
        exc: the errors.
    """
    del request
    return JSONResponse({"detail": jsonable_encoder(exc.errors())}, status_code=422)


def server_error(detail: str | None = None) -> Response:
    """The answer to what nobody handles; it tells the client nothing unless it is given.

    Args:
        detail: a traceback, for ``App(debug=True)``.
    """
    return PlainTextResponse(detail or "Internal Server Error", status_code=500)


def as_ours(error: WerkzeugHTTPException) -> HTTPException:
    """A Werkzeug exception as the one of ours that says the same."""
    if isinstance(error, HTTPException):
        return error
    code = error.code or 500
    headers = {name: value for name, value in error.get_headers() if name.lower() != "content-type"}
    phrase = HTTPStatus(code).phrase if code in HTTPStatus._value2member_map_ else None
    ours = HTTPException(code, phrase or error.name, headers or None)
    if error.description is not None and error.description != type(error).description:
        ours.detail = error.description
    return ours


class ExceptionHandlers:
    """The handlers of an app, by class and by status; user's before ours.

    Args:
        given: handlers to begin with, as in ``App(exception_handlers=...)``.
    """

    def __init__(self, given: Mapping[int | type[Exception], Handler] | None = None) -> None:
        self.by_status: dict[int, Handler] = {}
        self.by_class: dict[type[Any], Handler] = {
            HTTPException: http_exception_handler,
            RequestValidationError: request_validation_exception_handler,
        }
        for key, handler in (given or {}).items():
            self.add(key, handler)

    def add(self, key: int | type[Exception], handler: Handler) -> None:
        """Have a handler answer exceptions of a class, or HTTP exceptions of a status."""
        if isinstance(key, int):
            self.by_status[key] = handler
        else:
            self.by_class[key] = handler
            if key is WerkzeugHTTPException:  # ours is one of them
                self.by_class[HTTPException] = handler

    def find(self, error: Exception) -> tuple[Handler | None, Exception]:
        """The handler for an error, and the error as that handler expects it.

        Starlette's order: an HTTP exception's status first, then the classes of the error from
        the nearest to the farthest. `Exception` and 500 are the last resort, see `last_resort`.
        """
        if isinstance(error, WerkzeugHTTPException):
            handler = self.by_status.get(error.code or 500)
            if handler is not None:
                return handler, as_ours(error)
        for kind in type(error).__mro__:
            if kind is Exception:
                break
            if kind in self.by_class:
                return self.by_class[kind], error
        if isinstance(error, WerkzeugHTTPException):
            return self.by_class[HTTPException], as_ours(error)
        return None, error

    def last_resort(self) -> Handler | None:
        """The handler for whatever nobody else handles; the error is logged all the same."""
        return self.by_class.get(Exception) or self.by_status.get(500)
