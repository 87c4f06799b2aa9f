"""What a type checker says of tasks; checked by mypy and pyright, never run."""

from __future__ import annotations

from datetime import datetime
from typing import Any, assert_type

from wsgibg import (
    App,
    BackgroundTask,
    BackgroundTasks,
    Request,
    TaskEvent,
    TaskManager,
    current_task,
    current_tasks,
    task,
    wrap,
)
from wsgibg.background import (
    Task,
    TaskProgress,
    TaskRecord,
    TaskState,
)

app = App()


def send(to: str, *, subject: str = "") -> int:
    return len(to + subject)


@task
def plain(to: str) -> int:
    return len(to)


@task(when="always")
async def audited(line: str) -> None:
    print(line)


def handler(tasks: BackgroundTasks, request: Request) -> None:
    """A task's call is checked like a plain call."""
    assert_type(tasks.add_task(send, "ada", subject="hello"), BackgroundTask)
    tasks.add_task(send, to="ada")
    tasks.add_task(send, 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tasks.add_task(send)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    tasks.add_task(send, "ada", size=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    tasks.add_task(plain, "ada")
    tasks.add_task(plain.with_options(when="error"), "ada")
    tasks.add_task(plain, 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tasks.add_task(audited, "line")
    current_tasks().add_task(print, 1, 2, sep="-")
    assert_type(tasks.tasks, list[BackgroundTask])


def a_task_is_still_the_function() -> None:
    """The decorator keeps the signature."""
    assert_type(plain("ada"), int)
    plain(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(task(send, when="always")("ada"), int)
    plain.with_options(when="never")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def options_are_known_by_name() -> None:
    """A misspelt option of a route or an app is found before it runs."""

    @app.get("/", status_code=201)
    def read() -> dict[str, int]:
        return {}

    assert_type(read(), dict[str, int])
    app.get("/", status="201")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    App(degub=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


@app.on_task
def hook(event: TaskEvent) -> None:
    """Hooks get typed events."""
    assert_type(event.reason, str)
    assert_type(event.attempt, int)
    assert_type(event.progress, TaskProgress | None)
    if event.kind == "parked":
        return
    if event.kind == "finished":  # type: ignore[comparison-overlap]  # pyright: ignore[reportUnnecessaryComparison]
        return


def records() -> None:
    """What is known of a task is typed, and frozen."""
    record = app.tasks.get("1", arguments=True)
    assert_type(record, TaskRecord | None)
    assert_type(app.tasks.recent(limit=3), list[TaskRecord])
    if record is not None:
        assert_type(record.state, TaskState)
        assert_type(record.added, datetime | None)
        assert_type(record.progress, TaskProgress | None)
        assert_type(record.arguments, str | None)
        record.state = "failed"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    app.tasks.get("1", True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def progress() -> None:
    """A task tells numbers, and a line for people."""
    current_task().progress(1)
    current_task().progress(0.5, total=1, message="half")
    current_task().progress("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def legacy(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    return []


assert_type(wrap(legacy).tasks, TaskManager)
options: Task[[str], int] = plain
