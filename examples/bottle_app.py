"""A Bottle application whose views leave work for after the response: one line, `wrap`.

Serve it with any WSGI server: `gunicorn bottle_app:app`.
"""

import logging

from bottle import Bottle

from wsgibg import current_tasks, wrap

log = logging.getLogger(__name__)
shop = Bottle()
app = wrap(shop)


def write_receipt(order_id: int) -> None:
    log.warning("receipt for order %s", order_id)


@shop.post("/orders/<order_id:int>/pay")
def pay(order_id: int):
    current_tasks().add_task(write_receipt, order_id)
    return {"order": order_id, "paid": True}
