"""Falcon, from a wheel with its compiled modules.

It has no background tasks: the response's stream is an iterable whose `close()` runs them.
"""

from __future__ import annotations

from typing import Any

import falcon
import falcon.cyutil.uri  # type: ignore[import-not-found]  # compiled, without a stub
from falcon.util import uri

from benchmarks import domain
from benchmarks.peers import Application, Peer
from benchmarks.peers._closing import ClosingBody, Jobs, run_sync


def check_compiled() -> None:
    """Refuse a Falcon that runs without its compiled modules.

    Since 4.1 Falcon compiles only what it wrote in Cython (`falcon.cyutil`); the rest is slower
    compiled than interpreted, its changelog says. So what is asked is whether those are in use.
    """
    if uri.parse_query_string is not falcon.cyutil.uri.parse_query_string:
        raise RuntimeError("falcon's compiled modules are not in use; install it from a wheel")


def _not_found(
    _req: falcon.Request, resp: falcon.Response, _error: Exception, _params: dict[str, Any]
) -> None:
    resp.status = falcon.HTTP_404
    resp.media = {"detail": "Not Found"}


def _http_error(_req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    resp.media = {"detail": error.description}


def _site(*routes: tuple[str, object]) -> Application:
    app = falcon.App()
    app.add_error_handler(falcon.HTTPNotFound, _not_found)
    app.set_error_serializer(_http_error)
    for path, resource in routes:
        app.add_route(path, resource)
    return app


def _stream(resp: falcon.Response, media: object, body: ClosingBody) -> None:
    """Send what `media` would have sent, by a body with a `close()`."""
    resp.content_type = falcon.MEDIA_JSON
    body.chunk = resp.options.media_handlers[falcon.MEDIA_JSON].serialize(media, falcon.MEDIA_JSON)
    resp.set_stream(body, len(body.chunk))


class Plaintext:
    """W1."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer."""
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = "Hello, World!"


class Item:
    """W2."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, item_id: str) -> None:
        """Answer."""
        try:
            number = int(item_id)
        except ValueError:
            raise falcon.HTTPUnprocessableEntity(description="item_id is not an integer") from None
        resp.media = {
            "item_id": number,
            "q": req.get_param("q"),
            "user_agent": req.get_header("User-Agent", required=True),
            "in_stock": True,
        }


class Notify:
    """W3."""

    def on_post(self, req: falcon.Request, resp: falcon.Response, email: str) -> None:
        """Answer, and leave two jobs to `close()`."""
        jobs: Jobs = []
        q = req.get_param("q")
        if q:
            jobs.append((domain.write_log, f"query: {q}"))
        jobs.append((domain.write_log, f"message to {email}"))
        _stream(resp, {"message": "Notification queued"}, ClosingBody(b"", run_sync, jobs))


class Orders:
    """W4."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer."""
        order = domain.Order.model_validate_json(req.bounded_stream.read())
        resp.content_type = falcon.MEDIA_JSON
        resp.data = domain.bill(order).model_dump_json().encode()


class Overview:
    """W5."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer."""
        authorization = req.get_header("Authorization", required=True)
        number = req.get_param_as_int("number", required=True)
        resp.media = domain.overview(authorization, number)


class Static:
    """W6, one exact path."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer."""
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = "found"


class Parametrised:
    """W6, one path with a parameter."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Answer."""
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = name


class Tasks:
    """W7, sync tasks."""

    def on_post(self, _req: falcon.Request, resp: falcon.Response, count: int) -> None:
        """Answer, and leave the jobs to `close()`."""
        jobs: Jobs = [(domain.write_log, number) for number in range(count)]
        _stream(resp, {"added": count}, ClosingBody(b"", run_sync, jobs))


def run_async(jobs: Jobs) -> None:
    """Run each coroutine function by Falcon's own helper, which keeps its loop."""
    for function, argument in jobs:
        falcon.async_to_sync(function, argument)


class AsyncTasks:
    """W7, async tasks."""

    def on_post(self, _req: falcon.Request, resp: falcon.Response, count: int) -> None:
        """Answer, and leave the jobs to `close()`."""
        jobs: Jobs = [(domain.write_log_async, number) for number in range(count)]
        _stream(resp, {"added": count}, ClosingBody(b"", run_async, jobs))


class SoldOut:
    """W8's HTTP error."""

    def on_get(self, _req: falcon.Request, _resp: falcon.Response) -> None:
        """Fail."""
        raise falcon.HTTPConflict(description="Sold out")


PEERS = (
    Peer(
        "falcon",
        "wsgi",
        {
            "plaintext": lambda: _site(("/plaintext", Plaintext())),
            "item": lambda: _site(("/items/{item_id}", Item())),
            "notify": lambda: _site(("/send-notification/{email}", Notify())),
            "order": lambda: _site(("/orders", Orders())),
            "dependencies": lambda: _site(("/overview", Overview())),
            "static": lambda size: _site(*((f"/static/{n}/page", Static()) for n in range(size))),
            "parametrised": lambda size: _site(
                *((f"/kind/{n}/{{name}}", Parametrised()) for n in range(size))
            ),
            "tasks": lambda: _site(("/tasks/{count:int}", Tasks())),
            "async-tasks": lambda: _site(("/async-tasks/{count:int}", AsyncTasks())),
            "sold-out": lambda: _site(("/sold-out", SoldOut())),
        },
        check=check_compiled,
    ),
)
