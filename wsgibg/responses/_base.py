"""A response whose body is there as a whole."""

from __future__ import annotations

import http.cookies
from collections.abc import AsyncIterable, Iterable, Mapping
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Any, ClassVar, Literal, TypedDict, Unpack
from wsgiref.types import StartResponse

from wsgibg.background import BackgroundTask, BackgroundTasks
from wsgibg.datastructures import MutableHeaders, check_header
from wsgibg.exceptions import FastAPIError

Background = BackgroundTask | BackgroundTasks | None
Body = Iterable[bytes] | AsyncIterable[bytes]
Start = tuple[str, list[tuple[str, str]], Body]

SameSite = Literal["lax", "strict", "none"] | None

_LINES = {int(code): f"{int(code)} {code.phrase}" for code in HTTPStatus}


def status_line(code: int) -> str:
    """A status code as WSGI wants it, with its reason phrase.

    Args:
        code: the code, of three digits.

    Raises:
        ValueError: it is not such a number.

    Example:
        >>> status_line(404), status_line(299)
        ('404 Not Found', '299 Unknown')
    """
    line = _LINES.get(code)
    if line is not None:
        return line
    if not isinstance(code, int) or not 100 <= code <= 999:
        raise ValueError(f"A status code is a number from 100 to 999, not {code!r}.")
    return f"{int(code)} Unknown"


def has_body(code: int) -> bool:
    """Whether a response with this status has content at all (RFC 9110, section 6.4.1)."""
    return code >= 200 and code not in (204, 304)


@lru_cache(256)
def _content_type(media_type: str, charset: str) -> tuple[str, str]:
    if media_type.startswith("text/") and "charset=" not in media_type.lower():
        media_type = f"{media_type}; charset={charset}"
    check_header("Content-Type", media_type)
    return ("Content-Type", media_type)


class CookieFlags(TypedDict, total=False):
    """The attributes of a cookie that say when a browser sends it.

    ``secure``: over HTTPS only. ``httponly``: hidden from scripts. ``samesite``: ``"lax"`` (the
    default), ``"strict"``, ``"none"``, or ``None`` to leave it out. ``partitioned``: one for each
    site that embeds this one.
    """

    secure: bool
    httponly: bool
    samesite: SameSite
    partitioned: bool


