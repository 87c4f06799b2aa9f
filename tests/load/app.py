"""What is served in the load runs: each task writes one line, and so does each report."""

from __future__ import annotations

import os
import time

from wsgibg import App, BackgroundTasks, TaskEvent, ThreadExecutor

# One write of a short line to a file opened for appending is whole, whoever else writes.
lines = os.open(os.environ.get("LOAD_LINES", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
app = App(executor=ThreadExecutor(workers=8, queue_size=200, drain_timeout=20))


def note(word: str, job: str, number: int) -> None:
    """Say what has become of a task."""
    os.write(lines, f"{word} {job} {number}\n".encode())


def run(job: str, number: int) -> None:
    """A task."""
    note("ran", job, number)


def sleep(_: str, seconds: float) -> None:
    """A task that takes its time."""
    time.sleep(seconds)


@app.on_task
def report(event: TaskEvent) -> None:
    """Take note of tasks that did not run to their end."""
    if event.kind in ("lost", "dropped", "interrupted", "failed"):
        note(event.kind, *event.task.args)


@app.get("/three/{job}")
def three(job: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    """Add three tasks."""
    for number in range(3):
        background_tasks.add_task(run, job, number)
    return {"job": job}


@app.get("/sleepy")
def sleepy(background_tasks: BackgroundTasks) -> dict[str, bool]:
    """Add a task that sleeps for 50 ms."""
    background_tasks.add_task(sleep, "", 0.05)
    return {"sleepy": True}


@app.get("/plain")
def plain() -> dict[str, bool]:
    """Add nothing."""
    return {"sleepy": False}
