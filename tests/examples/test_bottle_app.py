"""`examples/bottle_app.py`, a Bottle application whose views leave work for later."""

from __future__ import annotations

import runpy

import pytest

from tests.support import ROOT, client


def test_the_receipt_is_written_after_the_response(caplog):
    """One line around the application."""
    pytest.importorskip("bottle")
    app = runpy.run_path(str(ROOT / "examples" / "bottle_app.py"))["app"]

    answer = client(app).post("/orders/7/pay")

    assert answer.json == {"order": 7, "paid": True}
    assert "receipt for order 7" in caplog.text
