"""The programs of the guide "Knowing": records, progress, hooks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

from wsgibg import (
    App,
    BackgroundTask,
    BackgroundTasks,
    HTTPException,
    TaskEvent,
    ThreadExecutor,
    current_task,
)

app = App(executor=ThreadExecutor())


# --8<-- [start:jobs]
def shrink(picture: str) -> None:
    time.sleep(len(picture) / 1000)


def shrink_all(pictures: list[str]) -> None:
    for done, picture in enumerate(pictures, start=1):
        shrink(picture)
        current_task().progress(done, len(pictures), picture)


@app.post("/albums", status_code=202)
def add_album(pictures: list[str], background_tasks: BackgroundTasks) -> dict[str, str]:
    job = background_tasks.add_task(shrink_all, pictures)
    return {"job": job.id}


@app.get("/jobs/{job}")
def read_job(job: str) -> dict[str, Any]:
    record = app.tasks.get(job)
    if record is None:
        raise HTTPException(404, detail="No such job, or it has ended long ago")
    return {"state": record.state, "progress": record.progress, "error": record.error}


# --8<-- [end:jobs]


# --8<-- [start:recent]
@app.get("/jobs")
def list_jobs() -> list[dict[str, Any]]:
    return [
        {"job": record.id, "name": record.name, "state": record.state, "added": record.added}
        for record in app.tasks.recent(limit=20)
    ]


# --8<-- [end:recent]


# --8<-- [start:arguments]
def describe_failures() -> list[str]:
    lines = []
    for record in app.tasks.recent():
        if record.state == "failed":
            full = app.tasks.get(record.id, arguments=True) or record
            lines.append(f"{full.name}({full.arguments}): {full.error}")
    return lines


# --8<-- [end:arguments]


# --8<-- [start:hook]
seen: Counter[str] = Counter()


@app.on_task
def count(event: TaskEvent) -> None:
    seen[event.kind] += 1


# --8<-- [end:hook]


# --8<-- [start:around]
seconds: dict[str, float] = {}


@app.tasks.around_task
@contextmanager
def measure(each: BackgroundTask) -> Iterator[None]:
    begun = time.monotonic()
    try:
        yield
    finally:
        seconds[each.name] = time.monotonic() - begun


# --8<-- [end:around]


# --8<-- [start:slow]
events: SimpleQueue[tuple[str, str]] = SimpleQueue()


@app.on_task
def hand_on(event: TaskEvent) -> None:
    if event.kind in ("failed", "lost"):
        events.put((event.task.id, event.error or event.reason))  # a thread sends them


# --8<-- [end:slow]
