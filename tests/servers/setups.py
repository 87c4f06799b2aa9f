"""The servers that are tested, and what each of them does with a response."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import missing
from wsgibg.cli._doctor._command import program as installed

__all__ = ["APPS", "KINDS", "SETUPS", "Setup", "setup_named"]

#: The folder of the applications that are served.
APPS = Path(__file__).parent / "apps"

PYTHON = sys.executable
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
# Servers without a command of their own.
LAUNCH = (PYTHON, str(APPS / "launch.py"))
GUNICORN = (PYTHON, "-m", "gunicorn", "--bind=127.0.0.1:{port}", "--worker-class")
UVICORN = (PYTHON, "-m", "uvicorn", "--host=127.0.0.1", "--port={port}", "--no-access-log")

#: Kinds of answers: with Content-Length; in chunks, without it; to HEAD; with status 204; of
#: status 200 without a body; the first two again, to a client that speaks HTTP/1.0.
KINDS = ("length", "stream", "head", "no-content", "empty", "old length", "old stream")

EVERY = frozenset(KINDS)
FRAMED = EVERY - {"old stream"}
NOT_STREAMED = FRAMED - {"stream"}


@dataclass(frozen=True, eq=False)
class Setup:
    """A server, the way it is started, and when its client has what.

    Args:
        name: what tests call it.
        needs: the module, or the program, that has to be installed.
        command: the command line; ``{port}`` and ``{app}`` stand for what is served where.
        early: the kinds of answers that the client has whole before ``close()`` ends.
        keeps: whether the server keeps a connection open for a second request.
        many: whether requests are served at the same time.
        notices: whether the body is left when the client has gone.
        closes: whether ``close()`` is called at all.
        spoils: the kinds of answers that the server itself turns into an error.
        probe: a command that has to succeed where the set-up can be tested.
        forks: whether the application is loaded before the serving process is forked.
        instead_of: a module whose absence makes the server do what is tested.
    """

    name: str
    needs: str
    command: tuple[str, ...]
    early: frozenset[str] = FRAMED
    keeps: bool = True
    many: bool = True
    notices: bool = True
    closes: bool = True
    spoils: frozenset[str] = frozenset()
    forks: bool = False
    probe: tuple[str, ...] = ()
    instead_of: str = ""

    def __str__(self) -> str:
        return self.name

    def require(self) -> None:
        """Leave the test if this set-up cannot be tested here."""
        if not _is_installed(self.needs):
            missing(self.needs)
        if self.probe and subprocess.run(self.probe, capture_output=True, check=False).returncode:
            missing(f"{self.needs} (for `{' '.join(self.probe)}` fails)")
        if self.instead_of and _is_installed(self.instead_of):
            # Not missing: another environment of tox tests it.
            pytest.skip(f"{self.instead_of} is installed, so {self.needs} uses that")

    def arguments(self, app: str, port: int, options: tuple[str, ...]) -> Iterator[str]:
        """The command line that serves `app` on `port`.

        The options come before the last argument, which names the application.
        """
        *most, last = self.command
        for part in (*most, *options, last):
            yield part.format(app=app, port=port)


def _is_installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None or Path(program(name)).is_absolute()


def program(name: str) -> str:
    """The path of a program, of this environment or of the system; else its name."""
    return installed(name) or name


# `early`, `keeps` and so on were measured with an application that did nothing but sleep in
# close(). The newest versions were: a2wsgi 1.10, bjoern 3.2, cheroot 11.1, gevent 26.9, granian
# 2.8, gunicorn 27.0, hypercorn 0.18, mod_wsgi 6.1 (daemon mode, Apache 2.4), uvicorn 0.54, uWSGI
# 2.0.31, waitress 3.0, Werkzeug 3.1.
SETUPS = (
    Setup(
        "werkzeug-threaded",
        "werkzeug",
        (*LAUNCH, "werkzeug-threaded", "{port}", "{app}"),
        early=EVERY,
        keeps=False,
    ),
    Setup(
        "werkzeug-single",
        "werkzeug",
        (*LAUNCH, "werkzeug-single", "{port}", "{app}"),
        early=NOT_STREAMED,
        keeps=False,
        many=False,
    ),
    Setup("gunicorn-sync", "gunicorn", (*GUNICORN, "sync", "{app}"), keeps=False, many=False),
    Setup("gunicorn-gthread", "gunicorn", (*GUNICORN, "gthread", "--threads=4", "{app}")),
    Setup("gunicorn-gevent", "gevent", (*GUNICORN, "gevent", "{app}")),
    Setup(
        "waitress",
        "waitress",
        (PYTHON, "-m", "waitress", "--listen=127.0.0.1:{port}", "{app}"),
        early=frozenset({"length", "old length"}),
    ),
    Setup(
        "cheroot",
        "cheroot",
        (PYTHON, "-m", "cheroot", "--bind=127.0.0.1:{port}", "{app}"),
        early=NOT_STREAMED,
    ),
    Setup(
        "granian",
        "granian",
        (PYTHON, "-m", "granian", "--interface=wsgi", "--port={port}", "{app}"),
        early=NOT_STREAMED,
    ),
    Setup(
        "hypercorn",
        "hypercorn",
        (PYTHON, "-m", "hypercorn", "--bind=127.0.0.1:{port}", "wsgi:{app}"),
        early=NOT_STREAMED - {"head", "no-content"},
        notices=False,
        # It sends the head together with the first chunk, and answers 500 where there is none.
        spoils=frozenset({"head", "no-content"}),
    ),
    Setup(
        "uwsgi",
        "uwsgi",
        (
            program("uwsgi"),
            "--master",
            "--need-app",
            "--die-on-term",
            f"--virtualenv={sys.prefix}",
            "--http-socket=127.0.0.1:{port}",
            "--module={app}",
        ),
        early=frozenset({"length", "old length", "empty"}),
        keeps=False,
        many=False,
        forks=True,
    ),
    Setup(
        "bjoern",
        "bjoern",
        (*LAUNCH, "bjoern", "{port}", "{app}"),
        early=EVERY,
        many=False,
    ),
    Setup(
        "a2wsgi",
        "a2wsgi",
        (*UVICORN, "--interface=wsgi", "{app}"),
        early=EVERY,
        notices=False,
    ),
    Setup(
        "wsgiref",
        "wsgiref",
        (*LAUNCH, "wsgiref", "{port}", "{app}"),
        early=NOT_STREAMED,
        keeps=False,
        many=False,
    ),
    Setup("gevent-pywsgi", "gevent", (*LAUNCH, "gevent-pywsgi", "{port}", "{app}")),
    Setup(
        "mod_wsgi",
        "mod_wsgi",
        (*LAUNCH, "mod_wsgi", "{port}", "{app}"),
        early=frozenset({"length", "old length"}),
        # Apache does not serve as root, and gets a namespace there (see `launch.py`).
        probe=("unshare", "--user", "--map-user=1000", "true") if IS_ROOT else (),
    ),
    # The name is how tox selects it, with `-k uvicorn`; no other test may have it in its name.
    Setup(
        "uvicorn",
        "uvicorn",
        (*UVICORN, "--interface=wsgi", "{app}"),
        early=EVERY,
        notices=False,
        closes=False,
        instead_of="a2wsgi",
    ),
)


def setup_named(name: str) -> Setup:
    """The set-up of that name."""
    return next(setup for setup in SETUPS if setup.name == name)
