"""Bottle, without background tasks of its own.

A body with a `close()` runs them, the async ones by asgiref.
"""

# Bottle ships no types, so its decorators have none.
# mypy: disable-error-code="untyped-decorator, no-any-return"

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import bottle  # type: ignore[import-untyped]
from asgiref.sync import async_to_sync

from benchmarks import domain
from benchmarks.peers import Application, Peer
from benchmarks.peers._closing import ClosingBody, Jobs, run_sync


def _http_error(error: bottle.HTTPError) -> str:
    bottle.response.content_type = "application/json"
    return json.dumps({"detail": "Not Found" if error.status_code == 404 else error.body})


def _app() -> bottle.Bottle:
    app = bottle.Bottle()
    app.default_error_handler = _http_error
    return app


def _closing(answer: object, run: Callable[[Jobs], None], jobs: Jobs) -> ClosingBody:
    raw = json.dumps(answer).encode()
    bottle.response.content_type = "application/json"
    bottle.response.content_length = len(raw)
    return ClosingBody(raw, run, jobs)


def plaintext() -> Application:
    """Build W1."""
    app = _app()

    @app.get("/plaintext")
    def show() -> str:
        bottle.response.content_type = "text/plain; charset=utf-8"
        return "Hello, World!"

    return app


def item() -> Application:
    """Build W2."""
    app = _app()

    @app.get("/items/<item_id>")
    def read_item(item_id: str) -> dict[str, Any]:
        try:
            number = int(item_id)
        except ValueError:
            raise bottle.HTTPError(422, "item_id is not an integer") from None
        return {
            "item_id": number,
            "q": bottle.request.query.get("q"),
            "user_agent": bottle.request.headers["User-Agent"],
            "in_stock": True,
        }

    return app


def notify() -> Application:
    """Build W3."""
    app = _app()

    @app.post("/send-notification/<email>")
    def send_notification(email: str) -> ClosingBody:
        jobs: Jobs = []
        q = bottle.request.query.get("q")
        if q:
            jobs.append((domain.write_log, f"query: {q}"))
        jobs.append((domain.write_log, f"message to {email}"))
        return _closing({"message": "Notification queued"}, run_sync, jobs)

    return app


def order() -> Application:
    """Build W4."""
    app = _app()

    @app.post("/orders")
    def place_order() -> str:
        placed = domain.Order.model_validate_json(bottle.request.body.read())
        bottle.response.content_type = "application/json"
        return domain.bill(placed).model_dump_json()

    return app


def dependencies() -> Application:
    """Build W5."""
    app = _app()

    @app.get("/overview")
    def overview() -> dict[str, Any]:
        number = int(bottle.request.query["number"])
        return domain.overview(bottle.request.headers["Authorization"], number)

    return app


def static(size: int) -> Application:
    """Build W6 with exact paths."""
    app = _app()
    for number in range(size):

        @app.get(f"/static/{number}/page")
        def page() -> str:
            bottle.response.content_type = "text/plain; charset=utf-8"
            return "found"

    return app


def parametrised(size: int) -> Application:
    """Build W6 with a parameter."""
    app = _app()
    for number in range(size):

        @app.get(f"/kind/{number}/<name>")
        def show(name: str) -> str:
            bottle.response.content_type = "text/plain; charset=utf-8"
            return name

    return app


def tasks() -> Application:
    """Build W7 with sync tasks."""
    app = _app()

    @app.post("/tasks/<count:int>")
    def add_tasks(count: int) -> ClosingBody:
        jobs: Jobs = [(domain.write_log, number) for number in range(count)]
        return _closing({"added": count}, run_sync, jobs)

    return app


def run_async(jobs: Jobs) -> None:
    """Run each coroutine function by asgiref."""
    for function, argument in jobs:
        async_to_sync(function)(argument)


def async_tasks() -> Application:
    """Build W7 with async tasks."""
    app = _app()

    @app.post("/async-tasks/<count:int>")
    def add_tasks(count: int) -> ClosingBody:
        jobs: Jobs = [(domain.write_log_async, number) for number in range(count)]
        return _closing({"added": count}, run_async, jobs)

    return app


def sold_out() -> Application:
    """Build W8's HTTP error."""
    app = _app()

    @app.get("/sold-out")
    def show() -> None:
        raise bottle.HTTPError(409, "Sold out")

    return app


PEERS = (
    Peer(
        "bottle",
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
