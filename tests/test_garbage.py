"""A request leaves nothing for the garbage collector."""

from __future__ import annotations

import asyncio
import gc
import logging
from contextlib import suppress
from typing import Annotated, Any

import pytest
from pydantic import BaseModel
from werkzeug.test import create_environ

from wsgibg import (
    App,
    BackgroundTasks,
    Depends,
    Header,
    HTTPException,
    Query,
    current_task,
    current_tasks,
    task,
    wrap,
)
from wsgibg.embedding import inject
from wsgibg.exceptions import RequestValidationError
from wsgibg.responses import PlainTextResponse, StreamingResponse

REQUESTS = 1_000

app = App()


class Line(BaseModel):
    sku: str
    quantity: int


class Order(BaseModel):
    customer: str
    lines: list[Line]


def log(entry: object) -> None:
    """A task that does nothing."""


async def log_async(entry: object) -> None:
    """The same as a coroutine."""


def tell() -> None:
    current_task().progress(1, 2, "half")


def get_query(background_tasks: BackgroundTasks, q: str | None = None) -> str | None:
    background_tasks.add_task(log, q)
    return q


def get_connection():
    yield {"region": "eu"}


Connection = Annotated[dict[str, str], Depends(get_connection)]


def get_session(connection: Connection):
    yield {"connection": connection}


def get_user(authorization: Annotated[str, Header()], connection: Connection) -> str:
    return authorization + connection["region"]


async def get_async():
    yield "value"


async def get_suspended():
    await asyncio.sleep(0)
    yield "value"


@app.get("/plaintext", response_class=PlainTextResponse)
def plaintext() -> str:
    return "Hello, World!"


@app.get("/items/{item_id}")
def read_item(
    item_id: int, authorization: Annotated[str, Header()], q: str | None = None
) -> dict[str, Any]:
    return {"item_id": item_id, "q": q}


@app.post("/notify/{email}")
def notify(
    email: str, background_tasks: BackgroundTasks, q: Annotated[str | None, Depends(get_query)]
) -> dict[str, str]:
    background_tasks.add_task(log, email)
    return {"message": "queued"}


@app.post("/orders")
def order(order: Order) -> Order:
    return order


@app.get("/overview")
def overview(
    user: Annotated[str, Depends(get_user)],
    session: Annotated[dict[str, Any], Depends(get_session)],
) -> dict[str, Any]:
    return {"user": user}


@app.post("/tasks/{count}")
def tasks(count: int, background_tasks: BackgroundTasks) -> None:
    for number in range(count):
        background_tasks.add_task(log, number)


@app.post("/async-tasks/{count}")
def async_tasks(count: int, background_tasks: BackgroundTasks) -> None:
    for number in range(count):
        background_tasks.add_task(log_async, number)


@app.post("/options")
def options(background_tasks: BackgroundTasks) -> None:
    background_tasks.add_task(task(log, when="always"), 1)
    background_tasks.add_task(log_async, 2)


@app.get("/named")
def named(background_tasks: BackgroundTasks) -> list[str]:
    tasks = [background_tasks.add_task(log, 1), background_tasks.add_task(log_async, 2)]
    tasks.append(background_tasks.add_task(tell))
    return [each.id for each in tasks]


@app.get("/named-and-failed")
def named_and_failed(background_tasks: BackgroundTasks) -> None:
    background_tasks.add_task(log, background_tasks.add_task(log, 1).id)
    raise HTTPException(409)


@app.get("/stream")
def stream(tasks: BackgroundTasks, session: Annotated[Any, Depends(get_session)]):
    tasks.add_task(log, "sent")
    return StreamingResponse(iter(["one", "two"]))


@app.get("/late")
def late(tasks: BackgroundTasks, session: Annotated[Any, Depends(get_async, scope="tasks")]):
    tasks.add_task(log, "sent")


@app.get("/sold-out")
def sold_out(session: Annotated[Any, Depends(get_session)], tasks: BackgroundTasks):
    raise HTTPException(409)


