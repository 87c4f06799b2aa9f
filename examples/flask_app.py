"""A Flask application whose views leave work for after the response: one line, `BackgroundTasks`.

Serve it with `flask --app flask_app run`, or with any other WSGI server.
"""

from flask import Flask, current_app

from wsgibg import current_tasks
from wsgibg.integrations.flask import BackgroundTasks

app = Flask(__name__)
BackgroundTasks(app)


def write_receipt(order_id: int) -> None:
    current_app.logger.warning("receipt for order %s", order_id)


@app.post("/orders/<int:order_id>/pay")
def pay(order_id: int):
    current_tasks().add_task(write_receipt, order_id)
    return {"order": order_id, "paid": True}
