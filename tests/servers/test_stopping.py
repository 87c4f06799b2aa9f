"""A server that stops: each task that a client was told of is done, or reported."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.servers.harness import PATIENCE, serving
from tests.servers.matrix import ALL, CASES, CONFIG, RAW, cells, run
from tests.servers.setups import setup_named
from tests.support import ROOT, wait_for

# One fast case of every kind; `tox -e matrix` runs all of `cells()`.
FAST = {
    *((name, "TERM", "inline") for name in ALL),
    *((name, "TERM", "pool") for name in (*RAW, "mod_wsgi")),
    ("werkzeug-threaded", "INT", "inline"),
    ("werkzeug-single", "INT", "inline"),
    ("waitress", "TERM, drain_timeout=0.2", "pool"),
    ("gunicorn-gevent", "TERM", "pool"),
    ("gunicorn-gthread", "INT", "inline"),
    ("gunicorn-gevent", "QUIT", "inline"),
    ("granian", "HUP", "inline"),
    ("gunicorn-gthread", "--max-requests, --timeout 2", "pool"),
    ("gunicorn-gevent", "HUP, --timeout 2", "pool"),
    ("gunicorn-sync", "--timeout 2", "inline"),
    ("gunicorn-sync", "--graceful-timeout 1", "inline"),
    ("gunicorn-gthread", "--graceful-timeout 1", "pool"),
    ("gunicorn-gevent", "--graceful-timeout 1", "inline"),
}
#: Cells in which tasks take longer than the server waits for them.
CUT = ("--graceful-timeout 1", "TERM, drain_timeout=0.2")
#: Where the server itself raises an exception in the running task.
RAISED = {
    ("werkzeug-single", "INT", "inline"),
    ("gunicorn-sync", "--timeout 2", "inline"),
}


@pytest.mark.parametrize(
    ("name", "case", "executor"),
    [
        pytest.param(name, case, executor, id=f"{name}-{case}-{executor}")
        for name, case, executor in cells()
        if (name, case.name, executor) in FAST
    ],
)
def test_each_task_is_done_or_reported(name, case, executor, tmp_path: Path):
    """No task that was reported as lost is run, and none is run twice."""
    setup_named(name).require()

    found = run(name, case, executor, tmp_path)

    assert found.accepted
    assert not found.missing, found
    assert not found.wrong, found
    if case.name in CUT or (name, case.name, executor) in RAISED:
        assert found.reported, found
    else:
        assert found.done == found.accepted, found


def test_every_fast_case_is_one_of_the_table():
    """A name that is misspelt here would test nothing."""
    assert {(name, case.name, executor) for name, case, executor in cells()} >= FAST
    assert {case.name for case in CASES} >= set(CUT)


@pytest.mark.parametrize("name", ["waitress", "bjoern"])
def test_the_process_ends_as_the_signal_would_have_ended_it(name: str, tmp_path: Path):
    """With the same status, also where nothing had to be done."""
    setup = setup_named(name)
    setup.require()
    with serving(setup, "stopping:app", tmp_path, env={"INSTALL": "1"}) as server:
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: server.process.poll() is not None, PATIENCE, f"{setup} ends")
        assert server.process.returncode == -signal.SIGTERM


@pytest.mark.parametrize(
    ("options", "env", "said"),
    [
        (
            ["--graceful-timeout=10"],
            {"EXECUTOR": "pool"},
            "reports its tasks after 8 s instead of drain_timeout=25. Set --graceful-timeout to 27",
        ),
        (["--timeout=20"], {"EXECUTOR": "inline"}, "takes longer than --timeout (20 s)"),
        (["--timeout=0"], {"EXECUTOR": "inline"}, None),
        ([], {"EXECUTOR": "pool"}, None),
    ],
    ids=["graceful-timeout", "timeout", "no timeout", "fine"],
)
def test_gunicorn_warns_at_the_start_of_what_will_cut_tasks(options, env, said, tmp_path: Path):
    """It names the option, and the value to set."""
    setup = setup_named("gunicorn-sync")
    setup.require()
    with serving(setup, "stopping:app", tmp_path, CONFIG, *options, env=env) as server:
        assert "wsgibg: " in server.output() if said else "wsgibg: " not in server.output()
        assert (said or "") in server.output()


def test_a_configuration_with_a_hook_of_its_own_calls_ours(tmp_path: Path):
    """As the manual shows it."""
    setup = setup_named("gunicorn-sync")
    setup.require()
    config = ROOT / "examples" / "gunicorn" / "own_hook.conf.py"
    options = (f"--config={config}", "--graceful-timeout=10")
    with serving(setup, "stopping:app", tmp_path, *options) as server:
        assert "[INFO] ready" in server.output()
        assert "Set --graceful-timeout" in server.output()
