"""What a type checker says of the Flask extension; checked by mypy and pyright, never run."""

from __future__ import annotations

from typing import Annotated, Any, assert_type

from flask import Flask
from werkzeug.datastructures import EnvironHeaders, ImmutableMultiDict

from wsgibg import Depends, Injected, TaskManager, ThreadExecutor, current_tasks
from wsgibg.integrations.flask import BackgroundTasks, RequestSnapshot, current_request

app = Flask(__name__)
background = BackgroundTasks(
    app,
    executor=ThreadExecutor(workers=2),
    executors={"pool": ThreadExecutor()},
    after_task_error="stop",
    strict=True,
    request_snapshot=True,
    user_id=lambda: "ada",
)
later = BackgroundTasks()
later.init_app(app)
shared = BackgroundTasks(tasks=background.tasks)

BackgroundTasks(app, after_task_error="halt")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
BackgroundTasks(app, executor="inline")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
BackgroundTasks(app, user_id="ada")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def word() -> str:
    return "hello"


def send(to: str, said: Annotated[str, Depends(word)] = Injected) -> int:
    return len(to) + len(said)


@app.post("/")
def view() -> str:
    current_tasks().add_task(send, "a@b")
    current_tasks().add_task(send, 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    return "done"


def script() -> None:
    """It is called like an `App`."""
    assert_type(background.call(send, "a@b"), int)
    assert_type(background.tasks, TaskManager)
    assert_type(background.dependency_overrides, dict[Any, Any])
    background.tasks.on_task(lambda event: print(event.kind))
    background.call(send, 3)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


def inside() -> None:
    """A snapshot's fields have types, and cannot be set."""
    seen = current_request()
    assert_type(seen, RequestSnapshot)
    assert_type(seen.method, str)
    assert_type(seen.args, ImmutableMultiDict[str, str])
    assert_type(seen.headers, EnvironHeaders)
    assert_type(seen.user_id, Any)
    seen.method = "PUT"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
