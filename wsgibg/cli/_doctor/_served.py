"""A server's process, from its start to its certain end."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from wsgibg.cli._doctor._command import HOST, Command, program
from wsgibg.cli._doctor._contract import FAILURE, FOLDER, MARKS, PREFIX, TARGET

__all__ = ["CannotRun", "Marks", "Served", "free_port", "serve", "wait_for"]

#: Seconds that a server may take until it answers.
START = 30.0
#: Seconds that it may take for anything else, besides what tasks take.
PATIENCE = 10.0
#: How much of a server's output is shown where it does not start, in lines.
TAIL = 25


class CannotRun(Exception):
    """A server that cannot be examined; the message says why, and what to do."""


def wait_for(ask: Callable[[], object], seconds: float) -> bool:
    """Ask every few milliseconds until the answer is true.

    Args:
        ask: what to ask.
        seconds: how long at most.

    Returns:
        Whether it was true in time.
    """
    deadline = time.monotonic() + seconds
    while not ask():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def free_port() -> int:
    """A TCP port of this machine that nobody uses at the moment."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        port: int = sock.getsockname()[1]
    return port


class Marks:
    """What tasks have written down, by label.

    Args:
        folder: where the probe writes.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / MARKS

    def lines(self) -> list[str]:
        """All of them, in order."""
        return self._file.read_text().splitlines() if self._file.exists() else []

    def of(self, label: str) -> dict[int, list[str]]:
        """What has happened to the tasks of one request, by number.

        Args:
            label: the request's.
        """
        found: dict[int, list[str]] = {}
        for line in self.lines():
            words = line.split()
            if words[0] == label:
                found.setdefault(int(words[1]), []).append(words[2])
        return found

    def worker(self, label: str) -> int | None:
        """The process in which a task of a request has started; none, if none has.

        Args:
            label: the request's.
        """
        words = [line.split() for line in self.lines()]
        return next((int(each[3]) for each in words if each[0] == label and len(each) > 3), None)

    def count(self, label: str, what: str) -> int:
        """How many tasks of a request have left such a mark.

        Args:
            label: the request's.
            what: as in ``ends``.
        """
        return sum(what in each for each in self.of(label).values())


class Served:
    """A server that runs the probe.

    Args:
        command: its command.
        target: the user's application.
        folder: an empty folder, for its output and for marks.
    """

    def __init__(self, command: Command, target: str, folder: Path) -> None:
        self.command = command
        self.folder = folder
        self.marks = Marks(folder)
        self.prefix = f"/wsgibg-doctor-{secrets.token_hex(8)}"
        self.facts: dict[str, Any] = {}
        self._stopped = False
        self.port = free_port()
        words = command.on(self.port)
        found = program(words[0])
        if found is None:
            msg = (
                f"There is no program {words[0]!r}. Install the server in this environment, or"
                " write its command after --server."
            )
            raise CannotRun(msg)
        with (folder / "output").open("wb") as output:
            self.process = subprocess.Popen(  # noqa: S603 (the user's own command)
                [found, *words[1:]],
                env=self._environment(os.environ, target),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that it can be ended with all its children
            )

    def _environment(self, outer: Mapping[str, str], target: str) -> dict[str, str]:
        here = os.getcwd()  # noqa: PTH109 (what goes to PYTHONPATH is a string)
        paths = [here, *filter(None, outer.get("PYTHONPATH", "").split(os.pathsep))]
        own = {
            TARGET: target + ("()" if self.command.factory else ""),
            PREFIX: self.prefix,
            FOLDER: str(self.folder),
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONUNBUFFERED": "1",
        }
        if self.command.server.name == "gunicorn":
            own["XDG_RUNTIME_DIR"] = str(self.folder)  # it puts a socket there
        return {**outer, **own}

    # -------------------------------------------------------------- asking
    def connect(self, *, old: bool = False) -> HTTPConnection:
        """A client's connection.

        Args:
            old: whether the client speaks HTTP/1.0.
        """
        connection: Any = HTTPConnection(HOST, self.port, timeout=PATIENCE + START)
        if old:
            connection._http_vsn = 10
            connection._http_vsn_str = "HTTP/1.0"
        return connection  # type: ignore[no-any-return]

    def ready(self) -> dict[str, Any]:
        """What the process says that answers now.

        Raises:
            OSError: nobody answers.
            HTTPException: something answers that is not HTTP.
        """
        connection = self.connect()
        connection.timeout = PATIENCE
        try:
            connection.request("GET", f"{self.prefix}/ready")
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status != 200:
            msg = f"{response.status} {body[:200].decode(errors='replace')}"
            raise HTTPException(msg)
        return dict(json.loads(body))

    def answers(self) -> bool:
        """Whether it serves."""
        with suppress(OSError, HTTPException, ValueError):
            self.facts = self.ready()
            return True
        return False

    def ended(self) -> bool:
        """Whether the process that was started has ended."""
        return self.process.poll() is not None

    def refusal(self) -> str:
        """Why the user's application cannot be imported there; nothing, if it can."""
        file = self.folder / FAILURE
        return file.read_text() if file.exists() else ""

    def output(self) -> str:
        """The end of what it has written."""
        lines = (self.folder / "output").read_text(errors="replace").splitlines()
        return "\n".join(lines[-TAIL:])

    # -------------------------------------------------------------- the end
    def stop(self) -> None:
        """See to it that nothing of it is left."""
        if self._stopped:
            return  # its number may be another's by now
        self._stopped = True
        try:
            if not self.ended():
                self.process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(1)
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE)


@contextmanager
def serve(command: Command, target: str, folder: Path) -> Iterator[Served]:
    """Start a server, and end it in any case.

    Args:
        command: its command.
        target: the user's application.
        folder: an empty folder.

    Raises:
        CannotRun: it does not answer; the message has its output.
    """
    served = Served(command, target, folder)
    try:
        wait_for(lambda: served.refusal() or served.ended() or served.answers(), START)
        if not served.facts:
            raise CannotRun(_failure(served))
        yield served
    finally:
        served.stop()


def _failure(served: Served) -> str:
    """Why a server did not start, as far as that is known."""
    name = served.command.server.name
    words = " ".join(served.command.on(served.port))
    if said := served.refusal():
        return f"{name} was started, and could not load the application.\n\n{said}"
    code = served.process.poll()
    state = (
        f"ended with status {code} before it answered"
        if code is not None
        else f"did not answer within {START:g} s"
    )
    return (
        f"{name} {state}.\n\nThe command was: {words}\n\nIt said:\n\n"
        f"{served.output() or '(nothing)'}\n\n"
        "Are the server's options right? Try the command with your own application and port."
    )
