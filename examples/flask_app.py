"""A Flask application whose views leave work for after the response: one line, `wrap`.

Serve it with `flask --app flask_app run`, or with any other WSGI server.
"""

from flask import Flask

from wsgibg import current_tasks, wrap

app = Flask(__name__)
app.wsgi_app = wrap(app.wsgi_app)


def write_receipt(order_id: int) -> None:
    with app.app_context():  # the view's context has ended: a task enters its own
        app.logger.warning("receipt for order %s", order_id)


@app.post("/orders/<int:order_id>/pay")
def pay(order_id: int):
    current_tasks().add_task(write_receipt, order_id)
    return {"order": order_id, "paid": True}
