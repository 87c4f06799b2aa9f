"""A Flask application some of whose views have dependencies."""

from collections.abc import Iterator
from typing import Annotated

from flask import Flask

from wsgibg import BackgroundTasks, Depends, HTTPException, Query, wrap
from wsgibg.embedding import inject

lines: list[str] = []


# --8<-- [start:app]
app = Flask(__name__)
app.wsgi_app = wrapped = wrap(app.wsgi_app)


class Session:
    """Stands in for a database session."""

    def find(self, order_id: int) -> bool:  # noqa: D102
        return order_id < 100


def get_session() -> Iterator[Session]:
    try:
        yield Session()
        lines.append("commit")  # after the response, and before its tasks
    except Exception:
        lines.append("rollback")  # at once, if the view raises
        raise


def get_order(order_id: int, session: Annotated[Session, Depends(get_session)]) -> int:
    if not session.find(order_id):  # Flask's arguments are path parameters for it
        raise HTTPException(404)
    return order_id


@app.post("/orders/<int:order_id>/pay")
@inject
def pay(
    order_id: int,  # this one is Flask's
    order: Annotated[int, Depends(get_order)],
    tasks: BackgroundTasks,
    currency: Annotated[str, Query(max_length=3)] = "EUR",
):
    tasks.add_task(lines.append, f"receipt for {order} in {currency}")
    return {"order": order_id, "paid": True}


# --8<-- [end:app]
