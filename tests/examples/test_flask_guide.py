"""The programs of the guide to Flask do what the guide says."""

from __future__ import annotations

import runpy
from types import SimpleNamespace

import pytest

from tests.support import ROOT, client

pytest.importorskip("flask")


def guide(name: str) -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(ROOT / "examples" / "guide" / name)))


@pytest.fixture(name="module")
def _module() -> SimpleNamespace:
    return guide("flask_extension.py")


def test_a_factory(module):
    """One extension, made before its application."""
    app = module.create_app()

    assert client(app).post("/orders/7/pay").json == {"order": 7, "paid": True}
    assert module.background.drain() == []

    assert module.lines == ["receipt of shop for order 7"]


def test_a_snapshot(module):
    """A task knows of its request, and who is signed in."""
    client(module.shop).delete("/orders/7", headers={"User-Agent": "browser"})

    assert module.lines == ["DELETE /orders/7: user 7 with browser: order 7 was deleted"]


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (7, ["order 7 was read"]),
        (13, ["order 13 was refused", "the page for refusals was sent"]),
    ],
)
def test_a_view_that_fails(module, number, told):
    """Its tasks are dropped, but for those that wait for that; the page has its own."""
    client(module.shop).get(f"/orders/{number}")

    assert module.lines == told


def test_a_script(module):
    """A call resolves dependencies, and its tasks run after it."""
    assert module.nightly() == 4
    assert module.lines == ["shop has a new price for tea"]


def test_a_database(tmp_path):
    """The task finds what the view has committed."""
    pytest.importorskip("flask_sqlalchemy")
    module = guide("flask_database.py")
    app = module.create_app(f"sqlite:///{tmp_path / 'shop.db'}")

    assert client(app).post("/orders/tea").json == {"order": 1}
    assert module.background.drain() == []

    with app.app_context():
        assert module.db.session.get(module.Order, 1).state == "shipped"
        module.db.engine.dispose()
