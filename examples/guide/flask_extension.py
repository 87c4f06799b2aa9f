"""The programs of the guide to Flask."""

# ruff: noqa: ANN001, ARG001
from __future__ import annotations

from flask import Flask, abort, current_app, g

from wsgibg import Depends, ThreadExecutor, current_tasks, task
from wsgibg.integrations.flask import BackgroundTasks, current_request

lines: list[str] = []


# --8<-- [start:factory]
background = BackgroundTasks(executor=ThreadExecutor())


@background.tasks.on_task
def note(event) -> None:
    if event.kind == "failed":
        lines.append(f"failed: {event.task.name}")


def create_app() -> Flask:
    app = Flask("shop")
    background.init_app(app)
    app.add_url_rule("/orders/<int:order_id>/pay", view_func=pay, methods=["POST"])
    return app


def pay(order_id: int):
    current_tasks().add_task(write_receipt, order_id)
    return {"order": order_id, "paid": True}


def write_receipt(order_id: int) -> None:
    lines.append(f"receipt of {current_app.name} for order {order_id}")


# --8<-- [end:factory]


# --8<-- [start:snapshot]
shop = Flask("shop")
BackgroundTasks(shop, request_snapshot=True, user_id=lambda: g.get("user_id"))


@shop.before_request
def sign_in() -> None:
    g.user_id = 7


def audit(action: str) -> None:
    request = current_request()
    agent = request.headers.get("User-Agent")
    lines.append(f"{request.method} {request.path}: user {request.user_id} with {agent}: {action}")


@shop.delete("/orders/<int:order_id>")
def delete(order_id: int):
    current_tasks().add_task(audit, f"order {order_id} was deleted")
    return {"deleted": order_id}


# --8<-- [end:snapshot]


# --8<-- [start:failing]
@task(when="error")
def tell_of_refusal(order_id: int) -> None:
    lines.append(f"order {order_id} was refused")


@shop.get("/orders/<int:order_id>")
def read(order_id: int):
    current_tasks().add_task(lines.append, f"order {order_id} was read")
    current_tasks().add_task(tell_of_refusal, order_id)
    if order_id == 13:
        abort(403)
    return {"order": order_id}


@shop.errorhandler(403)
def forbidden(error):
    current_tasks().add_task(lines.append, "the page for refusals was sent")
    return "no", 403


# --8<-- [end:failing]


# --8<-- [start:call]
def prices() -> dict[str, int]:
    return {"tea": 3}


def reprice(item: str, found: dict[str, int] = Depends(prices)) -> int:
    current_tasks().add_task(lines.append, f"{current_app.name} has a new price for {item}")
    return found[item] + 1


def nightly() -> int:
    return shop.extensions["wsgibg"].call(reprice, "tea")


# --8<-- [end:call]
