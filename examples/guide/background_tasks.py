"""The programs of the guide to background tasks."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Annotated

from wsgibg import (
    App,
    BackgroundTask,
    BackgroundTasks,
    Depends,
    TaskEvent,
    current_task,
    current_tasks,
    task,
)
from wsgibg.responses import PlainTextResponse

app = App()
lines: list[str] = []


def note(line: str) -> None:
    lines.append(line)


# --8<-- [start:order]
def resize(name: str) -> None:
    note(f"resize {name}")
    current_tasks().add_task(note, f"publish {name}")  # joins the end of the same pass


@app.post("/pictures/{name}")
def upload(name: str, background_tasks: BackgroundTasks) -> str:
    background_tasks.add_task(resize, name)
    background_tasks.add_task(note, f"count {name}")
    return "accepted"  # then: resize, count, publish


# --8<-- [end:order]


# --8<-- [start:everywhere]
def audited(background_tasks: BackgroundTasks) -> None:
    background_tasks.add_task(note, "audit")


@app.delete("/pictures/{name}", dependencies=[Depends(audited)])
def delete(name: str, background_tasks: BackgroundTasks) -> str:
    background_tasks.add_task(note, f"delete {name}")
    return "deleted"  # then: audit, delete


# --8<-- [end:everywhere]


# --8<-- [start:when]
@task(when="always")
def count_request(path: str) -> None:
    note(f"count {path}")


@task(when="error")
def alarm(path: str) -> None:
    note(f"alarm {path}")


@app.get("/reports/{number}")
def report(number: int, background_tasks: BackgroundTasks) -> float:
    path = f"/reports/{number}"
    background_tasks.add_task(count_request, path)
    background_tasks.add_task(alarm, path)
    background_tasks.add_task(task(note, when="delivered"), f"bill {path}")
    return 1 / number


# --8<-- [end:when]


# --8<-- [start:merge]
@app.get("/export")
def export(background_tasks: BackgroundTasks) -> PlainTextResponse:
    background_tasks.add_task(note, "first")
    return PlainTextResponse("rows", background=BackgroundTask(note, "second"))


# --8<-- [end:merge]


# --8<-- [start:adopt]
def housekeeping() -> BackgroundTasks:
    tasks = BackgroundTasks()
    tasks.add_task(note, "sweep")
    return tasks


@app.get("/swept")
def swept(tasks: Annotated[BackgroundTasks, Depends(housekeeping)]) -> str:
    tasks.add_task(note, "polish")
    return "done"  # then: sweep, polish


# --8<-- [end:adopt]


# --8<-- [start:context]
user: ContextVar[str] = ContextVar("user")


def greet() -> None:
    note(f"hello {user.get()}")


@app.get("/greet")
def greeting(background_tasks: BackgroundTasks) -> str:
    user.set("ada")
    background_tasks.add_task(greet)
    user.set("somebody else")  # too late for the task
    return "done"  # then: hello ada


# --8<-- [end:context]


# --8<-- [start:hook]
@app.on_task
def watch(event: TaskEvent) -> None:
    if event.kind in ("failed", "dropped", "interrupted", "lost"):
        note(f"{event.kind}: {event.task.name} {event.task.id}")


# --8<-- [end:hook]


# --8<-- [start:id]
def work() -> None:
    note(f"working on {current_task().id}")


@app.post("/jobs")
def start(background_tasks: BackgroundTasks) -> dict[str, str]:
    job = background_tasks.add_task(work)
    return {"job": job.id}


# --8<-- [end:id]


@app.get("/failing")
def failing(background_tasks: BackgroundTasks) -> str:
    background_tasks.add_task(int, "not a number")
    background_tasks.add_task(note, "after the failure")
    return "done"
