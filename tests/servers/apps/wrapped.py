"""An application that does what applications do, wrong things too: bare, and inside `wrap`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any
from urllib.parse import parse_qsl
from wsgiref.util import shift_path_info

from evidence import FOLDER, note

from wsgibg import BackgroundTasks, Depends, Query, ThreadExecutor, current_tasks, task, wrap
from wsgibg.embedding import inject

TEXT = ("Content-Type", "text/plain")
(FOLDER / "file.txt").write_bytes(b"hello")


class Body:
    """A body that can be closed."""

    def __init__(self, *, breaks: bool = False, sticks: bool = False) -> None:
        self.breaks = breaks
        self.sticks = sticks

    def __iter__(self) -> Iterator[bytes]:
        yield b"hel"
        if self.breaks:
            raise LookupError("the body breaks")
        yield b"lo"

    def close(self) -> None:
        if self.sticks:
            raise OSError("the body sticks")


def raising() -> Any:
    raise LookupError("the application raises")


def opened(environ: dict[str, Any]) -> Any:
    return environ["wsgi.file_wrapper"]((FOLDER / "file.txt").open("rb"))


BODIES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "list": lambda _: [b"hello"],
    "generator": lambda _: (each for each in (b"hel", b"lo")),
    "file": opened,
    "empty": lambda _: [],
    "none": lambda _: None,
    "text": lambda _: "hello",
    "bytes": lambda _: b"hello",
    "number": lambda _: 5,
    "raises": lambda _: raising(),
    "breaks": lambda _: Body(breaks=True),
    "sticks": lambda _: Body(sticks=True),
}


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
    """What is wrapped."""
    kind = environ["PATH_INFO"].strip("/")
    job = dict(parse_qsl(environ["QUERY_STRING"])).get("job", "")
    if "wsgibg.tasks" in environ:
        for when in ("returned", "error"):
            current_tasks().add_task(task(note, when=when), job, when)
    status, headers = "200 OK", [TEXT]
    if kind in ("204 NO CONTENT", "304 NOT MODIFIED", "302 FOUND"):
        status, kind = kind, "empty"
        headers = [("Location", "/there")] if status.startswith("302") else []
    if kind == "early":
        raising()
    if kind == "twice":
        start_response(status, headers)
        start_response(status, headers)
    if kind == "replaced":
        start_response(status, headers)
        try:
            raising()
        except LookupError:
            start_response("503 SERVICE UNAVAILABLE", headers, sys.exc_info())
    elif kind != "forgotten":
        write = start_response(status, headers)
        if kind == "written":
            write(b"hel")
            return [b"lo"]
    return BODIES.get(kind, BODIES["list"])(environ)


async def connect(job: Annotated[str, Query()]) -> AsyncIterator[str]:
    await asyncio.sleep(0)
    yield job
    note(job, "closed")


def transaction(job: Annotated[str, Depends(connect)]) -> Iterator[str]:
    try:
        yield job
        note(job, "committed")
    except LookupError:
        note(job, "rolled back")
        raise


@inject
def view(
    environ: dict[str, Any],
    start_response: Callable[..., Any],
    job: Annotated[str, Depends(transaction)],
    tasks: BackgroundTasks,
) -> Any:
    """A view with dependencies that are left after its body."""
    tasks.add_task(note, job, "task")
    if environ["PATH_INFO"] == "/raises":
        raising()
    start_response("200 OK", [TEXT])
    return body_of(job)


def body_of(job: str) -> Iterator[bytes]:
    yield b"hello"
    note(job, "sent")


APPS = {"bare": app, "inline": wrap(app), "pooled": wrap(app, executor=ThreadExecutor())}
APPS |= {"view": wrap(view), "pooled-view": wrap(view, executor=ThreadExecutor())}


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
    """What is served."""
    inner = APPS.get(shift_path_info(environ) or "")
    if inner is None:
        start_response("200 OK", [TEXT])
        return [b"ready"]
    return inner(environ, start_response)
