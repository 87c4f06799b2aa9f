"""The programs of the guide to the dependencies of tasks."""

# ruff: noqa: D102
from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated

from wsgibg import App, BackgroundTasks, Depends, Injected, Request

app = App()
lines: list[str] = []


# --8<-- [start:task]
class Session:
    """Stands for a database session; it writes down what happens to it."""

    def mark_sent(self, order_id: int) -> None:
        lines.append(f"order {order_id} is marked")

    def commit(self) -> None:
        lines.append("commit")

    def rollback(self) -> None:
        lines.append("rollback")


def get_session() -> Iterator[Session]:
    session = Session()
    try:
        yield session
        session.commit()
    except Exception:
        session.rollback()
        raise


def send_receipt(order_id: int, session: Session = Depends(get_session)) -> None:
    lines.append(f"receipt for order {order_id}")
    session.mark_sent(order_id)


@app.post("/orders/{order_id}/pay")
def pay(order_id: int, background_tasks: BackgroundTasks) -> str:
    background_tasks.add_task(send_receipt, order_id)  # the session is opened when it runs
    return "paid"


# --8<-- [end:task]


# --8<-- [start:annotated]
Database = Annotated[Session, Depends(get_session)]


def remind(order_id: int, session: Database = Injected) -> None:
    session.mark_sent(order_id)


# --8<-- [end:annotated]


# --8<-- [start:batch]
def send_all(order_ids: list[int], tasks: BackgroundTasks = Injected) -> None:
    for order_id in order_ids:
        tasks.add_task(send_receipt, order_id)  # each with a session of its own


# --8<-- [end:batch]


@app.post("/orders/send")
def send(background_tasks: BackgroundTasks) -> None:
    background_tasks.add_task(send_all, [1, 2])


@app.post("/orders/{order_id}/fail")
def fail(order_id: int, background_tasks: BackgroundTasks) -> None:
    background_tasks.add_task(refuse, order_id)


def refuse(order_id: int, session: Session = Depends(get_session)) -> None:
    session.mark_sent(order_id)
    raise ValueError("no receipt today")


# --8<-- [start:refused]
def get_language(request: Request) -> str:
    return request.headers.get("accept-language", "en")


def greet(name: str, language: str = Depends(get_language)) -> None:
    lines.append(f"{language}: {name}")


@app.post("/wrong/{name}")
def wrong(name: str, background_tasks: BackgroundTasks) -> None:
    background_tasks.add_task(greet, name)  # TaskRefused: there is no request any more


@app.post("/right/{name}")
def right(
    name: str, language: Annotated[str, Depends(get_language)], background_tasks: BackgroundTasks
) -> None:
    background_tasks.add_task(greet, name, language)  # what is passed is not injected


# --8<-- [end:refused]


# --8<-- [start:script]
def nightly(day: str, tasks: BackgroundTasks = Injected, session: Database = Injected) -> int:
    session.mark_sent(7)
    tasks.add_task(lines.append, f"report of {day}")
    return 1


if __name__ == "__main__":
    print(app.call(nightly, sys.argv[1]), "order was marked")
# --8<-- [end:script]
