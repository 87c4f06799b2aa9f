"""What every peer's application is about, so that all of them do the same work.

A peer without dependencies, validation or serialisation of its own calls the functions below;
a peer that has them (FastAPI, wsgibg) says the same in its own spelling, in `texts/`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel

LOG: list[object] = []
"""Where tasks and the exits of generator dependencies leave a trace; emptied by the harness."""


# ---------------------------------------------------------------- tasks (W3, W7)


def write_log(entry: object) -> None:
    """Note that a task ran; tasks do no input or output, which would drown the frameworks."""
    LOG.append(entry)


async def write_log_async(entry: object) -> None:
    """Do as `write_log`, as a coroutine that never suspends."""
    LOG.append(entry)


# ---------------------------------------------------------------- the order (W4)


class Line(BaseModel):
    """One position of an order."""

    sku: str
    quantity: int
    price: float
    gift: bool = False


class Order(BaseModel):
    """The body of W4."""

    customer: str
    lines: list[Line]


class Receipt(BaseModel):
    """The response model of W4."""

    customer: str
    total: float
    lines: list[Line]


def bill(order: Order) -> Receipt:
    """Return the receipt for an order."""
    total = sum(line.quantity * line.price for line in order.lines)
    return Receipt(customer=order.customer, total=total, lines=order.lines)


# ---------------------------------------------------------------- ten dependencies (W5)
# Three levels; the text in `texts/dependencies.py` says the same with `Depends`:
#   3: settings, clock, connection (opened and closed)
#   2: session (opened and closed), user, limits
#   1: page, account, audit, permissions
# They are functions because many handlers share them: a peer without dependencies calls each
# by hand, once, and opens what is to be closed in a `with`.


def get_settings() -> dict[str, int]:
    """Third level."""
    return {"page_size": 20}


def get_clock() -> int:
    """Third level."""
    return 1200


@contextmanager
def get_connection() -> Iterator[dict[str, str]]:
    """Third level; closed at the end."""
    try:
        yield {"region": "eu"}
    finally:
        LOG.append("connection closed")


@contextmanager
def get_session(connection: dict[str, str], settings: dict[str, int]) -> Iterator[dict[str, Any]]:
    """Second level; closed at the end."""
    try:
        yield {"connection": connection, "size": settings["page_size"]}
    finally:
        LOG.append("session closed")


def get_user(authorization: str, connection: dict[str, str]) -> str:
    """Second level."""
    return authorization + "@" + connection["region"]


def get_limits(settings: dict[str, int], clock: int) -> int:
    """Second level."""
    return settings["page_size"] + clock


def get_page(number: int, settings: dict[str, int]) -> int:
    """First level."""
    return number * settings["page_size"]


def get_account(user: str, session: dict[str, Any]) -> tuple[str, int]:
    """First level."""
    return (user, session["size"])


def get_audit(user: str, clock: int) -> tuple[str, int]:
    """First level."""
    return (user, clock)


def get_permissions(user: str, limits: int) -> tuple[str, int]:
    """First level."""
    return (user, limits)


def overview(authorization: str, number: int) -> dict[str, Any]:
    """Do by hand what the ten dependencies and the handler of W5 do."""
    settings = get_settings()
    with get_connection() as connection, get_session(connection, settings) as session:
        clock = get_clock()
        user = get_user(authorization, connection)
        limits = get_limits(settings, clock)
        return {
            "page": get_page(number, settings),
            "account": get_account(user, session),
            "audit": get_audit(user, clock),
            "permissions": get_permissions(user, limits),
        }
