"""The limit: a hand-written WSGI function for each workload, with nothing it does not need.

JSON is written by pydantic-core, the fastest encoder at hand; the other peers without one of
their own use what their users use, `json.dumps`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl

from pydantic_core import SchemaSerializer, SchemaValidator, to_json

from benchmarks import domain
from benchmarks.peers import Application, Peer
from benchmarks.peers._closing import ClosingBody, Jobs, run_sync

StartResponse = Callable[..., Any]
Environ = dict[str, Any]

JSON = ("Content-Type", "application/json")
TEXT = ("Content-Type", "text/plain; charset=utf-8")


def answer(start_response: StartResponse, raw: bytes, kind: tuple[str, str] = JSON) -> None:
    """Start a 200 for a body of that kind."""
    start_response("200 OK", [kind, ("Content-Length", str(len(raw)))])


def fail(start_response: StartResponse, status: str, raw: bytes) -> Iterable[bytes]:
    """Answer with an error, written in advance."""
    start_response(status, [JSON, ("Content-Length", str(len(raw)))])
    return (raw,)


def not_found(start_response: StartResponse) -> Iterable[bytes]:
    """Answer with a 404."""
    return fail(start_response, "404 Not Found", b'{"detail":"Not Found"}')


def parse_query(query: str) -> dict[str, str]:
    """Split a query string, quickly where it holds nothing to decode."""
    if "%" in query or "+" in query:
        return dict(parse_qsl(query, keep_blank_values=True))
    return {key: value for key, _, value in (pair.partition("=") for pair in query.split("&"))}


# ---------------------------------------------------------------- one site each


def plaintext() -> Application:
    """Build W1."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/plaintext":
            return not_found(start_response)
        answer(start_response, b"Hello, World!", TEXT)
        return (b"Hello, World!",)

    return app


def item() -> Application:
    """Build W2."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if not path.startswith("/items/"):
            return not_found(start_response)
        try:
            item_id = int(path[7:])
        except ValueError:
            body = b'{"detail":"item_id is not an integer"}'
            return fail(start_response, "422 Unprocessable Entity", body)
        raw = to_json(
            {
                "item_id": item_id,
                "q": parse_query(environ["QUERY_STRING"]).get("q"),
                "user_agent": environ["HTTP_USER_AGENT"],
                "in_stock": True,
            }
        )
        answer(start_response, raw)
        return (raw,)

    return app


def notify() -> Application:
    """Build W3."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if not path.startswith("/send-notification/"):
            return not_found(start_response)
        jobs: Jobs = []
        q = parse_query(environ["QUERY_STRING"]).get("q")
        if q:
            jobs.append((domain.write_log, f"query: {q}"))
        jobs.append((domain.write_log, f"message to {path[19:]}"))
        raw = to_json({"message": "Notification queued"})
        answer(start_response, raw)
        return ClosingBody(raw, run_sync, jobs)

    return app


def order() -> Application:
    """Build W4."""
    validator = domain.Order.__pydantic_validator__
    serializer = domain.Receipt.__pydantic_serializer__
    if not isinstance(validator, SchemaValidator) or not isinstance(serializer, SchemaSerializer):
        raise RuntimeError("a pydantic plugin is in the way of W4's models")  # noqa: TRY004 (an installation with plugins, not a wrong argument)
    validate, dump = validator.validate_json, serializer.to_json

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/orders":
            return not_found(start_response)
        length = int(environ["CONTENT_LENGTH"])
        raw = dump(domain.bill(validate(environ["wsgi.input"].read(length))))
        answer(start_response, raw)
        return (raw,)

    return app


def dependencies() -> Application:
    """Build W5."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/overview":
            return not_found(start_response)
        number = int(parse_query(environ["QUERY_STRING"])["number"])
        raw = to_json(domain.overview(environ["HTTP_AUTHORIZATION"], number))
        answer(start_response, raw)
        return (raw,)

    return app


def static(size: int) -> Application:
    """Build W6 with exact paths: a dictionary finds them."""
    pages = {f"/static/{number}/page": b"found" for number in range(size)}

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        raw = pages.get(environ["PATH_INFO"])
        if raw is None:
            return not_found(start_response)
        answer(start_response, raw, TEXT)
        return (raw,)

    return app


def parametrised(size: int) -> Application:
    """Build W6 with a parameter: a dictionary finds what comes before it."""
    kinds = {f"/kind/{number}" for number in range(size)}

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        kind, _, name = environ["PATH_INFO"].rpartition("/")
        if kind not in kinds:
            return not_found(start_response)
        raw = name.encode("latin-1")
        answer(start_response, raw, TEXT)
        return (raw,)

    return app


def _task_site(prefix: str, task: Callable[[Any], Any], run: Callable[[Jobs], None]) -> Application:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if not path.startswith(prefix):
            return not_found(start_response)
        count = int(path[len(prefix) :])
        jobs = [(task, number) for number in range(count)]
        raw = to_json({"added": count})
        answer(start_response, raw)
        return ClosingBody(raw, run, jobs)

    return app


def tasks() -> Application:
    """Build W7 with sync tasks."""
    return _task_site("/tasks/", domain.write_log, run_sync)


def async_tasks() -> Application:
    """Build W7 with async tasks: all of them in one entry into a loop that is kept."""
    loop = asyncio.new_event_loop()

    async def run_all(jobs: Jobs) -> None:
        for function, argument in jobs:
            await function(argument)

    def run(jobs: Jobs) -> None:
        loop.run_until_complete(run_all(jobs))

    return _task_site("/async-tasks/", domain.write_log_async, run)


def sold_out() -> Application:
    """Build W8's HTTP error."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/sold-out":
            return not_found(start_response)
        return fail(start_response, "409 Conflict", b'{"detail":"Sold out"}')

    return app


PEERS = (
    Peer(
        "bare",
        "wsgi",
        {
            "plaintext": plaintext,
            "item": item,
            "notify": notify,
            "order": order,
            "dependencies": dependencies,
            "static": static,
            "parametrised": parametrised,
            "tasks": tasks,
            "async-tasks": async_tasks,
            "sold-out": sold_out,
        },
    ),
)
