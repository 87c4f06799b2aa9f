"""`examples/flask_app.py`, a Flask application whose views leave work for later."""

from __future__ import annotations

import runpy

import pytest

from tests.support import ROOT, client


def test_the_receipt_is_written_after_the_response(caplog):
    """The task finds the application."""
    pytest.importorskip("flask")
    app = runpy.run_path(str(ROOT / "examples" / "flask_app.py"))["app"]

    answer = client(app).post("/orders/7/pay")

    assert answer.json == {"order": 7, "paid": True}
    assert "receipt for order 7" in caplog.text
