"""Responses whose body is made while it is sent."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, ClassVar, NoReturn
from wsgiref.types import StartResponse, WSGIApplication

from wsgibg._files import (
    content_disposition,
    file_body,
    media_type_of,
    stat_of,
    validators,
)
from wsgibg.datastructures import MutableHeaders
from wsgibg.exceptions import FastAPIError
from wsgibg.responses._base import (
    Background,
    Response,
    Start,
    has_body,
    status_line,
    without_content,
)

Chunk = str | bytes | bytearray | memoryview


class StreamingResponse(Response):
    """A response whose chunks are sent as they are made.

    Args:
        content: an iterable of bytes or text, or an async one. It is closed in the end.
        status_code: the status.
        headers: header fields; there is no ``Content-Length`` unless it is given here.
        media_type: the media type.
        background: what to run after the last chunk.
    """

    _whole: ClassVar[bool] = False

    def __init__(
        self,
        content: Iterable[Chunk] | AsyncIterable[Chunk],
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: Background = None,
    ) -> None:
        if not isinstance(content, Iterable | AsyncIterable):
            raise TypeError(
                f"StreamingResponse(content=...) takes an iterable, also an async one, not "
                f"{content!r}. Call it first, if it is a generator function."
            )
        self.status_code = status_code
        self.background = background
        if media_type is not None:
            self.media_type: str | None = media_type
        self.body_iterator = content
        if headers is not None:
            self.init_headers(headers)

    def start(self, environ: Mapping[str, Any]) -> Start:
        """What to send; where there is no content to send, the iterable is closed unread."""
        status = status_line(self.status_code)
        pairs = self._derived() if self._pairs is None else self._pairs.copy()
        sent = has_body(self.status_code)
        if not sent:
            pairs = without_content(pairs)
        muted = not sent or environ["REQUEST_METHOD"] == "HEAD"
        if isinstance(self.body_iterator, AsyncIterable):
            return status, pairs, _AsyncChunks(self.body_iterator, self.charset, muted=muted)
        return status, pairs, _Chunks(self.body_iterator, self.charset, muted=muted)


def _bytes(chunk: Chunk, charset: str) -> bytes:
    if type(chunk) is bytes:
        return chunk
    if isinstance(chunk, str):
        return chunk.encode(charset)
    if isinstance(chunk, bytes | bytearray | memoryview):
        return bytes(chunk)
    raise TypeError(
        f"StreamingResponse(content=...) is to yield str or bytes, not {type(chunk).__name__}."
    )


class _Chunks:
    """An iterable's chunks as bytes."""

    def __init__(self, content: Iterable[Chunk], charset: str, *, muted: bool) -> None:
        self._content = content
        self._charset = charset
        self._iterator: Iterator[Chunk] | None = iter(()) if muted else None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._iterator is None:
            self._iterator = iter(self._content)
        return _bytes(next(self._iterator), self._charset)

    def close(self) -> None:
        """Close the iterable, if it can be closed."""
        close = getattr(self._content, "close", None)
        if close is not None:
            close()


class _AsyncChunks:
    """An async iterable's chunks as bytes."""

    def __init__(self, content: AsyncIterable[Chunk], charset: str, *, muted: bool) -> None:
        self._content = content
        self._charset = charset
        self._muted = muted
        self._iterator: AsyncIterator[Chunk] | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._muted:
            raise StopAsyncIteration
        if self._iterator is None:
            self._iterator = aiter(self._content)
        return _bytes(await anext(self._iterator), self._charset)

    async def aclose(self) -> None:
        """Close the iterable, if it can be closed."""
        aclose = getattr(self._content, "aclose", None)
        if aclose is not None:
            await aclose()


class FileResponse(Response):
    """A response with a file of the disk.

    The server's own way of sending files is used where it has one.

    Args:
        path: the file. It is opened when the response is sent.
        status_code: the status.
        headers: header fields; ``Content-Length``, ``Last-Modified`` and ``ETag`` are added.
        media_type: the media type; by default what the file's name suggests.
        background: what to run after the response.
        filename: the name under which a browser saves it.
        stat_result: what ``os.stat`` says about it, if that is known already.
        content_disposition_type: ``"attachment"``, or ``"inline"`` to have it shown.
    """

    _whole: ClassVar[bool] = False

    def __init__(
        self,
        path: str | os.PathLike[str],
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: Background = None,
        filename: str | None = None,
        stat_result: os.stat_result | None = None,
        content_disposition_type: str = "attachment",
    ) -> None:
        self.path = path
        self.status_code = status_code
        self.filename = filename
        self.media_type: str | None = (
            media_type_of(filename or path) if media_type is None else media_type
        )
        self.background = background
        self.stat_result = stat_result
        self.init_headers(headers)
        if filename is not None:
            disposition = content_disposition(content_disposition_type, filename)
            self.headers.setdefault("Content-Disposition", disposition)
        if stat_result is not None:
            self.set_stat_headers(stat_result)

    def set_stat_headers(self, stat_result: os.stat_result) -> None:
        """Add the fields that follow from the file's size and time, where they are missing."""
        _describe(self.headers, stat_result)

    def start(self, environ: Mapping[str, Any]) -> Start:
        """What to send.

        Raises:
            RuntimeError: there is no such file, or it is not a regular one.
        """
        found = stat_of(self.path) if self.stat_result is None else self.stat_result
        pairs = self.headers.items_raw()
        _describe(MutableHeaders.over(pairs), found)
        status = status_line(self.status_code)
        if not has_body(self.status_code):
            return status, without_content(pairs), ()
        if environ["REQUEST_METHOD"] == "HEAD":
            return status, pairs, ()
        return status, pairs, file_body(environ, self.path, found.st_size)


def _describe(headers: MutableHeaders, found: os.stat_result) -> None:
    headers.setdefault("Content-Length", str(found.st_size))
    for name, value in validators(found).items():
        headers.setdefault(name, value)


class WSGIResponse(Response):
    """The response of another WSGI application.

    Whoever serves responses tells it by ``wsgi_app``: it has no status, headers or body of its own
    before the application is called.

    Args:
        wsgi_app: the application; it is called with the request's environ.
        background: what to run after the response.
    """

    _whole: ClassVar[bool] = False

    def __init__(self, wsgi_app: WSGIApplication, background: Background = None) -> None:
        self.wsgi_app = wsgi_app
        self.background = background
        self.status_code = 200

    def start(self, environ: Mapping[str, Any]) -> NoReturn:
        """Not for this kind of response: call it, or its ``wsgi_app``."""
        raise FastAPIError("A WSGIResponse cannot be started: call it as a WSGI application.")

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Pass the request on to the application."""
        return self.wsgi_app(environ, start_response)
