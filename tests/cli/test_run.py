"""`wsgibg run`, over a real socket."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest
from click.testing import CliRunner

from tests.support import ROOT, free_port, wait_for
from wsgibg.cli import _run
from wsgibg.cli._commands import wsgibg

APP = """
from pathlib import Path
from time import sleep
from wsgibg import App, BackgroundTasks, ThreadExecutor

app = App(executor=ThreadExecutor())

def work():
    Path("started").touch()
    sleep(0.5)
    Path("done").touch()

@app.get("/")
def answer() -> str:
    return "ANSWER"

@app.get("/work")
def accept(tasks: BackgroundTasks) -> None:
    tasks.add_task(work)
"""


class Running:
    """The command, with the module that it serves."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port = free_port()
        words = ["-m", "wsgibg", "run", "dev:app", "--port", str(self.port), *options]
        with (folder / "output").open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *words],
                cwd=folder,
                env={
                    **os.environ,
                    # The reloader looks for changes in everything that can be imported.
                    "PYTHONPATH": str(ROOT),
                    "PYTHONUNBUFFERED": "1",
                    "PYTHONDONTWRITEBYTECODE": "1",
                },
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def write(self, source: str) -> None:
        """Change the module."""
        (self.folder / "dev.py").write_text(source, encoding="utf-8")

    def ask(self, path: str = "/") -> str:
        """What a client is told; nothing, where nobody answers."""
        with suppress(URLError, OSError, HTTPException):
            try:
                with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as response:
                    return response.read().decode()
            except HTTPError as error:
                with error:
                    return error.read().decode()
        return ""

    def said(self) -> str:
        return (self.folder / "output").read_text()


@contextmanager
def running(folder: Path, source: str, *options: str) -> Iterator[Running]:
    (folder / "dev.py").write_text(source, encoding="utf-8")
    server = Running(folder, *options)
    try:
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait(10)


def test_what_is_served_is_said(tmp_path):
    """And where; SIGTERM has the tasks drained."""
    with running(tmp_path, APP, "--no-reload") as server:
        wait_for(lambda: server.ask() == '"ANSWER"', 20)
        first = server.said().splitlines()[0]
        url = f"http://127.0.0.1:{server.port}"
        assert first == f"dev:app (App, 2 routes, tasks in ThreadExecutor) on {url}"

        server.ask("/work")
        wait_for((tmp_path / "started").exists, 5)
        server.process.terminate()
        server.process.wait(20)

    assert (tmp_path / "done").exists()


def test_a_changed_file_is_served_anew(tmp_path):
    """Tasks are waited for; an error is told to clients until it is gone."""
    with running(tmp_path, APP) as server:
        wait_for(lambda: server.ask() == '"ANSWER"', 20)
        server.ask("/work")
        wait_for((tmp_path / "started").exists, 5)
        assert "it starts again when a file changes" in server.said()

        server.write("1 / 0\n")
        wait_for(lambda: "ZeroDivisionError" in server.ask(), 20, "the error is served")
        assert (tmp_path / "done").exists()  # its tasks were waited for
        assert "Waiting for a file to change." in server.said()

        server.write(APP.replace("ANSWER", "CHANGED"))
        wait_for(lambda: server.ask() == '"CHANGED"', 20, "the change is served")


@pytest.mark.parametrize("options", [[], ["--no-reload"]])
def test_a_module_that_is_not_there_is_not_waited_for(options, monkeypatch, tmp_path):
    """No change of a file is likely to bring it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    done = CliRunner().invoke(wsgibg, ["run", "no_such_module.api:app", *options])

    assert done.exit_code == 1
    assert "There is no module 'no_such_module" in done.stderr


@pytest.fixture(name="started")
def _started(monkeypatch):
    """What the server was started with, instead of its start."""
    calls = []
    monkeypatch.setattr(_run, "run_simple", lambda *args, **options: calls.append((args, options)))
    monkeypatch.setattr(_run, "drain_at", lambda signals: None)
    return calls


def test_the_process_that_watches_does_not_import_the_application(started):
    """The one that serves does; it says so, with the address as a browser wants it."""
    target = "tests.cli.patients:foreign"

    done = CliRunner().invoke(wsgibg, ["run", target, "--host", "::1", "--port", "80"])

    assert (done.exit_code, done.stdout) == (0, "")
    ((args, options),) = started
    assert args == ("::1", 80, None)
    assert options["use_reloader"]
    assert options["threaded"]


def test_a_foreign_application_is_served_as_well(started):
    """Its routes and tasks are not known."""
    target = "tests.cli.patients:foreign"

    done = CliRunner().invoke(wsgibg, ["run", target, "--host", "::1", "--no-reload"])

    assert done.stdout == f"{target} (tests.foreign) on http://[::1]:8000\n"


@pytest.mark.parametrize(("name", "said"), [("fine", "2 routes"), ("broken", "ZeroDivisionError")])
def test_the_process_that_serves_waits_for_a_broken_module(
    name, said, started, tmp_path, monkeypatch, client
):
    """The reloader has set a variable in its environment."""
    monkeypatch.setenv("WERKZEUG_RUN_MAIN", "true")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    fine = "from wsgibg import App\napp = App()\nfor path in '/a', '/b': app.get(path)(lambda: 1)\n"
    (tmp_path / "run_fine.py").write_text(fine)
    (tmp_path / "run_broken.py").write_text("1 / 0\n")

    done = CliRunner().invoke(wsgibg, ["run", f"run_{name}:app"])

    assert said in done.output
    ((_, _, app), _) = started[0]
    if name == "broken":
        answered = client(app).get("/")
        assert answered.status_code == 500
        assert "ZeroDivisionError: division by zero" in answered.text
