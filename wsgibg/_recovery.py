"""The answer to a request that failed."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from contextlib import suppress
from inspect import isawaitable
from typing import Any

from werkzeug.exceptions import HTTPException as WerkzeugHTTPException

from wsgibg._aio import can_suspend, hop, lend
from wsgibg._body import spool
from wsgibg._exits import swallowed
from wsgibg._scope import RequestScope, StartResponse
from wsgibg.exception_handlers import checked, server_error, text_of
from wsgibg.exceptions import FastAPIError
from wsgibg.requests import Request
from wsgibg.responses import Response

__all__ = ["recover"]

log = logging.getLogger("wsgibg.app")


async def recover(scope: RequestScope, error: BaseException, start_response: StartResponse) -> Any:
    """Answer a request that failed, after its dependencies have seen the error."""
    try:
        error = await scope.leave_all(error) or swallowed(error)
        if not isinstance(error, Exception):
            scope.failure = f"its request was interrupted ({text_of(error)})"
            scope.end(delivered=False)
            raise error
        response = await _answer(scope, error)
        return scope.respond(start_response, response)
    finally:
        del error  # a frame that holds its own exception is a cycle


async def _answer(scope: RequestScope, error: Exception) -> Response:
    scope.failure = f"its request failed ({text_of(error)})"
    for _ in range(2):  # what a handler raises is looked up once more (Starlette's two layers)
        handler, seen = scope.owner.handlers.find(error)
        if handler is None:
            break
        try:
            return await _ask(scope, handler, seen)
        except Exception as other:  # noqa: BLE001 (answered like any other failure)
            error = other
    log.error("The request failed: %r.", error, exc_info=error)
    scope.tell(error)
    handler = scope.owner.handlers.last_resort()
    if handler is not None and not scope.owner.debug:
        return await _ask(scope, handler, error)
    detail = None
    if scope.owner.debug:
        detail = "".join(traceback.format_exception(error))
    return server_error(detail)


async def _ask(
    scope: RequestScope, handler: Callable[[Request, Any], Any], error: Exception
) -> Response:
    answer = handler(scope.request(), error)
    if isawaitable(answer):
        if scope.owner.tasks.lends and not can_suspend(handler):
            answer = lend(answer)  # type: ignore[arg-type]  # a coroutine function's
        else:
            _take_in_body(scope)
            answer = await hop(answer)
    return checked(answer)


def _take_in_body(scope: RequestScope) -> None:
    """Read what is left of the body in the server's thread, for a handler on the loop's."""
    if scope.spool is None and "wsgibg.body" not in scope.environ:  # see `read_body`
        limit = getattr(scope.owner, "max_content_length", None)
        # Too large, cut off, or read in part: the handler is told so if it asks.
        with suppress(WerkzeugHTTPException, FastAPIError):
            scope.spool = spool(scope.environ, limit)
