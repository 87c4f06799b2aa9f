"""What is asked of every peer, with the answer that proves it did the work."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmarks.exchange import HEADERS, Request

ROUTE_COUNTS = (10, 1000)
TASK_COUNTS = (1, 10, 1000)

INT_ERROR = {
    "type": "int_parsing",
    "loc": ["path", "item_id"],
    "msg": "Input should be a valid integer, unable to parse string as an integer",
    "input": "lamp",
}


@dataclass(frozen=True)
class Workload:
    """One column of the tables.

    Attributes:
        name: what `--workloads` selects it by, such as `W3` or `W7-sync-10`.
        title: what it measures, in a few words.
        site: which of a peer's applications answers it.
        request: the request, the same for every peer.
        body: the expected answer: text, or the value its JSON must be equal to.
        status: the expected status code.
        log: what the tasks (or exits of dependencies) must have noted, in order.
        after_body: whether nothing of `log` may be there before the last byte is out.
        size: the number of routes of the application, where that is what is measured.
        body_by_hand: what peers answer that do not list validation errors.

    """

    name: str
    title: str
    site: str
    request: Request
    body: Any
    status: int = 200
    log: tuple[object, ...] = ()
    after_body: bool = False
    size: int | None = None
    body_by_hand: Any = None


def _order() -> tuple[bytes, dict[str, Any]]:
    """Return the body of W4, ten positions, with the receipt that answers it."""
    lines = [
        {"sku": f"LAMP-{n:03}", "quantity": n, "price": 12.5, "gift": n % 2 == 0}
        for n in range(1, 11)
    ]
    order = {"customer": "Ada Lovelace", "lines": lines}
    return json.dumps(order).encode(), {**order, "total": 687.5}


def _main_workloads() -> Iterable[Workload]:
    yield Workload(
        "W1", "plain text", "plaintext", Request("GET", "/plaintext"), body="Hello, World!"
    )
    yield Workload(
        "W2",
        "path, query and header parameters, JSON",
        "item",
        Request("GET", "/items/42", "q=lamp"),
        body={"item_id": 42, "q": "lamp", "user_agent": HEADERS["User-Agent"], "in_stock": True},
    )
    yield Workload(
        "W3",
        "a dependency and the handler add a task each",
        "notify",
        Request("POST", "/send-notification/ada@example.org", "q=lamp"),
        body={"message": "Notification queued"},
        log=("query: lamp", "message to ada@example.org"),
        after_body=True,
    )
    body, receipt = _order()
    yield Workload(
        "W4",
        "pydantic body with 10 items, response model",
        "order",
        Request("POST", "/orders", body=body),
        body=receipt,
    )
    user = "Bearer-4711@eu"
    yield Workload(
        "W5",
        "ten dependencies on three levels, two of them generators",
        "dependencies",
        Request("GET", "/overview", "number=3"),
        body={
            "page": 60,
            "account": [user, 20],
            "audit": [user, 1200],
            "permissions": [user, 1220],
        },
        log=("session closed", "connection closed"),
    )


def _routing_workloads() -> Iterable[Workload]:
    for count in ROUTE_COUNTS:
        last = count - 1
        yield Workload(
            f"W6-static-{count}",
            f"the last of {count} exact paths",
            "static",
            Request("GET", f"/static/{last}/page"),
            body="found",
            size=count,
        )
    for count in ROUTE_COUNTS:
        last = count - 1
        yield Workload(
            f"W6-param-{count}",
            f"the last of {count} paths with a parameter",
            "parametrised",
            Request("GET", f"/kind/{last}/lamp"),
            body="lamp",
            size=count,
        )


def _task_workloads() -> Iterable[Workload]:
    for kind, site in (("sync", "tasks"), ("async", "async-tasks")):
        for count in TASK_COUNTS:
            yield Workload(
                f"W7-{kind}-{count}",
                f"{count} {kind} tasks",
                site,
                Request("POST", f"/{site}/{count}"),
                body={"added": count},
                log=tuple(range(count)),
                after_body=True,
            )


def _error_workloads() -> Iterable[Workload]:
    yield Workload(
        "W8-404",
        "no such path",
        "item",
        Request("GET", "/nowhere"),
        body={"detail": "Not Found"},
        status=404,
    )
    yield Workload(
        "W8-422",
        "a path parameter that is no int",
        "item",
        Request("GET", "/items/lamp", "q=lamp"),
        body={"detail": [INT_ERROR]},
        body_by_hand={"detail": "item_id is not an integer"},
        status=422,
    )
    yield Workload(
        "W8-409",
        "the handler raises an HTTP error",
        "sold-out",
        Request("GET", "/sold-out"),
        body={"detail": "Sold out"},
        status=409,
    )


WORKLOADS: tuple[Workload, ...] = (
    *_main_workloads(),
    *_routing_workloads(),
    *_task_workloads(),
    *_error_workloads(),
)


def select(names: Iterable[str]) -> tuple[Workload, ...]:
    """Return the workloads that the names select; `W7` also selects `W7-sync-10`.

    Raises:
        ValueError: a name selects nothing.

    """
    wanted = tuple(names)
    for name in wanted:
        if not any(_selects(name, workload) for workload in WORKLOADS):
            known = ", ".join(workload.name for workload in WORKLOADS)
            raise ValueError(f"there is no workload {name!r}; there are {known}")
    return tuple(w for w in WORKLOADS if any(_selects(name, w) for name in wanted))


def _selects(name: str, workload: Workload) -> bool:
    return workload.name.lower() == name.lower() or workload.name.lower().startswith(
        f"{name.lower()}-"
    )
