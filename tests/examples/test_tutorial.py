"""`examples/tutorial/`: each step does what the text beside it says."""

from __future__ import annotations

import logging
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT, client

TUTORIAL = ROOT / "examples" / "tutorial"


def app_of(step: str):
    """The application of a step, in a module of its own."""
    return runpy.run_path(str(TUTORIAL / step))["app"]


def test_step_1_reads_its_parameters():
    """From the path, the query and the body; what is wrong is answered with 422."""
    browser = client(app_of("step1_handler.py"))

    placed = browser.post("/orders/ada?gift=true", json={"item": "tea", "count": 2})
    wrong = browser.post("/orders/ada", json={"count": "many"})

    assert placed.json == {"message": "2 tea for ada as a gift"}
    assert wrong.status_code == 422
    assert [error["loc"] for error in wrong.json["detail"]] == [["body", "item"], ["body", "count"]]


def test_step_2_leaves_work_for_later(capsys):
    """The task runs in a thread of the pool, which is drained."""
    app = app_of("step2_task.py")
    answer = client(app).post("/orders/ada")

    assert answer.json == {"message": "accepted"}
    assert app.shutdown() == []
    assert capsys.readouterr().out == "mail to ada: your order\n"


def test_step_3_commits_before_the_task(tmp_path, monkeypatch, capsys):
    """The task finds the order with a connection of its own."""
    monkeypatch.setenv("SHOP_DB", str(tmp_path / "shop.db"))

    client(app_of("step3_dependencies.py")).post("/orders/ada")

    assert capsys.readouterr().out == "mail to ada: order 1 was placed\n"


@pytest.mark.parametrize(
    ("item", "status", "told"),
    [
        (
            "tea",
            200,
            ["audit: ada orders tea", "audit succeeded", "send_mail failed", "reserved tea"],
        ),
        ("unicorn", 404, ["send_mail dropped", "reserve dropped", "audit: ada orders unicorn"]),
    ],
)
def test_step_4_tells_what_became_of_each_task(caplog, item, status, told):
    """A failing task stops no other; a failed request drops all but the audit."""
    caplog.set_level(logging.INFO, logger="shop")

    answer = client(app_of("step4_failures.py")).post(f"/orders/ada/{item}")

    assert answer.status_code == status
    lines = [re.sub(r"\S+\.(?=\w+ )", "", m) for n, _, m in caplog.record_tuples if n == "shop"]
    assert lines[: len(told)] == told


def test_step_5_passes(tmp_path):
    """The tests that the tutorial ends with are run as a user runs them."""
    options = ["-q", "-c", "/dev/null", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(TUTORIAL / "step5_tests.py")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": str(Path(sys.executable).parent)},
        cwd=tmp_path,
    )

    assert "2 passed" in run.stdout, run.stdout + run.stderr
