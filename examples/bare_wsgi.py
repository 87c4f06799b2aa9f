"""A WSGI application without any framework; the environ has the collector.

Serve it with any WSGI server: `gunicorn bare_wsgi:app`.
"""

import logging

from wsgibg import wrap

log = logging.getLogger(__name__)


def write_receipt(order_id: str) -> None:
    log.warning("receipt for order %s", order_id)


def pay(environ, start_response):
    order_id = environ["PATH_INFO"].strip("/")
    environ["wsgibg.tasks"].add_task(write_receipt, order_id)
    body = b"paid\n"
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]


app = wrap(pay)
