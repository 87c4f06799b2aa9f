"""Flask, whose tasks run by `Response.call_on_close`, asgiref running the async ones."""

from __future__ import annotations

from functools import partial
from typing import Any

import flask
from asgiref.sync import async_to_sync
from werkzeug.exceptions import HTTPException

from benchmarks import domain
from benchmarks.peers import Application, Peer

JSON = "application/json"
TEXT = "text/plain"


def _http_error(error: HTTPException) -> tuple[dict[str, Any], int]:
    code = error.code or 500
    return {"detail": "Not Found" if code == 404 else error.description}, code


def _app() -> flask.Flask:
    app = flask.Flask(__name__, static_folder=None)
    app.register_error_handler(HTTPException, _http_error)
    return app


def plaintext() -> Application:
    """Build W1."""
    app = _app()

    @app.get("/plaintext")
    def show() -> flask.Response:
        return flask.Response("Hello, World!", mimetype=TEXT)

    return app


def item() -> Application:
    """Build W2."""
    app = _app()

    @app.get("/items/<item_id>")
    def read_item(item_id: str) -> dict[str, Any]:
        try:
            number = int(item_id)
        except ValueError:
            flask.abort(422, "item_id is not an integer")
        return {
            "item_id": number,
            "q": flask.request.args.get("q"),
            "user_agent": flask.request.headers["User-Agent"],
            "in_stock": True,
        }

    return app


def notify() -> Application:
    """Build W3."""
    app = _app()

    @app.post("/send-notification/<email>")
    def send_notification(email: str) -> flask.Response:
        response = flask.jsonify({"message": "Notification queued"})
        q = flask.request.args.get("q")
        if q:
            response.call_on_close(partial(domain.write_log, f"query: {q}"))
        response.call_on_close(partial(domain.write_log, f"message to {email}"))
        return response

    return app


def order() -> Application:
    """Build W4."""
    app = _app()

    @app.post("/orders")
    def place_order() -> flask.Response:
        placed = domain.Order.model_validate_json(flask.request.get_data())
        return flask.Response(domain.bill(placed).model_dump_json(), mimetype=JSON)

    return app


def dependencies() -> Application:
    """Build W5."""
    app = _app()

    @app.get("/overview")
    def overview() -> dict[str, Any]:
        number = int(flask.request.args["number"])
        return domain.overview(flask.request.headers["Authorization"], number)

    return app


def static(size: int) -> Application:
    """Build W6 with exact paths; each has an endpoint of its own, or werkzeug looks at all."""
    app = _app()

    def page() -> flask.Response:
        return flask.Response("found", mimetype=TEXT)

    for number in range(size):
        app.add_url_rule(f"/static/{number}/page", f"page-{number}", page)
    return app


def parametrised(size: int) -> Application:
    """Build W6 with a parameter."""
    app = _app()

    def show(name: str) -> flask.Response:
        return flask.Response(name, mimetype=TEXT)

    for number in range(size):
        app.add_url_rule(f"/kind/{number}/<name>", f"show-{number}", show)
    return app


def tasks() -> Application:
    """Build W7 with sync tasks."""
    app = _app()

    @app.post("/tasks/<int:count>")
    def add_tasks(count: int) -> flask.Response:
        response = flask.jsonify({"added": count})
        for number in range(count):
            response.call_on_close(partial(domain.write_log, number))
        return response

    return app


def async_tasks() -> Application:
    """Build W7 with async tasks."""
    app = _app()

    @app.post("/async-tasks/<int:count>")
    def add_tasks(count: int) -> flask.Response:
        response = flask.jsonify({"added": count})
        for number in range(count):
            response.call_on_close(partial(async_to_sync(domain.write_log_async), number))
        return response

    return app


def sold_out() -> Application:
    """Build W8's HTTP error."""
    app = _app()

    @app.get("/sold-out")
    def show() -> flask.Response:
        flask.abort(409, "Sold out")

    return app


PEERS = (
    Peer(
        "flask",
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