class Response:
    """An HTTP response.

    Args:
        content: the body; text is encoded as ``charset`` says.
        status_code: the status, for example 200.
        headers: header fields; ``Content-Length`` and ``Content-Type`` are added where missing.
        media_type: the media type; by default the class's.
        background: a task, or a collector of tasks, to run after the response.

    Example:
        >>> response = Response("<p>Hello</p>", media_type="text/html")
        >>> response.start({"REQUEST_METHOD": "GET"})[1]
        [('Content-Length', '12'), ('Content-Type', 'text/html; charset=utf-8')]
    """

    media_type: str | None = None
    charset = "utf-8"

    body: bytes
    # Whether the body is there as a whole, so that its length is known.
    _whole: ClassVar[bool] = True
    # The header fields, once somebody has given or asked for them.
    _pairs: list[tuple[str, str]] | None = None

    def __init__(
        self,
        content: Any = None,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: Background = None,
    ) -> None:
        self.status_code = status_code
        self.background = background
        if media_type is not None:
            self.media_type = media_type
        self.body = self.render(content)
        if headers is not None:
            self.init_headers(headers)

    def render(self, content: Any) -> bytes:
        """Turn the content into bytes; a subclass may do it in its own way.

        Raises:
            TypeError: the content is neither text nor bytes.
        """
        if content is None:
            return b""
        if isinstance(content, str):
            return content.encode(self.charset)
        if isinstance(content, bytes | bytearray | memoryview):
            return bytes(content)
        raise TypeError(
            f"{type(self).__name__}(content=...) takes str or bytes, not {type(content).__name__}. "
            "Use JSONResponse for data, StreamingResponse for an iterable."
        )

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Set the header fields, and those that follow from the body.

        Args:
            headers: the fields to begin with.

        Raises:
            TypeError: a value is not a ``str``.
            ValueError: a name or value is not allowed in a header.
        """
        given = MutableHeaders(headers)
        names = given.keys()
        derived = [pair for pair in self._derived() if pair[0].lower() not in names]
        self._pairs = [*given.items_raw(), *derived]

    def _derived(self) -> list[tuple[str, str]]:
        """The fields that follow from the body and its type."""
        pairs = []
        if self._whole and has_body(self.status_code):
            pairs.append(("Content-Length", str(len(self.body))))
        if self.media_type is not None:
            pairs.append(_content_type(self.media_type, self.charset))
        return pairs

    @property
    def headers(self) -> MutableHeaders:
        """The header fields, to read and change."""
        if self._pairs is None:
            self._pairs = self._derived()
        return MutableHeaders.over(self._pairs)

    def set_cookie(
        self,
        key: str,
        value: str = "",
        max_age: int | None = None,
        expires: datetime | str | int | None = None,
        path: str | None = "/",
        domain: str | None = None,
        **flags: Unpack[CookieFlags],
    ) -> None:
        """Have the browser keep a cookie (RFC 6265).

        Args:
            key: its name.
            value: its value.
            max_age: how many seconds to keep it; by default until the browser is closed.
            expires: when to drop it: a time, a date as HTTP writes it, or seconds from now.
            path: the paths for which it is sent back.
            domain: the domain for which it is sent back; by default this host only.
            flags: ``secure``, ``httponly``, ``samesite`` (``"lax"`` by default), ``partitioned``.

        Raises:
            TypeError: there is no such flag.
            ValueError: an attribute has a value that it cannot have.
        """
        for name in flags:
            if name not in CookieFlags.__optional_keys__:
                known = ", ".join(sorted(CookieFlags.__optional_keys__))
                raise TypeError(f"A cookie has no flag {name!r}. Its flags: {known}.")
        if isinstance(expires, datetime):
            expires = format_datetime(expires, usegmt=True)
        cookie: http.cookies.SimpleCookie = http.cookies.SimpleCookie({key: value})
        attributes: dict[str, Any] = {
            "max-age": max_age,
            "expires": expires,
            "path": _attribute("path", path),
            "domain": _attribute("domain", domain),
            "secure": flags.get("secure") or None,
            "httponly": flags.get("httponly") or None,
            "samesite": _samesite(flags.get("samesite", "lax")),
        }
        cookie[key].update({name: part for name, part in attributes.items() if part is not None})
        field = cookie[key].OutputString()
        # http.cookies knows this one from Python 3.14 on.
        self.headers.append(
            "Set-Cookie", f"{field}; Partitioned" if flags.get("partitioned") else field
        )

    def delete_cookie(
        self,
        key: str,
        path: str = "/",
        domain: str | None = None,
        **flags: Unpack[CookieFlags],
    ) -> None:
        """Have the browser drop a cookie; path, domain and flags as it was set with."""
        self.set_cookie(key, "", 0, 0, path, domain, **flags)

    def start(self, environ: Mapping[str, Any]) -> Start:
        """What to send: the status line, the header fields and the body.

        Args:
            environ: the request's WSGI environ.

        Returns:
            The body is a tuple where it is there as a whole: of one chunk, or empty for HEAD
            and for a status that has no content. Anything else is iterated, perhaps with ``async
            for``, and closed.
        """
        # PERF: 1.0 µs with the making of a plain response, where Werkzeug's takes 8.
        code = self.status_code
        status = _LINES.get(code) or status_line(code)
        pairs = self._derived() if self._pairs is None else self._pairs.copy()
        if not has_body(code):
            return status, without_content(pairs), ()
        if environ["REQUEST_METHOD"] == "HEAD":
            return status, pairs, ()
        if self._pairs is not None:
            _correct_length(pairs, str(len(self.body)))
        return status, pairs, (self.body,)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer as a WSGI application by itself, without an ``App``.

        Raises:
            FastAPIError: the body is an async iterable, or there are tasks to run.
        """
        if self.background is not None:
            raise FastAPIError(
                f"{type(self).__name__}(background=...) was called as a WSGI application by "
                "itself, and nobody would run its tasks: return it from a handler of an App."
            )
        status, headers, body = self.start(environ)
        if isinstance(body, AsyncIterable):
            raise FastAPIError(
                f"{type(self).__name__} was called as a WSGI application by itself, which cannot "
                "send an async iterable: return it from a handler of an App."
            )
        start_response(status, headers)
        return body


def without_content(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The header fields less those that describe content."""
    return [pair for pair in pairs if pair[0].lower() not in ("content-length", "content-type")]


def _correct_length(pairs: list[tuple[str, str]], length: str) -> None:
    """Have the fields say the body's length: a wrong one would break the connection.

    The body or the status may have been changed since the fields were made.
    """
    for place, (name, value) in enumerate(pairs):
        if name.lower() == "content-length":
            if value != length:
                pairs[place] = (name, length)
            return
    pairs.append(("Content-Length", length))


def _attribute(name: str, value: str | None) -> str | None:
    if value is not None and ";" in value:
        raise ValueError(f"set_cookie({name}={value!r}): a semicolon would begin a new attribute.")
    return value


def _samesite(value: SameSite) -> SameSite:
    if value is not None and value.lower() not in ("lax", "strict", "none"):
        raise ValueError(f"set_cookie(samesite={value!r}): use 'lax', 'strict', 'none' or None.")
    return value
