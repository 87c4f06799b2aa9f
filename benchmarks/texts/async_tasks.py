"""W7 in FastAPI's spelling, with async tasks."""

from __future__ import annotations

from fastapi import BackgroundTasks, FastAPI

from benchmarks.domain import write_log_async

app = FastAPI()


@app.post("/async-tasks/{count}")
def add_tasks(count: int, background_tasks: BackgroundTasks) -> dict[str, int]:
    for number in range(count):
        background_tasks.add_task(write_log_async, number)
    return {"added": count}
