"""Proves that a peer gives the expected answer, before any of its time is believed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from wsgiref.validate import validator

from benchmarks.domain import LOG
from benchmarks.exchange import Request
from benchmarks.peers import Application, Peer
from benchmarks.workloads import Workload


class ProofError(Exception):
    """A peer did not do what a workload asks for."""


@dataclass
class Exchange:
    """What came back for one request.

    `log_before_end` is what tasks had noted when the server got the last chunk to send.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    log_before_end: list[object] = field(default_factory=list)
    log: list[object] = field(default_factory=list)


def prove(
    peer: Peer, workload: Workload, app: Application, loop: asyncio.AbstractEventLoop
) -> None:
    """Send the request twice, WSGI applications a third time under `wsgiref.validate`.

    Twice, because what is kept from the first request must not spoil the second.

    Raises:
        ProofError: an answer or its tasks are not as the workload says.

    """
    request = workload.request
    if peer.interface == "asgi":
        runs: list[tuple[str, Callable[[], Exchange]]] = [
            (turn, lambda: loop.run_until_complete(_ask_asgi(app, request)))
            for turn in ("first request", "second request")
        ]
    else:
        runs = [
            ("first request", lambda: _ask_wsgi(app, request.environ())),
            ("second request", lambda: _ask_wsgi(app, request.environ())),
            ("under wsgiref.validate", lambda: _ask_wsgi(validator(app), _strict(request))),
        ]
    for turn, ask in runs:
        where = f"{peer.name} fails the proof of {workload.name} ({turn})"
        LOG.clear()
        try:
            exchange = ask()
        except Exception as error:
            raise ProofError(f"{where}: {type(error).__name__}: {error}") from error
        expected = workload.body
        if workload.body_by_hand is not None and not peer.lists_errors:
            expected = workload.body_by_hand
        complaint = next(_complaints(workload, expected, exchange), None)
        if complaint is not None:
            raise ProofError(f"{where}: {complaint}")
    LOG.clear()


def _complaints(workload: Workload, expected: object, exchange: Exchange) -> Iterator[str]:
    """Say what is wrong with an exchange, most telling first."""
    if exchange.status != workload.status:
        yield f"status {exchange.status}, expected {workload.status}; {exchange.body!r}"
    if not _equal(exchange, expected):
        kind = exchange.headers.get("content-type")
        yield f"the body is {exchange.body!r} ({kind}), expected {expected!r}"
    if exchange.headers.get("content-length") != str(len(exchange.body)):
        yield f"Content-Length is not {len(exchange.body)}: {exchange.headers}"
    if workload.after_body and exchange.log_before_end:
        yield f"tasks ran before the last byte was out: {exchange.log_before_end}"
    if tuple(exchange.log) != workload.log:
        yield f"the tasks noted {exchange.log}, expected {list(workload.log)}"


def _equal(exchange: Exchange, expected: object) -> bool:
    kind = exchange.headers.get("content-type", "").partition(";")[0]
    if isinstance(expected, str):
        return kind == "text/plain" and exchange.body == expected.encode()
    if kind != "application/json":
        return False
    try:
        return bool(json.loads(exchange.body) == expected)
    except ValueError:
        return False


def _strict(request: Request) -> dict[str, Any]:
    """Return an environ for `wsgiref.validate`.

    It forbids `read()` without a size, which PEP 3333 allows and which Werkzeug uses where the
    server says, by a key that is not the PEP's, that the body ends by itself.
    """
    environ = request.environ()
    del environ["wsgi.input_terminated"]
    return environ


def _ask_wsgi(app: Application, environ: dict[str, Any]) -> Exchange:
    """Do as a WSGI server does, noting what happens when."""
    exchange = Exchange()

    def start_response(
        status: str, headers: list[tuple[str, str]], _exc_info: object = None
    ) -> Callable[[bytes], None]:
        exchange.status = int(status.partition(" ")[0])
        exchange.headers = {name.lower(): value for name, value in headers}
        return _refuse_write

    chunks = app(environ, start_response)
    try:
        for chunk in chunks:
            exchange.body += chunk
            exchange.log_before_end = LOG.copy()
    finally:
        if hasattr(chunks, "close"):
            chunks.close()
    exchange.log = LOG.copy()
    return exchange


def _refuse_write(_data: bytes) -> None:
    raise RuntimeError("the application used PEP 3333's write(), which is there for old code only")


async def _ask_asgi(app: Application, request: Request) -> Exchange:
    """Do as an ASGI server does, noting what happens when."""
    exchange = Exchange()

    async def receive() -> dict[str, Any]:
        return request.message.copy()

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
            exchange.headers = {n.decode().lower(): v.decode() for n, v in message["headers"]}
        elif message["type"] == "http.response.body":
            exchange.body += message.get("body", b"")
            exchange.log_before_end = LOG.copy()

    await app(request.scope(), receive, send)
    exchange.log = LOG.copy()
    return exchange
