"""The responses that handlers return."""

from __future__ import annotations

from wsgibg.responses._base import Response, has_body, status_line
from wsgibg.responses._content import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
)
from wsgibg.responses._streams import FileResponse, StreamingResponse, WSGIResponse

__all__ = [
    "FileResponse",
    "HTMLResponse",
    "JSONResponse",
    "PlainTextResponse",
    "RedirectResponse",
    "Response",
    "StreamingResponse",
    "WSGIResponse",
    "has_body",
    "status_line",
]
