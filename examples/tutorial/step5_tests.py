"""Step 5: tests, with Werkzeug's client and a dependency that is replaced.

Run it with `pytest step5_tests.py`.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from step3_dependencies import app, connect, database
from werkzeug.test import Client


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setenv("SHOP_DB", str(tmp_path / "shop.db"))
    return Client(app)


def test_the_mail_goes_out_after_the_commit(client: Client, capsys: pytest.CaptureFixture[str]):
    response = client.post("/orders/ada", buffered=True)

    assert response.json == {"order": 1}
    # buffered=True has closed the response, so the task has run.
    assert capsys.readouterr().out == "mail to ada: order 1 was placed\n"


def test_a_failed_commit_sends_no_mail(client: Client, capsys: pytest.CaptureFixture[str]):
    def broken_database() -> Iterator[sqlite3.Connection]:
        yield connect()
        raise sqlite3.OperationalError("disk is full")

    app.dependency_overrides[database] = broken_database
    client.post("/orders/ada", buffered=True)
    app.dependency_overrides.clear()

    assert capsys.readouterr().out == ""
