"""`examples/pyramid_app.py`; what becomes of its tasks is in `tests/integrations`."""

from __future__ import annotations

from tests.integrations.programs import example
from tests.support import client


def test_the_receipt_is_written_after_the_response(monkeypatch, caplog):
    """The transaction was committed."""
    app = example("pyramid_app", monkeypatch).app

    answer = client(app).post("/orders/7/pay")

    assert answer.json == {"order": 7, "paid": True}
    assert "receipt for order 7" in caplog.text


def test_nothing_is_written_of_an_aborted_transaction(monkeypatch, caplog):
    """Though Pyramid has made a page of the error."""
    app = example("pyramid_app", monkeypatch).app

    assert client(app).post("/orders/13/pay").status_code == 402

    assert "receipt for order" not in caplog.text
    assert "was dropped: its transaction was aborted" in caplog.text
