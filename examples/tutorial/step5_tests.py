"""Step 5: tests, with a client that waits for the tasks and a dependency that is replaced.

Run it with `pytest step5_tests.py`.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from step3_dependencies import app, connect, database

from wsgibg.testing import TestClient


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setenv("SHOP_DB", str(tmp_path / "shop.db"))
    return TestClient(app)


def test_the_mail_goes_out_after_the_commit(client: TestClient, capsys: pytest.CaptureFixture[str]):
    response = client.post("/orders/ada")

    assert response.json() == {"order": 1}
    # The task has run when the call returns.
    assert capsys.readouterr().out == "mail to ada: order 1 was placed\n"


def test_a_failed_commit_sends_no_mail(client: TestClient, capsys: pytest.CaptureFixture[str]):
    def broken_database() -> Iterator[sqlite3.Connection]:
        yield connect()
        raise sqlite3.OperationalError("disk is full")

    app.dependency_overrides[database] = broken_database
    with pytest.raises(sqlite3.OperationalError, match="disk is full"):
        client.post("/orders/ada")
    app.dependency_overrides.clear()

    assert capsys.readouterr().out == ""
