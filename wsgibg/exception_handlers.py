"""Which answer an exception gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from werkzeug.exceptions import HTTPException as WerkzeugHTTPException
from werkzeug.exceptions import default_exceptions
from werkzeug.routing import RoutingException
from werkzeug.wrappers import Response as WerkzeugResponse

from wsgibg.encoders import jsonable_encoder
from wsgibg.exceptions import FastAPIError, HTTPException, RequestValidationError
from wsgibg.requests import Request
from wsgibg.responses import JSONResponse, PlainTextResponse, Response, has_body

__all__ = [
    "ExceptionHandlers",
    "body_allowed",
    "checked",
    "http_exception_handler",
    "request_validation_exception_handler",
    "server_error",
    "text_of",
]

Handler = Callable[[Request, Any], Any]


def body_allowed(status_code: int) -> bool:
    """Whether data are sent with this status: FastAPI's rule, by which a 205 is left empty too."""
    return status_code != 205 and has_body(status_code)


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

    What was sent may be nothing that JSON can carry back: NaN, half a surrogate pair, bytes that
    are no text, an endless nesting. FastAPI answers 500 then; here it is shown as Python's `repr`.

    Args:
        request: the request that failed.
        exc: the errors.
    """
    del request
    errors = exc.errors()
    try:
        return JSONResponse({"detail": jsonable_encoder(errors)}, status_code=422)
    except (ValueError, RecursionError):
        return JSONResponse({"detail": [_shown(each) for each in errors]}, status_code=422)


def _shown(error: Mapping[str, Any]) -> dict[str, Any]:
    """An error of which every part can be sent."""
    loc = [part if isinstance(part, int) else _text(str(part)) for part in error["loc"]]
    shown = {"type": error["type"], "loc": loc, "msg": _text(error["msg"])}
    try:
        return {**shown, "input": _text(repr(error.get("input")))}
    except RecursionError:
        return {**shown, "input": "..."}


def _text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


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
    detail = phrase or error.name
    if error.description is not None and error.description != type(error).description:
        detail = error.description
    return HTTPException(code, detail, headers or None)


def by_itself(request: Request, exc: WerkzeugHTTPException) -> Any:
    """The answer that an exception of Werkzeug brings along, such as a redirect.

    Args:
        request: the request that failed.
        exc: the exception that was raised.
    """
    return exc.get_response(request.environ)


def _kinds(error: Exception) -> Iterator[type]:
    """The classes by which a handler may know an error, the nearest first."""
    for kind in type(error).__mro__:
        if kind is Exception:
            return
        if kind is HTTPException:
            # Werkzeug has a class for each status, which says more than ours does.
            yield default_exceptions.get(error.code, kind)  # type: ignore[attr-defined]
        yield kind


def checked(answer: Any) -> Response:
    """What a handler returned, if it is a response, ours or Werkzeug's."""
    if not isinstance(answer, (Response, WerkzeugResponse)):
        msg = f"{answer!r} is not a response. Return a Response from the exception handler."
        raise FastAPIError(msg)
    return answer  # type: ignore[return-value]


def text_of(error: BaseException) -> str:
    """Class and message; an input that is nested too deep to be shown is part of some."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 (it may be the user's own ``__str__``)
        return type(error).__name__


class ExceptionHandlers:
    """The handlers of an app, by class and by status; user's before ours.

    Args:
        given: handlers to begin with, as in ``App(exception_handlers=...)``.
    """

    def __init__(self, given: Mapping[int | type[Exception], Handler] | None = None) -> None:
        self.by_status: dict[int, Handler] = {}
        self.by_class: dict[type[Any], Handler] = {
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

    def find(self, error: Exception) -> tuple[Handler | None, Exception]:
        """The handler for an error, and the error as that handler expects it.

        Starlette's order: an HTTP exception's status first, then the classes of the error from
        the nearest to the farthest. `Exception` and 500 are the last resort, see `last_resort`.
        """
        if isinstance(error, WerkzeugHTTPException):
            # ``abort(response)`` means that response, and a redirect is no failure (Flask's rule).
            if error.response is not None or isinstance(error, RoutingException):
                return by_itself, error
            handler = self.by_status.get(error.code or 500)
            if handler is not None:
                return handler, as_ours(error)
        for kind in _kinds(error):
            if kind in self.by_class:
                return self.by_class[kind], error
        if isinstance(error, WerkzeugHTTPException):
            if type(error).get_response is not WerkzeugHTTPException.get_response:
                return by_itself, error
            return self.by_class.get(HTTPException, http_exception_handler), as_ours(error)
        return None, error

    def is_default(self, error: HTTPException) -> bool:
        """Whether an HTTP exception gets our own answer, whose form is known."""
        return self.find(error)[0] is http_exception_handler

    def last_resort(self) -> Handler | None:
        """The handler for whatever nobody else handles; the error is logged all the same."""
        return self.by_class.get(Exception) or self.by_status.get(500)
