"""What a type checker says of tasks with dependencies; checked by mypy and pyright, never run."""

from __future__ import annotations

from typing import Annotated, assert_type

from wsgibg import App, BackgroundTasks, Depends, Injected, task, wrap

app = App()


class Mailer:
    """What is injected."""


def get_mailer() -> Mailer:
    return Mailer()


def send(to: str, mailer: Mailer = Depends(get_mailer)) -> int:
    return len(to) + id(mailer)


def send_annotated(to: str, *, mailer: Annotated[Mailer, Depends(get_mailer)] = Injected) -> int:
    return len(to) + id(mailer)


@task
async def send_async(to: str, tasks: BackgroundTasks = Injected) -> int:
    return len(to) + len(tasks.tasks)


class Sending:
    """A class may be a task as well."""

    def __init__(self, to: str, mailer: Mailer = Depends(get_mailer)) -> None: ...


def handler(tasks: BackgroundTasks) -> None:
    """What is injected may be left out; everything else is checked like a plain call."""
    tasks.add_task(send, "a@b")
    tasks.add_task(send, "a@b", get_mailer())
    tasks.add_task(send_annotated, "a@b")
    tasks.add_task(send_async, "a@b")
    tasks.add_task(send_async.with_options(when="always"), to="a@b")
    tasks.add_task(Sending, "a@b")
    tasks.add_task(send, 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tasks.add_task(send, "a@b", 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tasks.add_task(send)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    tasks.add_task(send_async, 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def script() -> None:
    """`call` gives what the function returns, awaited where it is async."""
    assert_type(app.call(send, "a@b"), int)
    assert_type(app.call(send_async, "a@b"), int)
    assert_type(app.tasks.call(send_annotated, to="a@b"), int)
    assert_type(wrap(app).call(Sending, "a@b"), Sending)
    app.call(send, 3)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    app.call(send_async)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
