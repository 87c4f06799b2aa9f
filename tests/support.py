"""What the tests share: the checked application, its client, and waiting with a deadline."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment
from wsgiref.validate import validator

import pytest
import werkzeug.test

__all__ = ["Client", "checked", "client", "free_port", "missing", "wait_for"]

T = TypeVar("T")

ROOT = Path(__file__).parent.parent
IN_CI = bool(os.environ.get("CI"))

# Stands in for the type of a body that has none, and never leaves `checked`.
UNTYPED = ("Content-Type", "application/x-untyped")
BODILESS = ("204", "304")


def checked(app: WSGIApplication) -> WSGIApplication:
    """Put `app` behind the standard library's WSGI validator.

    One of its checks is lifted: an answer may lack a Content-Type, as FastAPI's redirects do. The
    validator is shown a placeholder then, which is taken out again on its other side.
    """

    def typed(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            if not status.startswith(BODILESS) and not has_type(headers):
                headers = [*headers, UNTYPED]
            return start_response(status, headers, *exc_info)

        return app(environ, start)

    validated = validator(typed)

    def untyped(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            return start_response(status, [one for one in headers if one != UNTYPED], *exc_info)

        return validated(environ, start)

    return untyped


def has_type(headers: list[tuple[str, str]]) -> bool:
    return any(name.lower() == "content-type" for name, _ in headers)


class Client(werkzeug.test.Client):
    """Werkzeug's client, which reads each answer to its end and closes it.

    Closing is what ends a request, so when `get` returns, the inline tasks have run.
    """

    def open(self, *args: Any, buffered: bool = True, **kwargs: Any) -> werkzeug.test.TestResponse:
        return super().open(*args, buffered=buffered, **kwargs)


def client(app: WSGIApplication, **options: Any) -> Client:
    """A client of the checked `app`."""
    return Client(checked(app), **options)


def wait_for(predicate: Callable[[], T], seconds: float = 5.0, what: str = "") -> T:
    """Ask `predicate` every 5 ms until its answer is true; return it, or fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if answer := predicate():
            return answer
        if time.monotonic() > deadline:
            name = what or getattr(predicate, "__qualname__", repr(predicate))
            pytest.fail(f"{name} is not true after {seconds:g} s (last answer: {answer!r})")
        time.sleep(0.005)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody uses at the moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


def missing(name: str) -> NoReturn:
    """Leave a test that needs the service or server `name`, which is not here.

    A laptop skips the test and forgets the coverage gate; CI installs everything and fails.
    """
    if IN_CI:
        pytest.fail(f"{name} is missing, and CI has to have it: see .ci/run and tox.ini")
    if notes := os.environ.get("WSGIBG_SERVICES_MISSING"):
        with Path(notes).open("a", encoding="utf-8") as file:
            file.write(f"{name}\n")
    pytest.skip(f"{name} is not installed here")
