"""The application that `wsgibg doctor` has a server load instead of the user's.

It is the user's own, but for a few routes below a prefix that nobody can guess.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import sleep
from typing import Any

import click

from wsgibg.app import App
from wsgibg.background import BackgroundTasks, TaskEvent
from wsgibg.cli._doctor._contract import FAILURE, FOLDER, MARKS, PREFIX, TARGET
from wsgibg.cli._load import load_any
from wsgibg.cli._nature import carrier_of, kind_of
from wsgibg.executors import Executor
from wsgibg.executors.inline import InlineExecutor
from wsgibg.executors.thread import ThreadExecutor
from wsgibg.manager import TaskManager
from wsgibg.param_functions import Depends
from wsgibg.responses import FileResponse, Response, StreamingResponse

__all__ = ["app", "make"]

#: What becomes of a task that does not end by itself.
_TOLD = ("lost", "interrupted", "dropped", "failed")
#: What may be installed of those that a report should name.
_VERSIONS = ("wsgibg", "gunicorn", "gevent", "uwsgi", "waitress", "granian", "hypercorn",
             "uvicorn", "a2wsgi", "cheroot", "bjoern", "werkzeug", "flask")  # fmt: skip


def mark(folder: str, line: str) -> None:
    """Write down that something has happened, in one write that nothing can come between."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    file = os.open(Path(folder) / MARKS, flags, 0o644)
    try:
        os.write(file, f"{line}\n".encode())
    finally:
        os.close(file)


def work(folder: str, label: str, number: int, seconds: float) -> None:
    """The task: it takes a while, and leaves a mark at its start and at its end."""
    mark(folder, f"{label} {number} starts {os.getpid()}")
    sleep(seconds)
    mark(folder, f"{label} {number} ends")


def make(environment: Mapping[str, str]) -> Any:
    """The user's application with the routes of the probe.

    Args:
        environment: what the doctor has set.

    Raises:
        click.ClickException: the user's application cannot be imported.
    """
    folder, prefix = environment[FOLDER], environment[PREFIX]
    try:
        user = load_any(environment[TARGET])
    except click.ClickException as error:
        # Servers print it among much else, or try again and again.
        (Path(folder) / FAILURE).write_text(error.format_message())
        raise
    modes = _modes(user)
    apps = {mode: _measured(executor, folder) for mode, executor in modes.items()}
    inner = getattr(user, "wsgi_app", None)
    if callable(inner):  # `flask run` wants the object itself
        probe = Probe(inner, prefix, folder, apps)
        probe.facts = _facts(user, modes)
        user.wsgi_app = probe
        return user
    probe = Probe(user, prefix, folder, apps)
    probe.facts = _facts(user, modes)
    return probe


def _modes(user: Any) -> dict[str, Executor]:
    """The executors to measure; the user's own in place of ours of the same kind."""
    carrier = carrier_of(user)
    own = carrier.tasks.executor if carrier is not None else None
    modes: dict[str, Executor] = {"inline": InlineExecutor(), "pool": ThreadExecutor()}
    if isinstance(own, ThreadExecutor):
        modes["pool"] = own
    elif own is not None and not isinstance(own, InlineExecutor) and not own.durable:
        modes["own"] = own
    return modes


def _facts(user: Any, modes: Mapping[str, Executor]) -> dict[str, Any]:
    """What the doctor wants to know, and only the serving process can tell."""
    carrier = carrier_of(user)
    own = carrier.tasks.executor if carrier is not None else None
    versions = {}
    for name in _VERSIONS:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return {
        "kind": kind_of(user),
        "executor": type(own).__name__ if own is not None else None,
        "way": carrier.way if carrier is not None else "",
        "durable": own is not None and own.durable,
        "modes": list(modes),
        "versions": versions,
        "python": sys.version.partition(" ")[0],
    }


def _measured(executor: Executor, folder: str) -> App:
    """An application whose every kind of response can be asked for, with tasks or without."""
    app = App(tasks=TaskManager(executor))

    @app.on_task
    def tell(event: TaskEvent) -> None:
        if event.kind in _TOLD and event.task.func is work:
            _, label, number, _ = event.task.args
            mark(folder, f"{label} {number} {event.kind}")

    def leave(
        tasks: BackgroundTasks, label: str = "", count: int = 0, seconds: float = 0.0
    ) -> None:
        for number in range(count):
            tasks.add_task(work, folder, label, number, seconds)

    options: Any = {"dependencies": [Depends(leave)]}

    @app.api_route("/whole", methods=["GET", "HEAD"], **options)
    def whole() -> dict[str, str]:
        return {"message": "accepted"}

    @app.get("/stream", **options)
    def stream() -> StreamingResponse:
        return StreamingResponse(b"chunk\n" for _ in range(3))

    @app.get("/no-content", status_code=204, **options)
    def no_content() -> None: ...

    @app.get("/empty", **options)
    def empty() -> Response:
        return Response(b"")

    @app.get("/file", **options)
    def file() -> FileResponse:
        return FileResponse(__file__)

    return app


class _Closing:
    """A body that writes down when a server closes it."""

    def __init__(self, body: bytes, closed: Callable[[], None]) -> None:
        self._body = body
        self.closed = closed

    def __iter__(self) -> Iterator[bytes]:
        yield self._body

    def close(self) -> None:
        """Note that the server keeps to PEP 3333."""
        self.closed()


class Probe:
    """The user's application, with routes of ours below a prefix.

    Args:
        user: the user's application.
        prefix: the prefix.
        folder: where marks are written.
        apps: an application for each executor.
    """

    def __init__(self, user: Any, prefix: str, folder: str, apps: Mapping[str, App]) -> None:
        self.user = user
        self.prefix = prefix
        self.folder = folder
        self.apps = apps
        self.facts: dict[str, Any] = {}

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        path: str = environ.get("PATH_INFO", "")
        if not path.startswith(self.prefix):
            answer: Iterable[bytes] = self.user(environ, start_response)
            return answer
        mode, _, rest = path.removeprefix(self.prefix).strip("/").partition("/")
        if mode in self.apps:
            inner = {**environ, "PATH_INFO": f"/{rest}"}
            return self.apps[mode](inner, start_response)  # type: ignore[no-any-return]
        facts = {
            **self.facts,
            "pid": os.getpid(),
            "integration": "wsgibg.integrations.gunicorn" in sys.modules,
            "multithread": bool(environ.get("wsgi.multithread")),
            "multiprocess": bool(environ.get("wsgi.multiprocess")),
        }
        body = json.dumps(facts).encode()
        start_response(
            "200 OK",
            [("Content-Type", "application/json"), ("Content-Length", str(len(body)))],
        )
        return _Closing(body, lambda: mark(self.folder, "closed"))


#: What the server is told to load; nothing, where no doctor has asked for it.
app: Any = make(os.environ) if TARGET in os.environ else None
