"""How long a client waits, for each kind of response, with a task and without."""

from __future__ import annotations

import secrets
import select
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import BadStatusLine, HTTPConnection, HTTPException

from wsgibg.cli.doctor._served import PATIENCE, Served, wait_for

__all__ = [
    "AT_ONCE",
    "CLOSED",
    "KINDS",
    "NEVER",
    "NONE",
    "RESET",
    "WAITS",
    "Kind",
    "Wait",
    "waits",
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


def waits(
    served: Served,
    mode: str,
    seconds: float,
    base: Mapping[str, Wait],
    told: Callable[[str], object],
) -> dict[str, Wait]:
    """Ask for everything once; twice what seems to wait, since machines have hiccups.

    Args:
        served: the server.
        mode: the executor, as the probe calls it; ``none`` asks without tasks.
        seconds: how long each task takes.
        base: what was found without tasks.
        told: is called with what is asked for next.

    Returns:
        What happened, by kind.
    """
    found = {}
    for kind in KINDS:
        told(kind.title)
        usual = base[kind.name].seconds if kind.name in base else seconds
        wait = _measured(served, mode, kind, seconds, usual)
        if wait.verdict == WAITS:
            again = _measured(served, mode, kind, seconds, usual)
            wait = min(wait, again, key=lambda each: each.seconds)
        found[kind.name] = wait
    return found


def _measured(served: Served, mode: str, kind: Kind, seconds: float, usual: float) -> Wait:
    label = f"w{secrets.token_hex(4)}"
    with_task = mode != NONE
    query = f"label={label}&count=1&seconds={seconds}" if with_task else ""
    before = f"{served.prefix}/{mode if with_task else 'inline'}"
    url = f"{before}/{kind.path}?{query}"
    try:
        verdict, passed = _WAYS[kind.way](served, kind, url, f"{before}/whole", seconds)
    except (OSError, HTTPException) as error:
        verdict, passed = f"error: {type(error).__name__}", 0.0
    if verdict == AT_ONCE and with_task and passed - usual > seconds / 2:
        verdict = WAITS
    # Else the task would hold up the next measurement, or the one after it.
    if with_task and not wait_for(
        lambda: served.marks.count(label, "ends"), seconds + PATIENCE / 2
    ):
        verdict = NEVER
    return Wait(verdict, passed)


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
        if _is_closed(connection):
            return CLOSED, 0.0
        begin = time.monotonic()
        try:
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
    if not select.select([sock], [], [], 0)[0]:
        return False
    try:
        return not sock.recv(1, socket.MSG_PEEK)
    except OSError:
        return True


def _told(status: int) -> str:
    return AT_ONCE if status < 500 else f"error {status}"
