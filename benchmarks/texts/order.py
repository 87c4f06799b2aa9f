"""W4 in FastAPI's spelling."""

from __future__ import annotations

from fastapi import FastAPI

from benchmarks.domain import Order, Receipt, bill

app = FastAPI()


@app.post("/orders")
def place_order(order: Order) -> Receipt:
    return bill(order)
