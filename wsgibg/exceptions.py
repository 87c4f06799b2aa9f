"""What can go wrong, in three families: an HTTP answer, a wrong declaration, a warning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypedDict

from pydantic import BaseModel, create_model
from werkzeug.exceptions import HTTPException as WerkzeugHTTPException

__all__ = [
    "ClosedResourceWarning",
    "DependencyScopeError",
    "EndpointContext",
    "FastAPIError",
    "HTTPException",
    "RegistrationError",
    "RequestErrorModel",
    "RequestValidationError",
    "ResponseValidationError",
    "TaskNotRun",
    "TaskRefused",
    "ValidationException",
    "WsgibgDeprecationWarning",
]

RequestErrorModel: type[BaseModel] = create_model("Request")


class FastAPIError(RuntimeError):
    """An error in the way an application uses the library; the root of its error classes.

    The name is FastAPI's, so that ``except FastAPIError`` of a ported application still works.
    """


class RegistrationError(FastAPIError):
    """A declaration cannot work; raised when it is made, never during a request.

    The message names the place (``file:line function()``), the parameter and the remedy.
    """


class DependencyScopeError(RegistrationError):
    """A dependency that lives longer depends on one that lives shorter (FastAPI's rule)."""


class TaskRefused(FastAPIError, TypeError):
    """``add_task`` was given a call that can never succeed.

    Raised in the function that called ``add_task``, where the mistake is.
    """


class TaskNotRun(FastAPIError):
    """A background task was lost, or dropped in strict mode.

    Raised in a test, by `wsgibg.testing.TestClient`; under a server it is logged.
    """


class ClosedResourceWarning(UserWarning):
    """A task was given a dependency's value that will be closed before the task runs.

    A ``UserWarning`` and no ``ResourceWarning``, which Python hides unless it is asked for.
    """


class WsgibgDeprecationWarning(UserWarning):
    """A way of calling the library will go away (a ``UserWarning``, so that it is shown)."""


class HTTPException(WerkzeugHTTPException):
    """An HTTP answer to raise instead of returning one.

    It is Werkzeug's exception as well, so it also works in a Flask view.

    Args:
        status_code: the status of the answer, for example 404.
        detail: anything JSON can carry; by default the status's reason phrase.
        headers: headers of the answer.

    Example:
        >>> from wsgibg import HTTPException
        >>> raise HTTPException(404, detail="No such item")
        Traceback (most recent call last):
        ...
        wsgibg.exceptions.HTTPException: 404: No such item
    """

    def __init__(
        self, status_code: int, detail: Any = None, headers: Mapping[str, str] | None = None
    ) -> None:
        if detail is None:
            detail = HTTPStatus(status_code).phrase
        super().__init__(description=detail if isinstance(detail, str) else None)
        self.code: int | None = status_code
        self.status_code: int = status_code
        self.detail = detail
        self.headers = headers

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        """Werkzeug's hook for the headers, with ours added (used where Flask answers)."""
        return [*super().get_headers(*args, **kwargs), *(self.headers or {}).items()]

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are copied by their args, which Werkzeug's do not keep.
        return _restored, (type(self), self.__dict__)

    def __str__(self) -> str:
        return f"{self.status_code}: {self.detail}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}(status_code={self.status_code!r}, detail={self.detail!r})"


class EndpointContext(TypedDict, total=False):
    """The handler that an error belongs to, for its text."""

    function: str
    path: str
    file: str
    line: int


def _restored(kind: type[HTTPException], state: dict[str, Any]) -> HTTPException:
    """A copied or unpickled exception."""
    error = kind.__new__(kind)
    error.__dict__.update(state)
    return error


class ValidationException(Exception):
    """Data did not have the declared form; ``errors()`` lists every place.

    Args:
        errors: pydantic's error dictionaries, each with ``loc``, ``msg`` and ``type``.
        body: what was validated, for a handler that wants to show it.
        endpoint_ctx: the handler.
    """

    def __init__(
        self,
        errors: Sequence[Any],
        *,
        body: Any = None,
        endpoint_ctx: EndpointContext | None = None,
    ) -> None:
        self._errors = errors
        self.body = body
        self.endpoint_ctx = endpoint_ctx

    def errors(self) -> Sequence[Any]:
        """Every error, in the order in which the parameters were read."""
        return self._errors

    def __str__(self) -> str:
        count = f"{len(self._errors)} validation error{'s'[: len(self._errors) != 1]}"
        context = self.endpoint_ctx or {}
        place = ""
        if "file" in context:
            place = f"{context['file']}:{context.get('line')} {context.get('function')}()"
        where = " ".join(part for part in (context.get("path"), place) if part)
        lines = "".join(f"\n  {error}" for error in self._errors)
        return f"{count}{' in ' if where else ''}{where}:{lines}"


class RequestValidationError(ValidationException):
    """The request's data are wrong; answered with 422 and FastAPI's body."""


class ResponseValidationError(ValidationException):
    """The handler returned something its response model refuses; the client gets a 500."""
