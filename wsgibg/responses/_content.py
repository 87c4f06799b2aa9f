"""Responses for common kinds of content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from wsgibg.datastructures import URL
from wsgibg.encoders import dump_plain
from wsgibg.responses._base import Background, Response


class HTMLResponse(Response):
    """A response with HTML."""

    media_type: str | None = "text/html"


class PlainTextResponse(Response):
    """A response with plain text."""

    media_type: str | None = "text/plain"


class JSONResponse(Response):
    """A response with JSON, compact and in UTF-8.

    Args:
        content: what the json module knows: dictionaries, lists, strings, numbers ...; see
            ``jsonable_encoder`` for anything else.
        status_code: the status.
        headers: header fields.
        media_type: the media type, by default ``application/json``.
        background: what to run after the response.

    Example:
        >>> JSONResponse({"name": "tea", "price": None}).body
        b'{"name":"tea","price":null}'
    """

    media_type: str | None = "application/json"

    def __init__(
        self,
        content: Any,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: Background = None,
    ) -> None:
        super().__init__(content, status_code, headers, media_type, background)

    def render(self, content: Any) -> bytes:
        """Write the content as JSON. See ``wsgibg.encoders.dump_plain`` for what it raises."""
        return dump_plain(content)


class RedirectResponse(Response):
    """A response that sends the client to another URL.

    Args:
        url: where to; characters that a URL cannot hold are quoted.
        status_code: 307 keeps the method; 303 makes it GET.
        headers: header fields.
        background: what to run after the response.

    Example:
        >>> RedirectResponse("/café").headers["location"]
        '/caf%C3%A9'
    """

    def __init__(
        self,
        url: str | URL,
        status_code: int = 307,
        headers: Mapping[str, str] | None = None,
        background: Background = None,
    ) -> None:
        super().__init__(b"", status_code, headers, background=background)
        self.headers["Location"] = quote(str(url), safe=":/%#?=@[]!$&'()*+,;")
