"""The JSON body of a request, by FastAPI's rules of when a body is JSON."""

from __future__ import annotations

import json
from email.message import Message
from typing import Any

from werkzeug.exceptions import HTTPException as WerkzeugHTTPException

from wsgibg.exceptions import HTTPException, RequestValidationError
from wsgibg.requests import read_body

__all__ = ["is_json", "load_json"]


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
    except WerkzeugHTTPException:
        raise
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "There was an error parsing the body") from error
