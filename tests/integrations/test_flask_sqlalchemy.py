"""Flask-SQLAlchemy: sessions of tasks are removed, and nothing is left of 500 requests."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tests.support import client, wait_for
from wsgibg import InlineExecutor, ThreadExecutor, current_tasks
from wsgibg.integrations.flask import BackgroundTasks

REQUESTS, CLIENTS = 500, 3
#: A process has it from the first task on.
ONCE = {"wsgibg-end"}
POOL = {"pool_size": 8, "max_overflow": 0, "pool_timeout": 10}


class Shop:
    """An application with one table, whose view and whose task each write a row."""

    def __init__(self, url: str, executor: InlineExecutor | ThreadExecutor) -> None:
        class Base(DeclarativeBase):
            pass

        self.db = SQLAlchemy(model_class=Base)

        class Line(self.db.Model):
            id: Mapped[int] = mapped_column(primary_key=True)
            word: Mapped[str]

        self.line = Line
        self.app = Flask("shop")
        self.app.config["SQLALCHEMY_DATABASE_URI"] = url
        self.app.config["SQLALCHEMY_ENGINE_OPTIONS"] = dict(POOL)
        self.db.init_app(self.app)
        self.background = BackgroundTasks(self.app, executor=executor)
        self.app.add_url_rule("/<int:number>", "write", self.write)
        with self.app.app_context():
            if url.startswith("sqlite"):
                event.listen(self.db.engine, "connect", make_quick)
            self.db.create_all()

    def write(self, number: int) -> str:
        line = self.line(word="view")
        self.db.session.add(line)
        self.db.session.commit()
        current_tasks().add_task(self.task, line.id, fails=number % 5 == 0)
        self.db.session.get(self.line, line.id)  # in a transaction again
        return "done"

    def task(self, number: int, *, fails: bool) -> None:
        assert self.db.session.get(self.line, number) is not None
        self.db.session.add(self.line(word="task"))
        if fails:
            self.db.session.flush()
            raise LookupError("its transaction is left open")
        self.db.session.commit()

    def words(self) -> int:
        with self.app.app_context():
            return self.db.session.scalar(select(func.count()).select_from(self.line)) or 0

    def checked_out(self) -> int:
        with self.app.app_context():
            return self.db.engine.pool.checkedout()

    def sessions(self) -> int:
        return len(self.db.session.registry.registry)


def make_quick(connection: Any, _: object) -> None:
    """Have a file of SQLite be written without waiting for the disk."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture(name="url", params=["sqlite", "postgres"])
def _url(request, tmp_path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shop.db'}"
    url: str = request.getfixturevalue("postgres")
    return url.replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture(name="shop", params=[InlineExecutor, ThreadExecutor])
def _shop(request, url) -> Iterator[Shop]:
    shop = Shop(url, request.param())
    yield shop
    with shop.app.app_context():
        shop.db.drop_all()
        shop.db.engine.dispose()


def contexts() -> int:
    """How many contexts of Flask are alive."""
    gc.collect()
    kinds = ("AppContext", "RequestContext")
    return sum(type(each).__name__ in kinds for each in gc.get_objects())


def test_nothing_is_left_of_500_requests(shop, caplog):
    """No connection, no session, no context, no thread; also where a task fails."""
    caplog.set_level("CRITICAL", "wsgibg.background")
    threads = set(threading.enumerate())
    numbers = count()

    def ask(_: object = None) -> None:
        assert client(shop.app).get(f"/{next(numbers)}").text == "done"

    def ask_often(times: int) -> None:
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(ask, range(times)))
        assert shop.background.drain() == []

    ask_often(20)
    before = contexts()
    ask_often(REQUESTS - 20)

    assert shop.words() == REQUESTS + REQUESTS * 4 // 5
    assert shop.checked_out() == 0
    assert shop.sessions() == 0
    assert contexts() <= before
    assert shop.background.shutdown() == []
    wait_for(lambda: {each.name for each in set(threading.enumerate()) - threads} <= ONCE)
