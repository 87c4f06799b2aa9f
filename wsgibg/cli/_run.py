"""A development server that starts again when a file changes."""

from __future__ import annotations

import importlib.util
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from werkzeug.serving import is_running_from_reloader, run_simple

from wsgibg._signals import drain_at
from wsgibg.app import App
from wsgibg.cli._load import load_any, split
from wsgibg.cli._nature import carrier_of, kind_of

__all__ = ["run"]


def run(target: str, host: str, port: int, *, reload: bool) -> None:
    """Serve an application with Werkzeug's threaded server, until the process is ended.

    Args:
        target: ``module:name``.
        host: the address to listen on.
        port: the port.
        reload: whether to start again when a file changes. An application that cannot be
            imported is then waited for: clients are told why, until it can be.

    Raises:
        click.ClickException: there is no such application.
    """
    app: Any
    if not reload:
        app = load_any(target)
        _say(app, target, host, port, "")
        # The server dies of the signal itself, and would take the tasks along.
        drain_at([signal.SIGTERM])
    elif is_running_from_reloader():
        app = _patient(target)
        _say(app, target, host, port, "; it starts again when a file changes")
    else:
        _check(target)
        app = None  # the process that serves is a child of this one
    # Not watchdog, where that is installed: it watches all that can be imported, site-packages
    # included, and misses changes when the kernel's queue overflows.
    run_simple(host, port, app, threaded=True, use_reloader=reload, reloader_type="stat")


def _check(target: str) -> None:
    """Refuse what no change of a file is likely to make right.

    Raises:
        click.ClickException: there is no such module.
    """
    name, _ = split(target)
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    top = name.partition(".")[0]
    if importlib.util.find_spec(top) is None:
        raise click.ClickException(
            f"There is no module {top!r} to import. Run the command where `import {top}` works;"
            f" the current directory ({here}) was searched first."
        )


def _patient(target: str) -> Any:
    try:
        return load_any(target)
    except click.ClickException as error:
        message = error.format_message()
        click.echo(f"{message}\n\nWaiting for a file to change.", err=True)
        return _Broken(message)


class _Broken:
    """Stands in for an application that cannot be imported.

    Args:
        message: why.
    """

    def __init__(self, message: str) -> None:
        self.message = message

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer any request with the reason."""
        body = f"{self.message}\n".encode()
        start_response(
            "500 Internal Server Error",
            [
                ("Content-Type", "text/plain; charset=utf-8"),
                ("Content-Length", str(len(body))),
            ],
        )
        return [body]


def _say(app: Any, target: str, host: str, port: int, more: str) -> None:
    """Say what is served, and where."""
    if isinstance(app, _Broken):
        return
    words = [kind_of(app)]
    if isinstance(app, App):
        count = sum(1 for _ in app.flat())
        words.append("1 route" if count == 1 else f"{count} routes")
    carrier = carrier_of(app)
    if carrier is not None:
        words.append(f"tasks in {type(carrier.tasks.executor).__name__}")
    address = f"[{host}]" if ":" in host else host
    click.echo(f"{target} ({', '.join(words)}) on http://{address}:{port}{more}")
    sys.stdout.flush()
