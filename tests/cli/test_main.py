"""The command as it is started: its entry point, its exit codes, its extra."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points, version
from pathlib import Path
from textwrap import dedent

import pytest
from click.testing import CliRunner

from tests.support import ROOT
from wsgibg.cli import _commands, main

TARGET = "tests.cli.shop:app"


def run(*words: str, cwd: Path = ROOT, code: str = "") -> subprocess.CompletedProcess[str]:
    """Run `python -m wsgibg`, or a program, in a new interpreter where warnings are errors."""
    command = ["-c", dedent(code)] if code else ["-m", "wsgibg", *words]
    return subprocess.run(
        [sys.executable, "-W", "error", *command],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def test_the_script_is_declared():
    """The installed script `wsgibg` calls the function that these tests call."""
    (script,) = entry_points(group="console_scripts", name="wsgibg")

    assert script.load() is main


def test_a_route_is_explained():
    """The command succeeds, and says nothing but the explanation."""
    done = run("explain", TARGET, "GET", "/items/5")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("GET /items/{item_id}\n")
    assert "def handle(scope, environ, start_response, values):\n" in done.stdout


def test_the_version_is_printed():
    """`--version` prints the name and the version of the distribution."""
    done = run("--version")

    assert (done.returncode, done.stdout) == (0, f"wsgibg {version('wsgibg')}\n")


def test_help_names_the_command():
    """`--help` lists what there is."""
    done = run("--help")

    assert done.returncode == 0
    assert "explain  Print what a route does" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["explain"],
        ["nonsense"],
        ["--nonsense"],
        ["explain", TARGET, "GET"],
        ["explain", "shop", "GET", "/"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_exits_with_2(words):
    """The status tells a wrong command line apart from a route that is not there."""
    done = CliRunner().invoke(_commands.wsgibg, words)

    assert (done.exit_code, done.stdout) == (2, "")
    assert "Usage: wsgibg" in done.stderr


def test_what_cannot_be_explained_exits_with_1():
    """The reason goes to stderr, nothing to stdout."""
    done = run("explain", TARGET, "GET", "/nowhere")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: No route of tests.cli.shop:app answers GET /nowhere")


def test_modules_are_imported_from_the_current_directory(tmp_path):
    """An application needs no installation to be explained."""
    source = "from wsgibg import App\napp = App()\napp.get('/')(lambda: 1)\n"
    (tmp_path / "here.py").write_text(source, encoding="utf-8")
    code = """
        import sys
        from wsgibg.cli import main
        sys.path.remove("")
        sys.argv = ["wsgibg", "explain", "here:app", "GET", "/"]
        main()
    """

    done = run(cwd=tmp_path, code=code)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("GET /\n")


@pytest.mark.parametrize("name", ["click", "rich"])
def test_without_the_extra_it_says_what_to_install(name):
    """One line on stderr and exit status 1, whichever of the two is missing."""
    code = f"""
        import sys
        sys.modules[{name!r}] = None
        from wsgibg.cli import main
        main()
    """

    done = run(code=code)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == ("wsgibg: the command line needs Click and Rich: install wsgibg[cli]\n")


def test_another_missing_module_is_not_taken_for_the_extra():
    """A broken installation shows its own traceback."""
    code = """
        import sys
        sys.modules["difflib"] = None
        import wsgibg.cli
    """

    done = run(code=code)

    assert done.returncode == 1
    assert "wsgibg[cli]" not in done.stderr
    assert "ModuleNotFoundError: import of difflib halted" in done.stderr


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("tests.cli.django_site:make()", "django.WSGIHandler"),
        ("tests.cli.flask_site:app", "flask.Flask, wrapped"),
    ],
)
def test_the_tasks_of_an_integration_are_found(target, said):
    """Where they run is said, though the routes are the framework's own."""
    pytest.importorskip(said.partition(".")[0])

    done = run("routes", target)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{target}: {said}; its tasks run in ThreadExecutor.\n")
