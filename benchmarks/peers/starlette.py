"""Starlette, all `async def`, with its own background tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTasks
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from benchmarks import domain
from benchmarks.peers import Application, Peer

Endpoint = Callable[..., Any]


async def _http_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"detail": error.detail}, status_code=error.status_code)


def _site(method: str, *routes: tuple[str, Endpoint]) -> Application:
    return Starlette(
        routes=[Route(path, endpoint, methods=[method]) for path, endpoint in routes],
        exception_handlers={HTTPException: _http_error},
    )


async def plaintext(_request: Request) -> Response:
    """W1."""
    return PlainTextResponse("Hello, World!")


async def item(request: Request) -> Response:
    """W2."""
    try:
        item_id = int(request.path_params["item_id"])
    except ValueError:
        raise HTTPException(422, "item_id is not an integer") from None
    return JSONResponse(
        {
            "item_id": item_id,
            "q": request.query_params.get("q"),
            "user_agent": request.headers["User-Agent"],
            "in_stock": True,
        }
    )


async def notify(request: Request) -> Response:
    """W3, with async tasks: sync ones would cost a thread hop each."""
    tasks = BackgroundTasks()
    q = request.query_params.get("q")
    if q:
        tasks.add_task(domain.write_log_async, f"query: {q}")
    tasks.add_task(domain.write_log_async, f"message to {request.path_params['email']}")
    return JSONResponse({"message": "Notification queued"}, background=tasks)


async def order(request: Request) -> Response:
    """W4."""
    placed = domain.Order.model_validate_json(await request.body())
    return Response(domain.bill(placed).model_dump_json(), media_type="application/json")


async def overview(request: Request) -> Response:
    """W5."""
    number = int(request.query_params["number"])
    return JSONResponse(domain.overview(request.headers["Authorization"], number))


async def page(_request: Request) -> Response:
    """W6, an exact path."""
    return PlainTextResponse("found")


async def show(request: Request) -> Response:
    """W6, a path with a parameter."""
    return PlainTextResponse(request.path_params["name"])


def _add_tasks(task: Callable[..., Any]) -> Endpoint:
    async def add_tasks(request: Request) -> Response:
        count = request.path_params["count"]
        tasks = BackgroundTasks()
        for number in range(count):
            tasks.add_task(task, number)
        return JSONResponse({"added": count}, background=tasks)

    return add_tasks


async def sold_out(_request: Request) -> Response:
    """W8's HTTP error."""
    raise HTTPException(409, "Sold out")


PEERS = (
    Peer(
        "starlette",
        "asgi",
        {
            "plaintext": lambda: _site("GET", ("/plaintext", plaintext)),
            "item": lambda: _site("GET", ("/items/{item_id}", item)),
            "notify": lambda: _site("POST", ("/send-notification/{email}", notify)),
            "order": lambda: _site("POST", ("/orders", order)),
            "dependencies": lambda: _site("GET", ("/overview", overview)),
            "static": lambda size: _site(
                "GET", *((f"/static/{n}/page", page) for n in range(size))
            ),
            "parametrised": lambda size: _site(
                "GET", *((f"/kind/{n}/{{name}}", show) for n in range(size))
            ),
            "tasks": lambda: _site("POST", ("/tasks/{count:int}", _add_tasks(domain.write_log))),
            "async-tasks": lambda: _site(
                "POST", ("/async-tasks/{count:int}", _add_tasks(domain.write_log_async))
            ),
            "sold-out": lambda: _site("GET", ("/sold-out", sold_out)),
        },
    ),
)
