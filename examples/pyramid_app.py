"""A Pyramid application whose tasks wait for the transaction of `pyramid_tm`.

`pyramid_tm` commits before the response is sent, and tasks run after that. A transaction that is
aborted may still be answered with a page, so a tween drops its tasks then.
Serve it with any WSGI server: `gunicorn pyramid_app:app`.
"""

import logging

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPPaymentRequired
from pyramid.tweens import EXCVIEW

from wsgibg import current_tasks, wrap
from wsgibg.embedding import drop_tasks

log = logging.getLogger(__name__)


def write_receipt(order_id: int) -> None:
    log.warning("receipt for order %s", order_id)


def pay(request):
    order_id = int(request.matchdict["order_id"])
    current_tasks().add_task(write_receipt, order_id)
    if order_id == 13:
        raise HTTPPaymentRequired("no luck")
    return {"order": order_id, "paid": True}


def unless_aborted(handler, registry):
    """A tween that drops the tasks of a transaction that comes to nothing."""

    def tween(request):
        if request.environ.get("tm.active"):
            transaction = request.tm.get()
            transaction.addAfterAbortHook(drop_tasks, ["its transaction was aborted"])
            transaction.addAfterCommitHook(
                lambda committed: committed or drop_tasks("its transaction could not be committed")
            )
        return handler(request)

    return tween


def make_app(**settings):
    with Configurator(settings=settings) as config:
        config.include("pyramid_tm")
        config.add_tween(
            f"{__name__}.unless_aborted", under="pyramid_tm.tm_tween_factory", over=EXCVIEW
        )
        config.add_route("pay", "/orders/{order_id}/pay", request_method="POST")
        config.add_view(pay, route_name="pay", renderer="json")
        return wrap(config.make_wsgi_app())


app = make_app()
