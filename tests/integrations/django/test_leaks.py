"""Five hundred requests with a task each leave nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.integrations.django import leaks
from tests.support import ROOT
from wsgibg import ThreadExecutor


def report_of(url, executor):
    run = subprocess.run(
        [sys.executable, "-m", leaks.__name__, url, executor],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert run.stderr == ""
    return json.loads(run.stdout)


@pytest.mark.parametrize(
    ("database", "executor"),
    [
        ("sqlite", "wsgibg.InlineExecutor"),
        ("postgresql", "wsgibg.InlineExecutor"),
        ("postgresql", "wsgibg.ThreadExecutor"),
    ],
)
def test_nothing_is_left(tmp_path, request, database, executor):
    """No connection, no object and no context of a request, and no thread but the pool's own."""
    if database == "postgresql":
        pytest.importorskip("psycopg")
        url = request.getfixturevalue("postgres")
    else:
        url = str(tmp_path / "db.sqlite3")

    report = report_of(url, executor)

    threads = report.pop("threads")
    expected = leaks.REQUESTS + leaks.THREADS
    assert report == {
        "answers": expected,
        "well": expected,
        "left": 0,
        "rows": expected,
        "connections": 0,
        "more": {},
    }
    assert threads <= (ThreadExecutor().workers if "Thread" in executor else 0)
