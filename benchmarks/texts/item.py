"""W2 in FastAPI's spelling (also asked for a 404 and a 422)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Header

app = FastAPI()


@app.get("/items/{item_id}")
def read_item(
    item_id: int, user_agent: Annotated[str, Header()], q: str | None = None
) -> dict[str, Any]:
    return {"item_id": item_id, "q": q, "user_agent": user_agent, "in_stock": True}
