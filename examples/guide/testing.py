"""The programs of the guide to testing; `pytest examples/guide/testing.py` runs them."""

from __future__ import annotations

from typing import Annotated

import pytest
import werkzeug.test

from wsgibg import App, BackgroundTasks, Depends, HTTPException, TaskEvent, ThreadExecutor
from wsgibg.exceptions import TaskNotRun
from wsgibg.pytest_plugin import OverridesFixture, TaskFixture
from wsgibg.testing import TestClient

app = App(executor=ThreadExecutor())
sent: list[str] = []


# --8<-- [start:app]
def get_sender() -> str:
    return "shop@example.com"


def send_mail(sender: str, to: str) -> None:
    if "@" not in to:
        raise ValueError(f"no address: {to}")
    sent.append(f"{sender} to {to}")


@app.post("/invite/{email}")
def invite(
    email: str, sender: Annotated[str, Depends(get_sender)], background_tasks: BackgroundTasks
) -> dict[str, str]:
    background_tasks.add_task(send_mail, sender, email)
    return {"invited": email}


# --8<-- [end:app]


@pytest.fixture(autouse=True)
def _nothing_sent() -> None:
    sent.clear()


# --8<-- [start:client]
client = TestClient(app)


def test_an_invitation_is_sent() -> None:
    response = client.post("/invite/ada@example.com")

    assert response.status_code == 200
    assert response.json() == {"invited": "ada@example.com"}
    assert sent == ["shop@example.com to ada@example.com"]


# --8<-- [end:client]


# --8<-- [start:errors]
def test_the_error_of_a_task() -> None:
    with pytest.raises(ValueError, match="no address: ada"):
        client.post("/invite/ada")


def test_the_answer_is_the_same_all_the_same() -> None:
    quiet = TestClient(app, raise_task_errors=False)

    assert quiet.post("/invite/ada").status_code == 200


# --8<-- [end:errors]


# --8<-- [start:stream]
def test_lines_of_a_stream() -> None:
    with client.stream("POST", "/invite/ada@example.com") as response:
        assert list(response.iter_lines()) == ['{"invited":"ada@example.com"}']
        assert sent == []  # the task runs when the response is closed
    assert len(sent) == 1


# --8<-- [end:stream]


# --8<-- [start:werkzeug]
def test_with_werkzeugs_own_client() -> None:
    response = werkzeug.test.Client(app).post("/invite/ada@example.com", buffered=True)
    app.drain()  # only where there is a pool

    assert response.json == {"invited": "ada@example.com"}
    assert len(sent) == 1


# --8<-- [end:werkzeug]


# --8<-- [start:fixture]
def test_what_was_added(background_tasks: TaskFixture) -> None:
    client.post("/invite/ada@example.com")

    background_tasks.assert_added(send_mail, "shop@example.com", to="ada@example.com")
    assert len(background_tasks.added) == 1
    assert background_tasks.failures == []


# --8<-- [end:fixture]


# --8<-- [start:modes]
@pytest.mark.background("collect")
def test_later(background_tasks: TaskFixture) -> None:
    client.post("/invite/ada@example.com")
    client.post("/invite/bob")
    assert sent == []

    background_tasks.run_all()

    assert sent == ["shop@example.com to ada@example.com"]
    [(task, error)] = background_tasks.failures
    assert task.args[1] == "bob"
    assert isinstance(error, ValueError)


@pytest.mark.background("off")
def test_never(background_tasks: TaskFixture) -> None:
    client.post("/invite/ada@example.com")

    background_tasks.assert_added(send_mail)
    assert sent == []


# --8<-- [end:modes]


# --8<-- [start:override]
def test_with_another_sender(dependency_overrides: OverridesFixture) -> None:
    dependency_overrides(app, {get_sender: lambda: "test@example.com"})

    client.post("/invite/ada@example.com")

    assert sent == ["test@example.com to ada@example.com"]


# --8<-- [end:override]


# --8<-- [start:strict]
strict_app = App(strict=True)


@strict_app.post("/members")
def join(background_tasks: BackgroundTasks) -> None:
    background_tasks.add_task(send_mail, "shop@example.com", "ada@example.com")
    raise HTTPException(401)


def test_a_mail_that_nobody_gets() -> None:
    with pytest.raises(TaskNotRun, match=r"was dropped: its request failed .*401"):
        TestClient(strict_app).post("/members")


# --8<-- [end:strict]


# --8<-- [start:events]
def test_what_happens_to_a_task() -> None:
    events: list[TaskEvent] = []
    app.on_task(events.append)

    client.post("/invite/ada@example.com")

    assert [event.kind for event in events] == ["added", "started", "succeeded"]


# --8<-- [end:events]
