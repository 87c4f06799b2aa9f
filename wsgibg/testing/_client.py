"""The client of a WSGI application, for tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from io import BytesIO
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack, cast
from urllib.parse import urlsplit

import werkzeug.test
from werkzeug.datastructures import Headers
from werkzeug.test import ClientRedirectError, Cookie, EnvironBuilder
from werkzeug.wrappers import Request

from wsgibg.datastructures import URL
from wsgibg.testing._body import WatchedBody, quiet
from wsgibg.testing._cookies import ClientCookies
from wsgibg.testing._request import Pairs, RequestOptions, build, header_list, redirected, url_of
from wsgibg.testing._response import TestResponse
from wsgibg.testing._watch import Watch, drain_process

__all__ = ["ClientOptions", "TestClient"]

_MAX_REDIRECTS = 20
_HEADERS = {
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate",
    "Connection": "keep-alive",
    "User-Agent": "testclient",
}
#: What is asked for: a path or URL, or a request that was made by Werkzeug's means.
Target = str | URL | EnvironBuilder | Request | dict[str, Any]


class ClientOptions(TypedDict, total=False):
    """The further options of a `TestClient`.

    ``raise_task_errors``: whether the error of a background task is raised in the test, and
    strict mode's errors are; by default as ``raise_server_exceptions`` says. ``drain_timeout``:
    the seconds that a call waits for tasks in a pool at most. ``follow_redirects``: True, as in
    FastAPI. ``headers`` and ``cookies`` are sent with each request. ``root_path``: the
    ``SCRIPT_NAME``. ``client``: host and port that requests seem to come from. ``backend`` and
    ``backend_options`` are taken from a ported test and mean nothing.

    Of Werkzeug: ``response_wrapper``, a class that responses have as a further base, and
    ``use_cookies``.
    """

    raise_task_errors: bool
    drain_timeout: float
    follow_redirects: bool
    headers: Pairs | None
    cookies: Pairs | None
    root_path: str
    client: tuple[str, int]
    backend: str
    backend_options: dict[str, Any] | None
    response_wrapper: type[Any] | None
    use_cookies: bool


class TestClient(werkzeug.test.Client):
    """A client that calls a WSGI application without a server, and has ended when it returns.

    Each call reads the response to its end and closes it, so the dependencies were left and the
    background tasks have run, those in a pool as well. Errors that a server would only log or
    answer with 500 are raised in the test. Requests are described as in FastAPI's test client
    (httpx), or as in Werkzeug's, whose subclass this is.

    Args:
        app: an `App`, a wrapped application, or any other.
        base_url: what paths are joined to.
        raise_server_exceptions: whether the error that a handler did not expect is raised in the
            test; otherwise the response is what a browser would get.
        options: see `ClientOptions`.

    Example:
        >>> from wsgibg import App, BackgroundTasks
        >>> from wsgibg.testing import TestClient
        >>> app = App()
        >>> sent = []
        >>> @app.post("/signup")
        ... def signup(email: str, tasks: BackgroundTasks) -> dict[str, str]:
        ...     tasks.add_task(sent.append, email)
        ...     return {"message": "welcome"}
        >>> client = TestClient(app)
        >>> client.post("/signup", params={"email": "ada@example.com"}).json()
        {'message': 'welcome'}
        >>> sent
        ['ada@example.com']
    """

    __test__ = False

    def __init__(
        self,
        app: Any,
        base_url: str = "http://testserver",
        raise_server_exceptions: bool = True,
        **options: Unpack[ClientOptions],
    ) -> None:
        for name in options:
            if name not in ClientOptions.__optional_keys__:
                msg = f"TestClient() has no option {name!r}."
                raise TypeError(msg)
        wrapper = options.get("response_wrapper")
        if wrapper is None:
            wrapper = TestResponse
        elif not issubclass(wrapper, TestResponse):
            wrapper = type("WrappedTestResponse", (TestResponse, wrapper), {"__test__": False})
        super().__init__(app, wrapper, use_cookies=options.get("use_cookies", True))
        self.app = app
        self.base_url: URL = URL(base_url.rstrip("/"))
        self.raise_server_exceptions = raise_server_exceptions
        self.raise_task_errors: bool = options.get("raise_task_errors", raise_server_exceptions)
        self.drain_timeout: float = options.get("drain_timeout", 25.0)
        self.follow_redirects: bool = options.get("follow_redirects", True)
        self.root_path: str = options.get("root_path", "")
        self.client: tuple[str, int] = options.get("client", ("testclient", 50000))
        self.headers: Headers = Headers(_HEADERS)
        for name, value in header_list(options.get("headers")):
            self.headers[name] = value
        if options.get("cookies"):
            self.cookies.update(options["cookies"] or ())

    # -------------------------------------------------------------- one call
    def run_wsgi_app(
        self, environ: dict[str, Any], buffered: bool = False
    ) -> tuple[Iterable[bytes], str, Headers]:
        """Call the application once, and see to its tasks."""
        watch = Watch(
            strict=bool(getattr(self.app, "strict", False)),
            raises_errors=self.raise_server_exceptions,
            raises_tasks=self.raise_task_errors,
        )
        environ["wsgibg.errors"] = watch.errors
        with watch.watching():
            self._add_cookies_to_wsgi(environ)
            app = self.application if self.raise_server_exceptions else quiet(self.application)
            body, status, headers = werkzeug.test.run_wsgi_app(app, environ, buffered=buffered)
            cookies = headers.getlist("Set-Cookie")
            path = urlsplit(url_of(environ)).path
            self._update_cookies_from_response(environ["SERVER_NAME"], path, cookies)
            if buffered:
                self._settle(watch)
                return body, status, headers
        return WatchedBody(body, watch, partial(self._settle, watch)), status, headers

    def _settle(self, watch: Watch) -> None:
        drain = getattr(self.app, "drain", None)
        watch.settle(self.drain_timeout, *([drain] if callable(drain) else []))

    def open(
        self,
        *args: Any,
        buffered: bool = True,
        follow_redirects: bool | None = None,
        **options: Any,
    ) -> TestResponse:
        """Send a request.

        Args:
            args: one, the URL (or path), or what Werkzeug's client takes in its place: an
                `EnvironBuilder`, a request, an environ.
            buffered: whether the response is read and closed before it is returned. If not, the
                tasks run when it is closed.
            follow_redirects: in place of the client's option.
            options: see `RequestOptions`.

        Raises:
            Exception: what the request or one of its tasks has failed with.
            TimeoutError: a task has not ended in time.
            werkzeug.test.ClientRedirectError: there are more than 20 redirects.
        """
        options.pop("timeout", None)
        options.pop("extensions", None)
        target = args[0] if args else options.pop("path", "/")
        if len(args) > 1:
            raise TypeError(
                "Give the URL by position, and the rest by name: base_url=..., data=..."
            )
        if not isinstance(target, (str, URL)):
            response = cast(TestResponse, super().open(target, buffered=buffered))
        else:
            builder = self._build(str(target), options)
            try:
                response = cast(TestResponse, super().open(builder, buffered=buffered))
            finally:
                builder.closed = True  # or it would close the test's files
        if self.follow_redirects if follow_redirects is None else follow_redirects:
            response = self._follow(response, buffered=buffered)
        body = response.request.environ["wsgi.input"]
        if hasattr(body, "fileno") and not isinstance(body, BytesIO):  # Werkzeug's temporary file
            response.call_on_close(body.close)
            if buffered:
                body.close()
        return response

    def _build(self, url: str, options: dict[str, Any]) -> EnvironBuilder:
        host, port = self.client
        return build(
            url,
            options,
            base_url=str(self.base_url),
            root_path=self.root_path,
            headers=self.headers,
            environ={"REMOTE_ADDR": host, "REMOTE_PORT": str(port)},
        )

    def _follow(self, response: TestResponse, *, buffered: bool) -> TestResponse:
        history: list[werkzeug.test.TestResponse] = []
        while response.has_redirect_location:
            if len(history) == _MAX_REDIRECTS:
                msg = f"There were {_MAX_REDIRECTS} redirects, the last one to {response.location}."
                raise ClientRedirectError(msg)
            response.close()
            response.history = tuple(history)
            history.append(response)
            environ = response.request.environ
            builder = redirected(environ, response.status_code, response.headers["Location"])
            response = cast(TestResponse, super().open(builder, buffered=buffered))
        response.history = tuple(history)
        return response

    # -------------------------------------------------------------- methods
    def request(
        self, method: str, url: Target = "/", **options: Unpack[RequestOptions]
    ) -> TestResponse:
        """Send a request; see `open` and `RequestOptions`.

        Args:
            method: the HTTP method.
            url: a path, or a URL.
            options: see `RequestOptions`.
        """
        return self.open(url, method=method.upper(), **options)

    def get(self, url: Target = "/", **options: Unpack[RequestOptions]) -> TestResponse:
        """Send a GET request; see `request`."""
        return self.request("GET", url, **options)

    def options(self, url: Target = "/", **options: Unpack[RequestOptions]) -> TestResponse:
        """Send an OPTIONS request; see `request`."""
        return self.request("OPTIONS", url, **options)

    def head(self, url: Target = "/", **options: Unpack[RequestOptions]) -> TestResponse:
        """Send a HEAD request; see `request`."""
        return self.request("HEAD", url, **options)

    def post(self, url: Target = "/", **options: Unpack[RequestOptions]) -> TestResponse:
        """Send a POST request; see `request`."""
        return self.request("POST", url, **options)

    def put(self, url: Target = "/", **options: Unpack[RequestOptions]) -> TestResponse:
        """Send a PUT request; see `request`."""
        return self.request("PUT", url, **options)

    def patch(self, url: Target = "/", **options: Unpack[RequestOptions]) -> TestResponse:
        """Send a PATCH request; see `request`."""
        return self.request("PATCH", url, **options)

    def delete(self, url: Target = "/", **options: Unpack[RequestOptions]) -> TestResponse:
        """Send a DELETE request; see `request`."""
        return self.request("DELETE", url, **options)

    def trace(self, url: Target = "/", **options: Unpack[RequestOptions]) -> TestResponse:
        """Send a TRACE request; see `request`."""
        return self.request("TRACE", url, **options)

    @contextmanager
    def stream(
        self, method: str, url: Target = "/", **options: Unpack[RequestOptions]
    ) -> Iterator[TestResponse]:
        """Send a request, and read its response step by step; it is closed at the block's end.

        Args:
            method: the HTTP method.
            url: a path, or a URL.
            options: see `RequestOptions`.

        Example:
            >>> from wsgibg import App
            >>> from wsgibg.testing import TestClient
            >>> app = App()
            >>> with TestClient(app).stream("GET", "/nothing") as response:
            ...     lines = list(response.iter_lines())
            >>> lines
            ['{"detail":"Not Found"}']
        """
        options["buffered"] = False
        response = self.request(method, url, **options)
        with closing(response):
            yield response

    def websocket_connect(self, url: str, *args: Any, **options: Any) -> Any:
        """Say that there are no WebSockets here.

        Raises:
            NotImplementedError: always.
        """
        msg = f"websocket_connect({url!r}): WSGI has no WebSockets."
        raise NotImplementedError(msg)

    # -------------------------------------------------------------- with
    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Wait for tasks that are left: those that were added by a thread of the application."""
        drain_process(self.drain_timeout)

    # -------------------------------------------------------------- cookies
    @property
    def cookies(self) -> ClientCookies:
        """The cookies that will be sent, as a dictionary that can be changed, or be replaced."""
        return ClientCookies(self)

    @cookies.setter
    def cookies(self, cookies: Pairs) -> None:
        given = dict(cookies)
        self.jar().clear()
        self.cookies.update(given)

    def jar(self) -> dict[tuple[str, str, str], Cookie]:
        """The cookies by domain, path and name; without ``use_cookies`` there are none."""
        return {} if self._cookies is None else self._cookies

    def _host(self, domain: str | None) -> str:
        return domain or self.base_url.hostname or "localhost"

    def get_cookie(self, key: str, domain: str | None = None, path: str = "/") -> Cookie | None:
        """A cookie; without a domain, that of the host of ``base_url``."""
        return super().get_cookie(key, self._host(domain), path)

    def set_cookie(
        self, key: str, value: str = "", *, domain: str | None = None, **attributes: Any
    ) -> None:
        """Set a cookie; without a domain, for the host of ``base_url``."""
        super().set_cookie(key, value, domain=self._host(domain), **attributes)

    def delete_cookie(self, key: str, *, domain: str | None = None, path: str = "/") -> None:
        """Forget a cookie; without a domain, that of the host of ``base_url``."""
        super().delete_cookie(key, domain=self._host(domain), path=path)

    def _add_cookies_to_wsgi(self, environ: dict[str, Any]) -> None:
        """Werkzeug's client replaces a ``Cookie`` header by its own cookies; here both are sent."""
        known = {**environ, "HTTP_HOST": environ["SERVER_NAME"]}  # not what a test sends as Host
        super()._add_cookies_to_wsgi(known)
        given, kept = environ.pop("HTTP_COOKIE", ""), known.get("HTTP_COOKIE", "")
        if kept == given or self._cookies is None:
            kept = ""
        if given or kept:
            environ["HTTP_COOKIE"] = "; ".join(each for each in (kept, given) if each)
