"""The programs of the guide to testing."""

# ruff: noqa: D102
from __future__ import annotations

from typing import Annotated, Any

from werkzeug.test import Client, TestResponse

from wsgibg import App, BackgroundTasks, Depends, TaskEvent

app = App()
sent: list[str] = []


# --8<-- [start:app]
def get_sender() -> str:
    return "shop@example.com"


def send_mail(sender: str, to: str) -> None:
    sent.append(f"{sender} to {to}")


@app.post("/invite/{email}")
def invite(
    email: str, sender: Annotated[str, Depends(get_sender)], background_tasks: BackgroundTasks
) -> dict[str, str]:
    background_tasks.add_task(send_mail, sender, email)
    return {"invited": email}


# --8<-- [end:app]


# --8<-- [start:tests]
def test_an_invitation_is_sent():
    sent.clear()

    response = Client(app).post("/invite/ada@example.com", buffered=True)

    assert response.json == {"invited": "ada@example.com"}
    assert sent == ["shop@example.com to ada@example.com"]


# --8<-- [end:tests]


# --8<-- [start:override]
def test_with_another_sender():
    sent.clear()
    app.dependency_overrides[get_sender] = lambda: "test@example.com"

    Client(app).post("/invite/ada@example.com", buffered=True)

    app.dependency_overrides.clear()
    assert sent == ["test@example.com to ada@example.com"]


# --8<-- [end:override]


# --8<-- [start:client]
class ClosingClient(Client):
    """Closes each response, so that a request has ended when the call returns."""

    def open(self, *args: Any, buffered: bool = True, **kwargs: Any) -> TestResponse:
        return super().open(*args, buffered=buffered, **kwargs)


# --8<-- [end:client]


# --8<-- [start:events]
def test_no_task_fails():
    events: list[TaskEvent] = []
    app.on_task(events.append)

    ClosingClient(app).post("/invite/ada@example.com")

    assert [event.kind for event in events] == ["added", "started", "succeeded"]


# --8<-- [end:events]
