"""Step 3: a dependency that commits, before the tasks run."""

import os
import sqlite3
from collections.abc import Iterator
from typing import Annotated

from wsgibg import App, BackgroundTasks, Depends

app = App()


def connect() -> sqlite3.Connection:
    connection = sqlite3.connect(os.environ.get("SHOP_DB", "shop.db"))
    connection.execute("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, customer TEXT)")
    return connection


def database() -> Iterator[sqlite3.Connection]:
    connection = connect()
    try:
        yield connection
        connection.commit()  # only if the request did not fail
    finally:
        connection.close()


Database = Annotated[sqlite3.Connection, Depends(database)]


def send_mail(order_id: int) -> None:
    connection = connect()  # the request's own connection is closed by now
    query = "SELECT customer FROM orders WHERE id = ?"
    customer = connection.execute(query, (order_id,)).fetchone()[0]
    connection.close()
    print(f"mail to {customer}: order {order_id} was placed", flush=True)


@app.post("/orders/{customer}")
def place_order(customer: str, db: Database, background_tasks: BackgroundTasks) -> dict[str, int]:
    order_id = db.execute("INSERT INTO orders (customer) VALUES (?)", (customer,)).lastrowid
    background_tasks.add_task(send_mail, order_id)
    return {"order": order_id}


if __name__ == "__main__":
    from werkzeug.serving import run_simple

    run_simple("127.0.0.1", 8000, app, threaded=True)
