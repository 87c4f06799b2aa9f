"""Step 1: a handler, whose parameters say what it needs."""

from pydantic import BaseModel

from wsgibg import App

app = App()


class Order(BaseModel):
    """What a customer sends."""

    item: str
    count: int = 1


@app.post("/orders/{customer}")
def place_order(customer: str, order: Order, gift: bool = False) -> dict[str, str]:
    wrapping = " as a gift" if gift else ""
    return {"message": f"{order.count} {order.item} for {customer}{wrapping}"}


if __name__ == "__main__":
    from werkzeug.serving import run_simple

    run_simple("127.0.0.1", 8000, app, threaded=True)
