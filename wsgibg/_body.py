"""The JSON body of a request, by FastAPI's rules of when a body is JSON."""

from __future__ import annotations

import json
import tempfile
from email.message import Message
from typing import IO, Any

from wsgibg.exceptions import HTTPException, RequestValidationError
from wsgibg.requests import iter_body, read_body

__all__ = ["is_json", "load_json", "spool"]

#: A body up to this size (in bytes) stays in memory while it is spooled.
_IN_MEMORY = 1024 * 1024


def is_json(environ: dict[str, Any], strict: bool) -> bool:
    """Whether the body is marked as JSON.

    Args:
        environ: the request.
        strict: whether a body without a content type is not JSON.
    """
    declared = environ.get("CONTENT_TYPE")
    if declared == "application/json":
        return True
    if not declared:
        return not strict
    message = Message()
    declared = declared.encode("ascii", "replace").decode()  # no type that is JSON has others
    message["content-type"] = declared.replace("\r", "").replace("\n", "")
    subtype = message.get_content_subtype()
    return message.get_content_maintype() == "application" and (
        subtype == "json" or subtype.endswith("+json")
    )


def load_json(environ: dict[str, Any], limit: int | None, strict: bool) -> Any:
    """The parsed body; raw bytes where it is not marked as JSON; ``None`` where it is empty.

    Args:
        environ: the request.
        limit: the largest body that is read, in bytes.
        strict: see `is_json`.

    Raises:
        RequestValidationError: the JSON is not well-formed.
        HTTPException: 400 for a body that is no text, 413 for one that is too large.
    """
    raw = read_body(environ, limit)
    if not raw:
        return None
    if not is_json(environ, strict):
        return raw
    try:
        return json.loads(raw)
    except json.JSONDecodeError as error:
        raise RequestValidationError(
            [
                {
                    "type": "json_invalid",
                    "loc": ("body", error.pos),
                    "msg": "JSON decode error",
                    "input": {},
                    "ctx": {"error": error.msg},
                }
            ],
            body=error.doc,
        ) from error
    except Exception as error:
        # Bytes that are no text, nesting without end; FastAPI's answer to whatever it is.
        raise HTTPException(400, "There was an error parsing the body") from error


def spool(environ: dict[str, Any], limit: int | None) -> IO[bytes] | None:
    """Take in the body, in the server's thread, for code that will read it in another.

    ``await request.body()`` reads where it runs. On the event loop's thread a slow client would
    hold up all async code, and under gevent the server's socket cannot be read there at all.

    Args:
        environ: the request; its ``wsgi.input`` becomes the file.
        limit: the largest body that is read, in bytes.

    Returns:
        A file that is in memory up to 1 MiB and on disk beyond, to be closed at the end of the
        request; nothing if there is no body.

    Raises:
        HTTPException: 413 for a body that is too large, 400 for one that ends too early.
    """
    if not environ.get("CONTENT_LENGTH") and not environ.get("wsgi.input_terminated"):
        return None
    # It is closed by the request's scope, not here.
    file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
    try:
        size = sum(file.write(chunk) for chunk in iter_body(environ, limit))
    except BaseException:
        file.close()
        raise
    file.seek(0)
    environ["wsgi.input"] = file
    environ["CONTENT_LENGTH"] = str(size)
    return file
