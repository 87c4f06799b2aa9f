"""Server processes, and the files by which a test and a served application know of each other."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from tests.servers.setups import APPS, Setup
from tests.support import ROOT, free_port, wait_for

__all__ = ["PATIENCE", "RUNNING", "Answer", "Job", "Server", "exchange", "hang_up", "serving"]

PATIENCE = 20.0  # seconds

#: The servers that run at the moment; what they said is shown with a failing test.
RUNNING: list[Server] = []


@dataclass(frozen=True)
class Answer:
    """What a client has received."""

    status: int
    headers: dict[str, str]
    body: bytes


class Job:
    """What happens in one request: the server writes lines, the test opens gates."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._folder = folder
        self._expected: list[str] | None = None

    def lines(self) -> list[str]:
        """What has happened so far, in order."""
        log = self._folder / f"{self.name}.log"
        return log.read_text(encoding="utf-8").splitlines() if log.exists() else []

    def open(self, gate: str) -> None:
        """Let go on what waits at a gate in the server; at every gate, if it is ``"all"``."""
        (self._folder / f"{self.name}.{gate}").touch()

    def expect(self, *lines: str) -> None:
        """Wait until this has happened, and nothing else; checked again when the server ends."""
        self._expected = list(lines)
        wait_for(lambda: len(self.lines()) >= len(lines), PATIENCE, f"{self.lines} == {lines}")
        self.check()

    def check(self) -> None:
        """Compare once more: nothing may have happened twice."""
        if self._expected is not None:
            assert self.lines() == self._expected, f"{self.lines()} instead of {self._expected}"


@dataclass(eq=False)
class Server:
    """A server process that runs.

    Args:
        setup: which server.
        port: where it listens, on 127.0.0.1.
        folder: where its application writes, and where its output is kept.
        process: the process that was started; servers may have further ones.
    """

    setup: Setup
    port: int
    folder: Path
    process: subprocess.Popen[bytes]
    jobs: list[Job] = field(default_factory=list)

    def job(self, name: str = "job") -> Job:
        """A new job; its name is made unique."""
        job = Job(self.folder, f"{name}-{len(self.jobs)}")
        self.jobs.append(job)
        return job

    def connect(self, *, old: bool = False) -> HTTPConnection:
        """A client; an old one speaks HTTP/1.0."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        if old:
            connection._http_vsn = 10
            connection._http_vsn_str = "HTTP/1.0"
        return connection

    def ask(self, path: str, method: str = "GET", *, old: bool = False) -> Answer:
        """Send a request on a connection of its own and read the answer to its end."""
        connection = self.connect(old=old)
        try:
            return exchange(connection, path, method)
        finally:
            connection.close()

    def output(self) -> str:
        """What the server has written to its standard output and error so far."""
        return (self.folder / "output.txt").read_text(errors="replace")

    def answers(self) -> bool:
        """Whether it serves yet; a server that has ended never will."""
        if self.process.poll() is not None:
            pytest.fail(f"{self.setup} ended with {self.process.returncode}:\n{self.output()}")
        with suppress(OSError):
            return self.ask("/ready").status < 500
        return False

    def stop(self) -> None:
        """Have it end by SIGTERM, and with force if it does not."""
        for job in self.jobs:
            job.open("all")
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


def exchange(connection: HTTPConnection, path: str, method: str = "GET") -> Answer:
    """Send a request and read the answer to its end."""
    connection.request(method, path)
    response = connection.getresponse()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


def hang_up(connection: HTTPConnection, response: HTTPResponse) -> None:
    """Break the connection off in the middle of a response, so that the server's next write fails.

    Closing it politely would let the server write on until the buffers are full.
    """
    sock = socket.socket(fileno=os.dup(response.fileno()))
    response.close()
    connection.close()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def _environ(setup: Setup) -> dict[str, str]:
    """The environment of a server; mod_wsgi's interpreters inside Apache are not measured."""
    measured = setup.name != "mod_wsgi"
    return {
        name: value
        for name, value in os.environ.items()
        if measured or not name.startswith("COVERAGE_PROCESS")
    }


@contextmanager
def serving(
    setup: Setup,
    app: str,
    folder: Path,
    *options: str,
    apps: Path = APPS,
    env: dict[str, str] | None = None,
) -> Iterator[Server]:
    """Start a server, and stop it in the end.

    Args:
        setup: which server.
        app: module and name of the application, as in ``served:app``.
        folder: an empty folder for its files; it is the current one.
        options: further options on the command line.
        apps: where the module is.
        env: further environment variables.
    """
    port = free_port()
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            [*setup.arguments(app, port, options)],
            cwd=folder,
            env={
                **_environ(setup),
                "EVIDENCE": str(folder),
                "PYTHONPATH": os.pathsep.join([str(ROOT), str(apps)]),
                "PYTHONUNBUFFERED": "1",
                # gunicorn puts a socket there.
                "XDG_RUNTIME_DIR": str(folder),
                **(env or {}),
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(setup, port, folder, process)
    RUNNING.append(server)
    try:
        wait_for(server.answers, PATIENCE, f"{setup} answers")
        yield server
        for job in server.jobs:
            job.check()
    finally:
        server.stop()
        RUNNING.remove(server)
