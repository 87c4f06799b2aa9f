"""How long a client waits, for each kind of response, with a task and without."""

from __future__ import annotations

import secrets
import select
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.client import BadStatusLine, HTTPConnection, HTTPException

from wsgibg.cli._doctor._served import PATIENCE, Served, wait_for

__all__ = [
    "AT_ONCE",
    "CLOSED",
    "KINDS",
    "NEVER",
    "NONE",
    "RESET",
    "WAITS",
    "Asking",
    "Kind",
    "Wait",
]

#: Asking without tasks, to know how long it takes then.
NONE = "none"


@dataclass(frozen=True)
class Kind:
    """What a client asks for.

    Args:
        name: what it is called in JSON.
        title: what it is called in the table.
        path: the probe's route.
        method: the method.
        old: whether the client speaks HTTP/1.0.
        way: how it is asked: one request, or what comes after one.
    """

    name: str
    title: str
    path: str = "whole"
    method: str = "GET"
    old: bool = False
    way: str = "one"


#: In the order of the table.
KINDS = (
    Kind("whole", "a whole response"),
    Kind("stream", "a stream without a length", "stream"),
    Kind("file", "a file", "file"),
    Kind("head", "the answer to HEAD", method="HEAD"),
    Kind("no-content", "204 (no content)", "no-content"),
    Kind("empty", "200 with an empty body", "empty"),
    Kind("old-whole", "HTTP/1.0: a whole response", old=True),
    Kind("old-stream", "HTTP/1.0: a stream", "stream", old=True),
    Kind("next", "the next on its connection", way="next"),
    Kind("other", "another client meanwhile", way="other"),
)


#: How often a client has to wait until it is believed.
TRIES = 2
#: What a client may meet.
Verdict = str
AT_ONCE, WAITS, CLOSED, RESET, NEVER = "at once", "waits", "closed", "reset", "never runs"


@dataclass(frozen=True)
class Wait:
    """What a client has met.

    Args:
        verdict: `AT_ONCE`; `WAITS`; `CLOSED`: no second request on a connection is taken;
            `RESET`: nor was that announced; `NEVER`: the task did not run; or an error.
        seconds: until it had its whole answer.
    """

    verdict: Verdict
    seconds: float


@dataclass
class Asking:
    """Everything that is asked of a server with tasks in one executor.

    Args:
        served: the server.
        mode: the executor, as the probe calls it; `NONE` asks without tasks.
        seconds: how long each task takes.
        base: what was found without tasks.
        patient: whether a task is waited for before the next one is left. In a pool that is large
            enough they need not be.
    """

    served: Served
    mode: str
    seconds: float
    base: Mapping[str, Wait]
    patient: bool = True
    labels: dict[str, str] = field(default_factory=dict)

    def waits(self, told: Callable[[str], object]) -> dict[str, Wait]:
        """Ask for everything once; again for what seems to wait, since machines have hiccups.

        Args:
            told: is called with what is asked for next.

        Returns:
            What happened, by kind.
        """
        found = {}
        for kind in KINDS:
            told(kind.title)
            for _ in range(TRIES):
                wait = self._measured(kind)
                if wait.verdict != WAITS:
                    break
            found[kind.name] = wait
        wait_for(lambda: all(map(self._has_run, self.labels)), self._patience())
        for label, name in self.labels.items():
            if not self._has_run(label):
                found[name] = replace(found[name], verdict=NEVER)
        return found

    def _measured(self, kind: Kind) -> Wait:
        before = f"{self.served.prefix}/{'inline' if self.mode == NONE else self.mode}"
        url = f"{before}/{kind.path}"
        label = f"w{secrets.token_hex(4)}"
        if self.mode != NONE:
            self.labels[label] = kind.name
            url = f"{url}?label={label}&count=1&seconds={self.seconds}"
        try:
            verdict, passed = _WAYS[kind.way](
                self.served, kind, url, f"{before}/whole", self.seconds
            )
        except (OSError, HTTPException) as error:
            verdict, passed = f"error: {type(error).__name__}", 0.0
        if verdict.startswith("error"):
            self.labels.pop(label, None)
        elif self.mode != NONE:
            usual = self.base[kind.name].seconds
            if verdict == AT_ONCE and passed - usual > self.seconds / 2:
                verdict = WAITS
            if self.patient:  # else the task would hold up the next measurement
                self.patient = wait_for(lambda: self._has_run(label), self._patience())
        return Wait(verdict, passed)

    def _has_run(self, label: str) -> bool:
        return self.served.marks.count(label, "ends") > 0

    def _patience(self) -> float:
        return self.seconds + PATIENCE / 2


def _one(served: Served, kind: Kind, url: str, plain: str, seconds: float) -> tuple[str, float]:
    """One request on a connection of its own, read to its end."""
    del plain, seconds
    connection = served.connect(old=kind.old)
    try:
        begin = time.monotonic()
        status, _ = _exchange(connection, url, kind.method)
        return _told(status), time.monotonic() - begin
    finally:
        connection.close()


def _next(served: Served, kind: Kind, url: str, plain: str, seconds: float) -> tuple[str, float]:
    """A second request on the connection of a first one that has left the task."""
    connection = served.connect()
    try:
        _, closes = _exchange(connection, url, kind.method)
        if closes:
            return CLOSED, 0.0
        # A moment later, as a client with a pool of connections would: a server that closes without
        # a word has done so by then, unless its task keeps it.
        time.sleep(seconds / 6)
        begin = time.monotonic()
        try:
            if _is_closed(connection):
                return CLOSED, 0.0
            status, _ = _exchange(connection, plain, "GET")
        except (OSError, BadStatusLine):
            return RESET, time.monotonic() - begin
        return _told(status), time.monotonic() - begin
    finally:
        connection.close()


def _other(served: Served, kind: Kind, url: str, plain: str, seconds: float) -> tuple[str, float]:
    """A request on another connection, while the task of the first one runs."""
    first = served.connect()
    try:
        _exchange(first, url, kind.method)
    finally:
        first.close()
    return _one(served, kind, plain, plain, seconds)


_WAYS = {"one": _one, "next": _next, "other": _other}


def _exchange(connection: HTTPConnection, url: str, method: str) -> tuple[int, bool]:
    """Send a request, read all of the answer; its status, and whether the connection ends."""
    connection.auto_open = int(connection.sock is None)  # do not connect anew behind our back
    connection.request(method, url)
    response = connection.getresponse()
    closes = response.will_close
    response.read()
    return response.status, closes


def _is_closed(connection: HTTPConnection) -> bool:
    """Whether the server has closed a connection on which nothing is expected."""
    sock = connection.sock
    return bool(select.select([sock], [], [], 0)[0]) and not sock.recv(1, socket.MSG_PEEK)


def _told(status: int) -> str:
    return AT_ONCE if status < 500 else f"error {status}"
