"""The application that every server serves. What happens is written to files (`evidence.py`)."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl
from wsgiref.util import shift_path_info

from evidence import FOLDER, PATIENCE, note, slow, wait_at

from wsgibg import (
    App,
    BackgroundTasks,
    Depends,
    Response,
    ThreadExecutor,
    current_task,
    current_tasks,
    task,
    wrap,
)
from wsgibg.responses import FileResponse, StreamingResponse

app = App()

CHUNK = b"x" * 16384


@app.get("/ready")
def ready() -> int:
    """The worker that answers."""
    return os.getpid()


@app.get("/collect")
def collect() -> int:
    """Have the garbage collected, now."""
    return gc.collect()


# --- when the client has its answer --------------------------------------------------------


def three_chunks() -> Iterator[bytes]:
    yield from (b"one ", b"two ", b"three")


ANSWERS: dict[str, Callable[[], Any]] = {
    "length": lambda: {"answer": "whole"},
    "stream": lambda: StreamingResponse(three_chunks()),
    "no-content": lambda: Response(status_code=204),
    "empty": Response,
}


@app.api_route("/answers/{kind}", methods=["GET", "HEAD"])
def answer(
    kind: Literal["length", "stream", "no-content", "empty"],
    job: str,
    tasks: BackgroundTasks,
    idle: bool = False,
) -> Any:
    if not idle:
        tasks.add_task(slow, job)
    return ANSWERS[kind]()


pooled = App(executor=ThreadExecutor(workers=4))
pooled.api_route("/answers/{kind}", methods=["GET", "HEAD"])(answer)


# --- each task once, in order --------------------------------------------------------------


def fail(job: str) -> None:
    note(job, "second fails")
    raise ValueError(f"the second task of {job} fails")


async def note_later(job: str, line: str) -> None:
    await asyncio.sleep(0)
    note(job, line)


def note_and_add(job: str) -> None:
    note(job, f"fourth, attempt {current_task().attempt}")
    current_tasks().add_task(note, job, "fifth")


@app.get("/order")
def order(job: str, tasks: BackgroundTasks, streamed: bool = False) -> Any:
    tasks.add_task(note, job, "first")
    failing = tasks.add_task(fail, job)
    tasks.add_task(note_later, job, "third")
    tasks.add_task(note_and_add, job)
    answer = {"failing": failing.id}
    return StreamingResponse(str(part) for part in answer.values()) if streamed else answer


# --- yield dependencies, and bodies that do not come to their end --------------------------


def session(job: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        note(job, f"rollback after {error}")
        raise
    wait_at(job, "commit")
    note(job, "commit")


Session = Annotated[None, Depends(session)]

note_if_delivered = task(note, when="delivered")
note_always = task(note, when="always")


def noted_body(job: str) -> Iterator[bytes]:
    yield b"one "
    note(job, "body")
    yield b"two"


@app.get("/commit")
def commit(job: str, tasks: BackgroundTasks, session: Session, streamed: bool = False) -> Any:
    tasks.add_task(note, job, "task")
    return StreamingResponse(noted_body(job)) if streamed else {"answer": "whole"}


def until_gone(job: str, chunks: int) -> Iterator[bytes]:
    try:
        yield CHUNK
        wait_at(job, "gone")
        for _ in range(chunks):
            yield CHUNK
            time.sleep(0.001)  # servers that write in another thread have to notice
        note(job, "body read to its end")
    finally:
        note(job, "body closed")


@app.get("/gone")
def gone(job: str, chunks: int, tasks: BackgroundTasks, session: Session) -> Any:
    tasks.add_task(note, job, "task")
    tasks.add_task(note_if_delivered, job, "task for a delivered body")
    return StreamingResponse(until_gone(job, chunks))


def breaking_body() -> Iterator[bytes]:
    yield CHUNK
    raise ValueError("the body broke")


@app.get("/broken")
def broken(job: str, tasks: BackgroundTasks) -> Any:
    tasks.add_task(note_always, job, "task")
    tasks.add_task(note_if_delivered, job, "task for a delivered body")
    return StreamingResponse(breaking_body())


@app.get("/broken-in-session")
def broken_in_session(job: str, tasks: BackgroundTasks, session: Session) -> Any:
    return broken(job, tasks)


# --- files ---------------------------------------------------------------------------------


@app.get("/file")
def file() -> Any:
    return FileResponse(FOLDER / "file.bin")


@app.get("/file-with-task")
def file_with_task(job: str, tasks: BackgroundTasks) -> Any:
    tasks.add_task(slow, job)
    return FileResponse(FOLDER / "file.bin")


def kind_of_body(body: Any, wrapper: Any) -> str:
    """How the server will see a file's body."""
    if wrapper is None:
        return "the server has no wrapper"
    if isinstance(wrapper, type):
        return "the server's wrapper" if type(body) is wrapper else str(type(body))
    # uWSGI's is a function that remembers the file and returns it.
    return "the server's wrapper" if isinstance(body, io.BufferedReader) else str(type(body))


# --- applications around and inside --------------------------------------------------------


@wrap
def foreign(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """A WSGI application that is not ours."""
    query = dict(parse_qsl(environ["QUERY_STRING"]))
    current_tasks().add_task(slow, query["job"])
    if query["kind"] == "stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return three_chunks()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"whole"]


def careless(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """A WSGI middleware that closes no response."""
    return list(app(environ, start_response))


def watched(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """A WSGI middleware that looks at the bodies of files."""
    body: Iterable[bytes] = app(environ, start_response)
    if environ["PATH_INFO"] == "/file":
        query = dict(parse_qsl(environ["QUERY_STRING"]))
        note(query["job"], kind_of_body(body, environ.get("wsgi.file_wrapper")))
    return body


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """What is served."""
    first = shift_path_info(environ.copy())
    inner = {"foreign": foreign, "careless": careless, "pooled": pooled}.get(first or "")
    if inner is not None:
        shift_path_info(environ)
        return inner(environ, start_response)
    return watched(environ, start_response)


# --- async tasks ---------------------------------------------------------------------------

meeting = asyncio.Barrier(2)


async def meet(job: str) -> None:
    async with asyncio.timeout(PATIENCE):
        await meeting.wait()
    note(job, "met")


@app.get("/meet")
def meet_after_answer(job: str, tasks: BackgroundTasks) -> str:
    tasks.add_task(meet, job)
    return "come"


# --- a worker that is killed ---------------------------------------------------------------


async def wait_for_ever(job: str) -> None:
    note(job, "task starts")
    try:
        await asyncio.Event().wait()
    finally:
        note(job, "task was cancelled")


@app.get("/stuck")
def stuck(job: str, tasks: BackgroundTasks, asynchronous: bool = False) -> list[str]:
    first = tasks.add_task(wait_for_ever if asynchronous else slow, job)
    second = tasks.add_task(note, job, "second task")
    return [first.id, second.id]
