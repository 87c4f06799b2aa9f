"""Flask-SQLAlchemy: a task has a session of its own, which is removed after it."""

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from wsgibg import ThreadExecutor, current_tasks
from wsgibg.integrations.flask import BackgroundTasks


class Base(DeclarativeBase):
    """The tables of this application."""


db = SQLAlchemy(model_class=Base)
background = BackgroundTasks(executor=ThreadExecutor())


class Order(db.Model):
    """What a customer wants."""

    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str]
    state: Mapped[str] = mapped_column(default="new")


def ship(order_id: int) -> None:
    order = db.session.get(Order, order_id)
    order.state = "shipped"
    db.session.commit()


def place(item: str):
    order = Order(item=item)
    db.session.add(order)
    db.session.commit()  # before the task: it opens a session of its own
    current_tasks().add_task(ship, order.id)
    return {"order": order.id}


def create_app(url: str = "sqlite:///shop.db") -> Flask:
    app = Flask("shop")
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    db.init_app(app)
    background.init_app(app)
    app.add_url_rule("/orders/<item>", view_func=place, methods=["POST"])
    with app.app_context():
        db.create_all()
    return app
