"""Declarations whose annotations are strings (PEP 563); `ns` is put in by `test_postponed`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal, Optional

from pydantic import BaseModel, Field

ns: Any = globals()["ns"]
app = ns.App()


class Colour(Enum):
    """An enum."""

    RED = "red"


class Item(BaseModel):
    """A model that names itself."""

    name: str
    part: Optional[Item] = None  # noqa: UP045
    made: date | None = None


class Page:
    """A class as a dependency."""

    def __init__(self, size: int = 10, *, colour: Annotated[Colour | None, ns.Query()] = None):
        self.text = f"{size} {colour}"


class Checker:
    """An object as a dependency."""

    def __call__(self, token: Annotated[str, ns.Header(min_length=2)] = "none") -> str:
        return token


def session(background: ns.BackgroundTasks, q: Literal["a", "b"] = "a") -> Iterator[str]:
    """A generator as a dependency."""
    background.add_task(ns.calls.append, "task")
    yield q
    ns.calls.append("left")


Checked = Annotated[str, ns.Depends(Checker())]


@app.post("/items/{number}")
async def create(
    number: Annotated[int, ns.Path(gt=0)],
    item: Item,
    page: Annotated[Page, ns.Depends()],
    checked: Checked,
    session: Annotated[str, ns.Depends(session)],
    request: ns.Request,
    tags: Annotated[list[str], ns.Query()] = [],  # noqa: B006
    count: Annotated[int | None, ns.Body(embed=True)] = None,
) -> dict[str, Any]:
    """Return everything."""
    values = [number, item, page.text, checked, session, request.method, tags, count]
    return {"values": values}


@app.get("/model")
def model(name: Annotated[str, Field(max_length=3)] = "x") -> Item:
    """Return a model."""
    return Item(name=name, part=Item(name="part"))
