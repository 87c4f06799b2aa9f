"""The request object, FastAPI's face over a WSGI environ."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any, Generic, Self, TypeVar, overload

from werkzeug.datastructures import FileStorage, MultiDict

from wsgibg.datastructures import (
    URL,
    Address,
    EnvironHeaders,
    FormData,
    QueryParams,
    State,
    URLPath,
)
from wsgibg.exceptions import FastAPIError
from wsgibg.requests._body import iter_body, read_body
from wsgibg.requests._cookies import parse_cookies
from wsgibg.requests._forms import FormLimits, open_form, read_form
from wsgibg.requests._werkzeug import WerkzeugRequest

T = TypeVar("T")

# What FastAPI's request has and a WSGI request cannot have, with what to use instead.
_ABSENT = {
    "scope": "WSGI has no ASGI scope: use request.environ, request.path_params or request.state",
    "receive": "WSGI has no ASGI channel: use request.body() or request.stream()",
    "send_push_promise": "WSGI servers cannot push",
}


class _Lazy(Generic[T]):
    """An attribute that is made when it is first read."""

    # PERF: from the second read on it is an ordinary attribute (0.02 µs); functools'
    # cached_property takes a lock on Python 3.11, Werkzeug's costs a call at every read.

    def __init__(self, make: Callable[[Any], T]) -> None:
        self.make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> T: ...
    def __get__(self, instance: object | None, owner: type[Any]) -> Self | T:
        if instance is None:
            return self
        value = self.make(instance)
        setattr(instance, self.name, value)
        return value


class _Form:
    """What ``form()`` returns: to be awaited, or to be entered with ``async with``."""

    __slots__ = ("_form", "_read")

    def __init__(self, read: Callable[[], FormData]) -> None:
        self._read = read

    async def _awaited(self) -> FormData:
        return self._read()

    def __await__(self) -> Generator[Any, None, FormData]:
        return self._awaited().__await__()

    async def __aenter__(self) -> FormData:
        self._form = self._read()
        return self._form

    async def __aexit__(self, *_: object) -> None:
        self._form.close_files()


class Request:
    """One HTTP request.

    ``async def`` code awaits ``body()``, ``json()`` and ``form()`` as in FastAPI; plain code calls
    ``get_data()``, ``get_json()`` and ``get_form()``. Both read the body once and share it, also
    with any other ``Request`` for the same environ. Nothing is read or parsed before it is asked
    for, and the request is not stored in the environ (it would form a circle).

    Args:
        environ: the WSGI environ (PEP 3333).
        app: the application that serves the request; ``url_for`` asks it.
        path_params: the values found in the path.
        state: where ``request.state`` keeps its values; by default the environ.

    Example:
        >>> from werkzeug.test import create_environ
        >>> request = Request(create_environ("/items?q=tea", headers={"X-Tag": "new"}))
        >>> request.method, request.url.path, request.query_params["q"], request.headers["x-tag"]
        ('GET', '/items', 'tea', 'new')
    """

    def __init__(
        self,
        environ: dict[str, Any],
        *,
        app: Any = None,
        path_params: dict[str, Any] | None = None,
        state: State | None = None,
    ) -> None:
        # PERF: 0.3 µs; werkzeug's Request takes 1.7.
        self.environ = environ
        self.app = app
        self.path_params: dict[str, Any] = {} if path_params is None else path_params
        if state is not None:
            self.state = state

    # --------------------------------------------------------------- the head of the request

    @property
    def method(self) -> str:
        """For example ``GET``."""
        return str(self.environ["REQUEST_METHOD"])

    @_Lazy
    def url(self) -> URL:
        """The URL that was asked for."""
        return URL.from_environ(self.environ)

    @_Lazy
    def base_url(self) -> URL:
        """The URL where the application begins; it ends with a slash."""
        return URL.root_of(self.environ)

    @_Lazy
    def headers(self) -> EnvironHeaders:
        """The header fields."""
        return EnvironHeaders(self.environ)

    @_Lazy
    def query_params(self) -> QueryParams:
        """The parameters of the query."""
        return QueryParams(self.environ.get("QUERY_STRING", ""))

    @_Lazy
    def cookies(self) -> dict[str, str]:
        """The cookies by name."""
        return parse_cookies(self.environ.get("HTTP_COOKIE", ""))

    @property
    def client(self) -> Address | None:
        """The address of the peer; ``None`` where the server listens on a Unix socket."""
        host, port = self.environ.get("REMOTE_ADDR"), str(self.environ.get("REMOTE_PORT", ""))
        return Address(host, int(port) if port.isdecimal() else 0) if host else None

    @_Lazy
    def state(self) -> State:
        """A place for values that middleware, dependencies and handlers share."""
        return State(self.environ.setdefault("wsgibg.state", {}))

    @property
    def session(self) -> dict[str, Any]:
        """The session's values, where a session middleware has put them.

        Raises:
            FastAPIError: there is no such middleware.
        """
        session: dict[str, Any] | None = self.environ.get("wsgibg.session")
        if session is None:
            raise FastAPIError(
                "request.session: this request has no session. Add SessionMiddleware to the app."
            )
        return session

    def url_for(self, name: str, /, **path_params: Any) -> URL:
        """The URL of a route.

        Args:
            name: the route's name, by default its function's.
            path_params: the values of its path.

        Raises:
            FastAPIError: the request was made without an app.
        """
        if self.app is None:
            raise FastAPIError(f"request.url_for({name!r}): this request was made without an app.")
        path = self.app.url_path_for(name, **path_params)
        return (path if isinstance(path, URLPath) else URLPath(path)).make_absolute_url(
            self.base_url
        )

    # --------------------------------------------------------------- the body, in plain code

    @property
    def _limit(self) -> int | None:
        return getattr(self.app, "max_content_length", None)

    def get_data(self) -> bytes:
        """The whole body. See ``read_body`` for what it raises."""
        return read_body(self.environ, self._limit)

    def get_json(self) -> Any:
        """The body as JSON, whatever its media type says.

        Raises:
            json.JSONDecodeError: it is not JSON.
        """
        return self._json

    @_Lazy
    def _json(self) -> Any:
        return json.loads(self.get_data())

    def get_form(
        self,
        *,
        max_files: float = 1000,
        max_fields: float = 1000,
        max_part_size: int = 1024 * 1024,
    ) -> FormData:
        """The body as a form; empty where it is not one. See ``read_form`` for what it raises.

        Args:
            max_files: how many files to accept.
            max_fields: how many other fields to accept.
            max_part_size: how many bytes to accept in a field.
        """
        limits = FormLimits(max_files, max_fields, max_part_size)
        return read_form(self.environ, self._limit, limits)

    @property
    def args(self) -> MultiDict[str, str]:
        """The parameters of the query in Werkzeug's form."""
        return self.werkzeug.args

    @property
    def files(self) -> MultiDict[str, FileStorage]:
        """The files of the form in Werkzeug's form."""
        return self.werkzeug.files

    @_Lazy
    def werkzeug(self) -> WerkzeugRequest:
        """The same request as Werkzeug has it, with everything Werkzeug offers."""
        return WerkzeugRequest(self.environ, self._limit)

    # --------------------------------------------------------------- the body, to be awaited

    async def body(self) -> bytes:
        """The whole body. See ``read_body`` for what it raises."""
        return self.get_data()

    async def json(self) -> Any:
        """The body as JSON, whatever its media type says.

        Raises:
            json.JSONDecodeError: it is not JSON.
        """
        return self.get_json()

    def form(
        self,
        *,
        max_files: float = 1000,
        max_fields: float = 1000,
        max_part_size: int = 1024 * 1024,
    ) -> _Form:
        """The body as a form: ``await request.form()``, or ``async with request.form() as form``.

        Args:
            max_files: how many files to accept.
            max_fields: how many other fields to accept.
            max_part_size: how many bytes to accept in a field.
        """
        return _Form(
            lambda: self.get_form(
                max_files=max_files, max_fields=max_fields, max_part_size=max_part_size
            )
        )

    async def stream(self) -> AsyncIterator[bytes]:
        """The body in chunks, the last one empty; they are not kept. See ``iter_body``."""
        for chunk in iter_body(self.environ, self._limit):
            yield chunk
        yield b""

    async def is_disconnected(self) -> bool:
        """False: WSGI does not say whether the client is still there."""
        return False

    async def close(self) -> None:
        """Close the files of the form, if one was read."""
        form = open_form(self.environ)
        if form is not None:
            form.close_files()

    def __getattr__(self, name: str) -> Any:
        reason = f"{_ABSENT[name]}." if name in _ABSENT else ""
        raise AttributeError(
            f"{type(self).__name__!r} object has no attribute {name!r}. {reason}".rstrip()
        )
