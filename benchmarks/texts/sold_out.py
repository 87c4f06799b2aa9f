"""W8's HTTP error in FastAPI's spelling."""

from __future__ import annotations

from fastapi import FastAPI, HTTPException

app = FastAPI()


@app.get("/sold-out")
def sold_out() -> None:
    raise HTTPException(status_code=409, detail="Sold out")
