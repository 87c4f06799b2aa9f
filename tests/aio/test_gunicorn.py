"""A real gunicorn whose worker times out while it waits for a coroutine."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.aio.support import ROOT
from tests.support import free_port, wait_for

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("gunicorn") is None, reason="gunicorn is not installed here"
)

APPLICATION = """
    import asyncio, logging, os
    from contextvars import Context
    from wsgibg._aio import lend, run

    logging.basicConfig()

    async def forever():
        try:
            await asyncio.sleep(60)
        finally:
            logging.error("finally ran")

    async def pid():
        return os.getpid()

    # The master starts a loop before it forks the workers, which must not use it.
    run(pid(), Context())

    def application(environ, start_response):
        if environ["PATH_INFO"] == "/hang":
            run(forever(), Context())
        numbers = [run(pid(), Context()), lend(pid())]
        start_response("200 OK", [])
        return [str(numbers).encode()]
"""


@pytest.fixture(name="server")
def _server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a gunicorn with one preloaded sync worker, and its log."""
    (tmp_path / "app.py").write_text(dedent(APPLICATION), encoding="utf-8")
    log, port = tmp_path / "log", free_port()
    options = ["--preload", "--timeout", "2", "--workers", "1", "--bind", f"127.0.0.1:{port}"]
    with log.open("wb") as file:
        gunicorn = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *options, "app:application"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=file,
        )
        try:
            wait_for(lambda: "Booting worker" in log.read_text(), 15, "gunicorn's start")
            yield f"http://127.0.0.1:{port}", log
            gunicorn.terminate()
            assert gunicorn.wait(10) == 0
        finally:
            gunicorn.kill()
            gunicorn.wait()


def get(address: str) -> str:
    with urllib.request.urlopen(address, timeout=20) as answer:
        return answer.read().decode()


def test_a_worker_s_timeout_cancels_the_coroutine_and_is_logged(server):
    """The worker ends in time, the next one serves, and a forked worker has a loop of its own."""
    address, log = server
    first = get(address)
    assert len(set(re.findall(r"\d+", first))) == 1

    # The answer is gunicorn's 500, or none: that is gunicorn's affair.
    with pytest.raises((urllib.error.HTTPError, OSError)):
        get(f"{address}/hang")

    wait_for(lambda: log.read_text().count("Booting worker") == 2, 15, "the next worker")
    assert get(address) != first
    text = log.read_text()
    assert "interrupted the wait for forever()" in text
    assert "which was cancelled" in text
    assert "finally ran" in text
