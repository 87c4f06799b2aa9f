"""The answer that a test client gives."""

from __future__ import annotations

import codecs
import json
import zlib
from collections.abc import Iterator
from typing import Any, Self

import werkzeug.test
from werkzeug.datastructures import Headers
from werkzeug.http import parse_cookie, parse_options_header

from wsgibg.datastructures import URL
from wsgibg.testing._request import url_of

__all__ = ["HTTPStatusError", "ResponseHeaders", "TestResponse"]

_REDIRECTS = (301, 302, 303, 307, 308)


class HTTPStatusError(Exception):
    """`TestResponse.raise_for_status` was called for a response that is no success.

    Args:
        message: what to show.
        response: the response.
    """

    def __init__(self, message: str, response: TestResponse) -> None:
        super().__init__(message)
        self.response = response

    @property
    def request(self) -> Any:
        """The request that was answered so."""
        return self.response.request


class ResponseHeaders(Headers):
    """Werkzeug's headers, with the methods that users of httpx look for."""

    def get_list(self, key: str) -> list[str]:
        """All values of a header."""
        return self.getlist(key)

    def multi_items(self) -> list[tuple[str, str]]:
        """Each header as it was sent, repeated ones as well."""
        return list(self.items())


class TestResponse(werkzeug.test.TestResponse):
    """An answer, with the attributes of Werkzeug's test response and those of httpx's.

    Where the two collide, httpx's meaning wins: ``json()`` is a method, and ``text`` is decoded
    by the response's own charset.
    """

    __test__ = False

    def __init__(self, response: Any, status: str, headers: Headers, **options: Any) -> None:
        super().__init__(response, status, ResponseHeaders(headers), **options)

    # -------------------------------------------------------------- the body
    @property
    def content(self) -> bytes:
        """The body; one that was sent compressed is decompressed."""
        encoding = self.headers.get("Content-Encoding", "").strip().lower()
        data: bytes = self.get_data()
        if encoding in ("gzip", "deflate") and data:
            return zlib.decompress(data, zlib.MAX_WBITS | 32)
        return data

    @property
    def encoding(self) -> str:
        """The charset of the body: what the response says, or UTF-8."""
        _, options = parse_options_header(self.headers.get("Content-Type"))
        return options.get("charset", "utf-8")

    @property
    def text(self) -> str:
        """The body as text."""
        try:
            return self.content.decode(self.encoding, errors="replace")
        except LookupError:  # no such charset
            return self.content.decode("utf-8", errors="replace")

    def json(self, **options: Any) -> Any:
        """The body, parsed as JSON whatever its content type says.

        Args:
            options: of `json.loads`.

        Raises:
            ValueError: it is no JSON.
        """
        return json.loads(self.content, **options)

    def read(self) -> bytes:
        """Read the whole body."""
        return self.content

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """Iterate over the body.

        Args:
            chunk_size: bytes per chunk; by default as the application made them.
        """
        if chunk_size is None:
            yield from (chunk for chunk in self.iter_encoded() if chunk)
            return
        kept = b""
        for chunk in self.iter_encoded():
            kept += chunk
            while len(kept) >= chunk_size:
                yield kept[:chunk_size]
                kept = kept[chunk_size:]
        if kept:
            yield kept

    iter_raw = iter_bytes

    def iter_text(self) -> Iterator[str]:
        """Iterate over the body's chunks as text."""
        decoder = codecs.getincrementaldecoder(self.encoding)(errors="replace")
        for chunk in self.iter_bytes():
            if text := decoder.decode(chunk):
                yield text
        if text := decoder.decode(b"", final=True):
            yield text

    def iter_lines(self) -> Iterator[str]:
        """Iterate over the body's lines, without their ends."""
        kept = ""
        for text in self.iter_text():
            lines = (kept + text).splitlines(keepends=True)
            # The last one may go on; and a "\r" at the end may be half of a "\r\n".
            kept = lines.pop() if lines else ""
            yield from (line.rstrip("\r\n") for line in lines)
        if kept:
            yield kept.rstrip("\r\n")

    # -------------------------------------------------------------- the rest
    @property
    def url(self) -> URL:
        """What was asked, after redirects."""
        return URL(url_of(self.request.environ))

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that this response sets."""
        found: dict[str, str] = {}
        for header in self.headers.getlist("Set-Cookie"):
            found.update(parse_cookie(header.partition(";")[0]).items())
        return found

    @property
    def reason_phrase(self) -> str:
        """What stands behind the number in the status line."""
        return self.status.partition(" ")[2]

    @property
    def is_informational(self) -> bool:
        """Whether the status is 1xx."""
        return self.status_code // 100 == 1

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return self.status_code // 100 == 2

    @property
    def is_redirect(self) -> bool:
        """Whether the status is 3xx."""
        return self.status_code // 100 == 3

    @property
    def is_client_error(self) -> bool:
        """Whether the status is 4xx."""
        return self.status_code // 100 == 4

    @property
    def is_server_error(self) -> bool:
        """Whether the status is 5xx."""
        return self.status_code // 100 == 5

    @property
    def is_error(self) -> bool:
        """Whether the status is 4xx or 5xx."""
        return self.is_client_error or self.is_server_error

    @property
    def has_redirect_location(self) -> bool:
        """Whether it is a redirect that can be followed."""
        return self.status_code in _REDIRECTS and "Location" in self.headers

    def raise_for_status(self) -> Self:
        """Raise an error unless the status is 2xx.

        Returns:
            The response itself.

        Raises:
            HTTPStatusError: it is another one; the message shows the body.
        """
        if self.is_success:
            return self
        text = self.text
        shown = text if len(text) <= 500 else f"{text[:500]}…"
        msg = f"{self.request.method} {self.url} was answered {self.status}: {shown}"
        raise HTTPStatusError(msg, self)
