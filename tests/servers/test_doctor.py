"""`wsgibg doctor` at servers whose answers the tables of the manual have."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from tests.servers.setups import KINDS, setup_named
from tests.support import ROOT
from wsgibg.cli._commands import wsgibg

#: What the set-ups call the kinds of answers.
NAMES = dict(
    zip(
        KINDS,
        ("whole", "stream", "head", "no-content", "empty", "old-whole", "old-stream"),
        strict=True,
    )
)
CONFIG = ROOT / "examples" / "gunicorn" / "gunicorn.conf.py"


def visit(name: str, app: str, *words: str) -> tuple[int, dict[str, Any]]:
    setup_named(name).require()
    done = CliRunner().invoke(
        wsgibg,
        ["doctor", f"tests.cli.patients:{app}", "--seconds", "0.15", "--json", *words],
    )
    assert done.exit_code in (0, 1), done.stderr
    return done.exit_code, json.loads(done.stdout)


def verdicts(found: dict[str, Any], mode: str) -> dict[str, str]:
    return {kind: wait["verdict"] for kind, wait in found["waits"][mode].items()}


@pytest.mark.parametrize(
    ("name", "words", "following"),
    [
        ("gunicorn-gthread", ["gunicorn", "-k", "gthread", "--threads=2", "-c", CONFIG], "waits"),
        ("waitress", ["waitress-serve", "--threads", "2"], "waits"),
    ],
    ids=["gunicorn-gthread", "waitress"],
)
def test_the_doctor_agrees_with_the_tables(name, words, following):
    """What waits inline is what the tests of servers know to wait; in the pool nothing does."""
    status, found = visit(name, "app", "--server", *map(str, words))

    setup = setup_named(name)
    expected = {NAMES[kind]: "at once" if kind in setup.early else "waits" for kind in KINDS} | {
        "file": "at once",
        "next": following,
        "other": "at once",
    }
    assert verdicts(found, "inline") == expected
    assert set(verdicts(found, "pool").values()) == {"at once"}
    assert status == 1
    assert "App(executor=ThreadExecutor())" in str(found["findings"])
    if name == "waitress":
        assert "install_signal_handlers" in str(found["findings"])
        assert "HUP" not in found["signals"]
    else:
        assert found["facts"]["integration"]
        for fates in found["signals"].values():
            assert all(fate["tasks"] == ["done"] * 3 for fate in fates.values())
        assert found["signals"]["HUP"]["inline"]["serves"]
        assert found["signals"]["TERM"]["inline"]["ended"]
