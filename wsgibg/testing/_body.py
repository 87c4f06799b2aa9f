"""The bodies that a test client gives to its responses."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Self

from wsgibg.testing._watch import Watch

__all__ = ["WatchedBody", "quiet"]

log = logging.getLogger("wsgibg.testing")

WSGIApp = Callable[..., Any]


class WatchedBody:
    """A body that is read step by step: closing it settles the call.

    Args:
        body: the application's.
        watch: the call's.
        settle: what is called last, once.
    """

    def __init__(self, body: Iterable[bytes], watch: Watch, settle: Callable[[], None]) -> None:
        self._body = body
        self._iterator = iter(body)
        self._watch: Watch | None = watch
        self._settle = settle

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        if self._watch is None:
            raise StopIteration
        with self._watch.watching():
            return next(self._iterator)

    def close(self) -> None:
        """Close the body, then wait for the tasks and raise what has gone wrong."""
        watch, self._watch = self._watch, None
        if watch is None:
            return
        with watch.watching():
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
            self._settle()


def quiet(app: WSGIApp) -> WSGIApp:
    """An application around another, whose errors are seen as a browser sees them.

    That is a 500, as servers answer, or a body that ends early.
    """

    def call(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            del exc_info  # (with it, Werkzeug would raise the error)
            return start_response(status, headers)

        try:
            return _QuietBody(app(environ, start))
        except Exception:  # noqa: BLE001 (whatever it is, a server answers like this)
            start_response("500 INTERNAL SERVER ERROR", [("Content-Type", "text/plain")])
            return [b"Internal Server Error"]

    return call


class _QuietBody:
    """A body that ends where it would raise."""

    def __init__(self, body: Iterable[bytes]) -> None:
        self._body = body
        self._iterator = iter(body)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._iterator)
        except StopIteration:
            raise
        except Exception as error:
            raise StopIteration from error

    def close(self) -> None:
        """Close the body."""
        close = getattr(self._body, "close", None)
        if close is not None:
            try:
                close()
            except Exception:  # (the client has its answer by then)
                log.exception("The body of a response could not be closed.")
