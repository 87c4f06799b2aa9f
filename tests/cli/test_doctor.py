"""The doctor's visit to a real server, and to servers that cannot be visited.

Werkzeug's is the server that is always there; tests/servers has others.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from tests.support import ROOT, free_port, wait_for
from wsgibg.cli._commands import wsgibg
from wsgibg.cli._doctor import _served, _stops, _waits
from wsgibg.cli._doctor._command import understand
from wsgibg.cli._doctor._contract import FOLDER, PREFIX, TARGET
from wsgibg.cli._doctor._served import CannotRun, Marks, serve
from wsgibg.cli._load import load_any
from wsgibg.cli._probe import make

PATIENTS = "tests.cli.patients"


def visit(name: str, *words: str) -> Result:
    """What the command says of one of the patients."""
    return CliRunner().invoke(
        wsgibg,
        ["doctor", f"{PATIENTS}:{name}", "--seconds", "0.15", *words],
        env={"COLUMNS": "80"},
    )


# --- a real server -------------------------------------------------------------------------


def test_an_application_that_loses_tasks_is_told_so():
    """Werkzeug's server dies of SIGTERM; otherwise there is nothing that a client waits for."""
    done = visit("app", "--server", "werkzeug", "--json")

    found = json.loads(done.stdout)
    assert done.exit_code == 1
    assert found["closes"]
    assert found["executor"] == "inline"
    for mode in ("inline", "pool"):
        verdicts = {kind: wait["verdict"] for kind, wait in found["waits"][mode].items()}
        assert verdicts.pop("next") == "closed"
        assert set(verdicts.values()) == {"at once"}
        assert found["signals"]["TERM"][mode]["tasks"] == ["lost"] * 3
    assert [each["remedy"] for each in found["findings"]] == [["app.install_signal_handlers()"]]


def test_an_application_that_is_well_is_told_so():
    """A function makes it, and has it handle SIGTERM."""
    done = visit("make()", "--server", "werkzeug")

    assert done.exit_code == 0, done.output
    assert "inline (yours)" in done.stdout
    assert done.stdout.count("all done") == 2
    assert "Nothing to change." in done.stdout


# --- a server with bad habits --------------------------------------------------------------


@pytest.fixture(name="odd", scope="module")
def _odd(tmp_path_factory):
    """It runs the application whose executor runs nothing, and has both of ours besides."""
    command = understand("x", f"{sys.executable} -m tests.cli.odd_server {{app}} {{port}}")
    with serve(command, f"{PATIENTS}:own", tmp_path_factory.mktemp("odd")) as served:
        yield served


def ask(served, mode: str, *, patient: bool = True) -> dict[str, str]:
    """The verdict on each kind of response."""
    base = dict.fromkeys((kind.name for kind in _waits.KINDS), _waits.Wait("at once", 0.0))
    found = _waits.Asking(served, mode, 0.15, base, patient).waits(lambda what: None)
    return {kind: wait.verdict for kind, wait in found.items()}


def test_connections_that_break_are_told_apart(odd):
    """It matters whether that happens at once, or when the task ends."""
    inline, pool = ask(odd, "inline"), ask(odd, "pool", patient=False)

    assert (inline["next"], pool["next"]) == ("reset", "closed")
    assert inline["file"] == pool["file"] == "error: RemoteDisconnected"
    assert inline["whole"] == pool["whole"] == "at once"


def test_an_executor_that_runs_nothing_is_found(odd, monkeypatch):
    """Each kind is asked for, and none is waited for in vain but the first."""
    monkeypatch.setattr(_waits, "PATIENCE", 0.2)

    found = ask(odd, "own")

    assert found.pop("file").startswith("error")
    assert set(found.values()) == {"never runs"}


@pytest.mark.parametrize("mode", ["inline", "own"])
def test_a_server_that_takes_no_tasks_cannot_be_stopped_with_them(mode, odd, monkeypatch):
    """Its request is not answered, or no task starts."""
    monkeypatch.setattr(_stops, "PATIENCE", 0.2)
    if mode == "inline":
        monkeypatch.setattr(odd, "port", free_port())

    with pytest.raises(CannotRun, match=mode):
        _stops.send(odd, mode, signal.SIGTERM, 0.1)


def test_a_server_that_ignores_sigterm_runs_on(odd, monkeypatch):
    """Its tasks are done all the same."""
    monkeypatch.setattr(_stops, "END", 0.2)

    fate = _stops.send(odd, "pool", signal.SIGTERM, 0.1)

    assert (fate.tasks, fate.ended, fate.serves) == (("done",) * 3, False, True)


# --- servers that cannot be visited --------------------------------------------------------


def test_an_application_that_cannot_be_imported_is_told_apart():
    """Its own traceback is shown, and nothing else of what the server says."""
    done = visit("fail()", "--server", "werkzeug")

    assert done.exit_code == 2
    assert "werkzeug was started, and could not load the application." in done.stderr
    assert "ValueError: no settings" in done.stderr
    assert "_probe.py" not in done.stderr


def test_what_a_server_says_that_does_not_start_is_shown():
    """With the command."""
    done = visit("app", "--server", f"{sys.executable} -c 'no python' {{app}} {{port}}")

    assert done.exit_code == 2
    assert "ended with status 1 before it answered" in done.stderr
    assert "SyntaxError: invalid syntax" in done.stderr
    assert "Are the server's options right?" in done.stderr


