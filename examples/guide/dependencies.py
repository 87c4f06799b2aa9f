"""The programs of the guide to dependencies."""

# ruff: noqa: ARG001, D102
from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from wsgibg import App, BackgroundTasks, Depends, Header, HTTPException

app = App()
lines: list[str] = []


class Session:
    """Stands for a database session; it writes down what happens to it."""

    def commit(self) -> None:
        lines.append("commit")

    def rollback(self) -> None:
        lines.append("rollback")

    def close(self) -> None:
        lines.append("close")


# --8<-- [start:session]
def get_session() -> Iterator[Session]:
    session = Session()
    try:
        yield session
        session.commit()
    except Exception:
        session.rollback()
        raise
    finally:
        session.close()


def send_mail(order_id: int) -> None:
    lines.append(f"mail for order {order_id}")


@app.post("/orders")
def place_order(
    session: Annotated[Session, Depends(get_session)], background_tasks: BackgroundTasks
) -> dict[str, int]:
    background_tasks.add_task(send_mail, 7)
    return {"order": 7}  # then: commit, close, mail for order 7


# --8<-- [end:session]


# --8<-- [start:function]
@app.post("/payments")
def pay(session: Annotated[Session, Depends(get_session, scope="function")]) -> str:
    return "paid"  # committed before the client hears it


# --8<-- [end:function]


# --8<-- [start:tasks]
def fill(session: Session) -> None:
    lines.append("fill")


@app.post("/tables")
def make_table(
    session: Annotated[Session, Depends(get_session, scope="tasks")],
    background_tasks: BackgroundTasks,
) -> str:
    background_tasks.add_task(fill, session)
    return "accepted"  # then: fill, commit, close


# --8<-- [end:tasks]


# --8<-- [start:closed]
@app.post("/closed")
def closed(
    session: Annotated[Session, Depends(get_session)], background_tasks: BackgroundTasks
) -> str:
    background_tasks.add_task(fill, session)  # session is of scope "request"
    return "accepted"


# --8<-- [end:closed]


# --8<-- [start:params]
def paging(page: int = 1, size: int = 20) -> slice:
    return slice((page - 1) * size, page * size)


def signed_in(authorization: Annotated[str | None, Header()] = None) -> str:
    if authorization != "Bearer secret":
        raise HTTPException(401, detail="Who are you?")
    return "ada"


@app.get("/orders")
def list_orders(
    rows: Annotated[slice, Depends(paging)], user: Annotated[str, Depends(signed_in)]
) -> dict[str, object]:
    return {"user": user, "from": rows.start, "to": rows.stop}


# --8<-- [end:params]
