"""`examples/bare_wsgi.py`, an application without any framework."""

from __future__ import annotations

import runpy

from tests.support import ROOT, client


def test_the_receipt_is_written_after_the_response(caplog):
    """The environ has the collector."""
    app = runpy.run_path(str(ROOT / "examples" / "bare_wsgi.py"))["app"]

    assert client(app).get("/7").data == b"paid\n"

    assert "receipt for order 7" in caplog.text