def test_a_server_that_never_answers_is_left_at_a_deadline(monkeypatch):
    """It is ended, of course."""
    monkeypatch.setattr(_served, "START", 0.3)

    sleeper = f"{sys.executable} -c 'import time; time.sleep(60)' {{app}} {{port}}"
    done = visit("app", "--server", sleeper)
    assert done.exit_code == 2
    assert "did not answer within 0.3 s" in done.stderr
    assert "(nothing)" in done.stderr


def test_a_server_that_is_not_installed_is_named():
    """And what to do about it."""
    done = visit("app", "--server", "no-such-server {app} {port}")

    assert done.exit_code == 2
    assert "There is no program 'no-such-server'. Install the server" in done.stderr


def test_a_server_that_answers_something_else_is_not_taken_for_ours(monkeypatch):
    """The prefix of the probe's routes cannot be guessed."""
    monkeypatch.setattr(_served, "START", 1.0)

    done = visit("app", "--server", f"{sys.executable} -m http.server {{port}} -d {{app}}")

    assert done.exit_code == 2
    assert "did not answer within" in done.stderr


def test_without_signals_there_is_no_visit(monkeypatch):
    """Windows has none."""
    monkeypatch.delattr(os, "killpg")

    done = visit("app", "--server", "werkzeug")

    assert done.exit_code == 2
    assert "needs a POSIX system" in done.stderr


@pytest.mark.parametrize("words", [["app"], ["app", "--server", "nothing"], ["", "--server", "x"]])
def test_a_wrong_command_line_is_refused(words):
    """Before anything is started."""
    assert visit(*words).exit_code == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_doctor_that_is_interrupted_leaves_no_server(number, tmp_path):
    """Whatever interrupts it."""
    command = ["-m", "wsgibg", "doctor", f"{PATIENTS}:known()", "--server", "werkzeug"]
    doctor = subprocess.Popen(
        [sys.executable, *command, "--seconds", "60"],
        cwd=ROOT,
        env={**os.environ, "PATIENTS_FOLDER": str(tmp_path), "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), 20)
        wait_for(lambda: starts(tmp_path), 20, "the first task has started")
        doctor.send_signal(number)
        assert doctor.wait(20) != 0
    finally:
        doctor.kill()
        doctor.wait()

    server = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(server, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["pid"]


def starts(folder: Path) -> bool:
    """Whether a task has started in the server."""
    return any("starts" in path.read_text() for path in folder.glob("*/marks"))


# --- the probe -----------------------------------------------------------------------------


def probe(name: str, folder: Path):
    return make({TARGET: f"{PATIENTS}:{name}", FOLDER: str(folder), PREFIX: "/secret"})


def facts(client, app):
    return client(app).get("/secret/ready").json


def test_why_an_application_cannot_be_imported_is_left_in_a_file(tmp_path):
    """Servers print it among much else, or try again and again."""
    with pytest.raises(click.ClickException):
        probe("fail()", tmp_path)

    assert "ValueError: no settings" in (tmp_path / "failure").read_text()


def test_the_users_application_is_served_as_before(client, tmp_path):
    """Only what begins with the prefix is the probe's."""
    app = probe("foreign", tmp_path)

    assert client(app).get("/").data == b"foreign"
    assert client(app).get("/secret/pool/whole").json == {"message": "accepted"}
    assert Marks(tmp_path).lines() == []


@pytest.mark.parametrize(
    ("name", "executor", "modes"),
    [
        ("app", "InlineExecutor", ["inline", "pool"]),
        ("pooled", "ThreadExecutor", ["inline", "pool"]),
        ("own", "Own", ["inline", "pool", "own"]),
        ("queued", "Queue", ["inline", "pool"]),
        ("foreign", None, ["inline", "pool"]),
        ("wrapped", "InlineExecutor", ["inline", "pool"]),
    ],
)
def test_the_executor_of_the_application_is_found(name, executor, modes, client, tmp_path):
    """A durable one is not measured: nothing is put into the user's queue."""
    found = facts(client, probe(name, tmp_path))

    assert (found["executor"], found["modes"]) == (executor, modes)
    assert found["durable"] is (name == "queued")


def test_an_application_that_is_served_by_an_attribute_stays_what_it_is(client, tmp_path):
    """`flask run` wants a Flask object."""
    app = probe("framework", tmp_path)
    try:
        assert app is load_any(f"{PATIENTS}:framework")
        assert client(app).get("/").data == b"foreign"
        found = facts(client, app)
        assert found["way"] == "wsgi_app"
        assert found["kind"] == "tests.Framework, wrapped"
    finally:
        app.wsgi_app = app.wsgi_app.user


def test_tasks_leave_marks_at_their_ends_and_when_they_are_given_up(client, tmp_path):
    """Each says of which request it is, and its number in it."""
    marks = Marks(tmp_path)
    app = probe("app", tmp_path)

    client(app).get("/secret/inline/whole?label=a&count=2")
    assert marks.of("a") == {0: ["starts", "ends"], 1: ["starts", "ends"]}
    assert marks.worker("a") == os.getpid()
    assert marks.count("a", "ends") == 2
    assert marks.worker("b") is None

    client(app).get("/secret/inline/whole?label=b&count=1&seconds=-1")
    assert marks.of("b") == {0: ["starts", "failed"]}


@pytest.mark.parametrize(
    ("path", "status"),
    [("whole", 200), ("stream", 200), ("file", 200), ("no-content", 204), ("empty", 200)],
)
def test_every_kind_of_response_can_be_asked_for(path, status, client, tmp_path):
    """With tasks, and without."""
    answered = client(probe("app", tmp_path)).get(f"/secret/inline/{path}")

    assert answered.status_code == status
    assert ("Content-Length" in answered.headers) is (path not in ("stream", "no-content"))
