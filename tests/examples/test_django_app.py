"""`examples/django_app.py`, a Django project in one file."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support import ROOT

# Django can be configured once in a process, so this takes one of its own.
PROGRAM = """
import sys
sys.path.insert(0, "examples")
import django_app
from tests.support import client
print(client(django_app.application).post("/orders/7/pay").text)
"""


def test_the_receipt_is_written_after_the_response():
    """The task runs when the response is closed."""
    pytest.importorskip("django")

    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )

    assert run.stdout == 'receipt for order 7\n{"order": 7, "paid": true}\n', run.stderr