@app.get("/failing-task")
def failing_task(tasks: BackgroundTasks):
    tasks.add_task(int, "x")


hooked = App()
hooked.on_task(log)


@hooked.get("/tasks")
def hooked_tasks(tasks: BackgroundTasks) -> None:
    for func in (log, log_async, fail):
        tasks.add_task(func, 1)
    tasks.add_task(tell)


def fail(entry: object) -> None:
    raise ValueError(entry)


def foreign(environ, start_response):
    current_tasks().add_task(log, 1)
    start_response("200 OK", [])
    return [b""]


@inject
def view(
    fail: bool = False,
    *,
    tasks: BackgroundTasks,
    session: Annotated[Any, Depends(get_session)],
    early: Annotated[Any, Depends(get_connection, scope="function")],
    late: Annotated[Any, Depends(get_suspended, scope="tasks")],
    suspended: Annotated[Any, Depends(get_suspended)],
    size: Annotated[int, Query()] = 1,
) -> None:
    tasks.add_task(log, size)
    if fail:
        raise LookupError(size)


def injected(environ, start_response):
    with suppress(LookupError, RequestValidationError):
        view("fail" in environ["PATH_INFO"])
    start_response("200 OK", [])
    return [b""]


BODY = b'{"customer": "Ada", "lines": [{"sku": "LAMP", "quantity": 2}]}'
HEADERS = {"Authorization": "Bearer"}
REQUESTED = {
    "W1": (app, "GET", "/plaintext", b""),
    "W2": (app, "GET", "/items/42?q=lamp", b""),
    "W3": (app, "POST", "/notify/ada@example.org?q=lamp", b""),
    "W4": (app, "POST", "/orders", BODY),
    "W5": (app, "GET", "/overview", b""),
    "W7-sync": (app, "POST", "/tasks/10", b""),
    "W7-async": (app, "POST", "/async-tasks/3", b""),
    "options": (app, "POST", "/options", b""),
    "named": (app, "GET", "/named", b""),
    "named and failed": (app, "GET", "/named-and-failed", b""),
    "hooked": (hooked, "GET", "/tasks", b""),
    "stream": (app, "GET", "/stream", b""),
    "late": (app, "GET", "/late", b""),
    "404": (app, "GET", "/nowhere", b""),
    "422": (app, "GET", "/items/lamp", b""),
    "409": (app, "GET", "/sold-out", b""),
    "failing task": (app, "GET", "/failing-task", b""),
    "wrap": (wrap(foreign), "GET", "/", b""),
    "injected": (wrap(injected), "GET", "/", b""),
    "injected 422": (wrap(injected), "GET", "/?size=big", b""),
    "injected and failed": (wrap(injected), "GET", "/fail", b""),
    "wrapped app": (wrap(app), "POST", "/tasks/3", b""),
}


def serve(application, environ):
    """One request, as a server makes it."""
    answer = application(environ, lambda *args: None)
    list(answer)
    if hasattr(answer, "close"):
        answer.close()


@pytest.mark.parametrize("name", REQUESTED)
def test_a_thousand_requests_leave_no_cycles(name):
    """Everything is freed by its reference count, so collections have nothing to do."""
    application, method, path, body = REQUESTED[name]
    loggers = [logging.getLogger(each) for each in ("wsgibg.background", "wsgibg.app")]
    environs = [
        create_environ(
            path, method=method, data=body, headers=HEADERS, content_type="application/json"
        )
        for _ in range(REQUESTS)
    ]

    for each in loggers:
        each.disabled = True
    gc.disable()
    try:
        for _ in range(2):  # compiles the route, and starts the loop
            serve(application, environs.pop())
        gc.collect()
        while environs:
            serve(application, environs.pop())
        found = gc.collect()
    finally:
        gc.enable()
        for each in loggers:
            each.disabled = False

    assert found == 0
