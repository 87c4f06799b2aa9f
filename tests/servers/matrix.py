"""Servers that stop while tasks run and wait: what was done, what was reported, what is missing.

`python -m tests.servers.matrix` runs the whole table and prints it (`tox -e matrix`).
"""

from __future__ import annotations

import json
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPException
from itertools import product
from pathlib import Path
from typing import Literal

from tests.servers.harness import PATIENCE, Job, Server, serving
from tests.servers.setups import setup_named
from tests.support import ROOT, wait_for

__all__ = ["CASES", "Case", "Outcome", "cells", "run"]

EXECUTORS = ("inline", "pool")
GUNICORNS = ("gunicorn-sync", "gunicorn-gthread", "gunicorn-gevent")
CONFIG = f"--config={ROOT / 'examples' / 'gunicorn' / 'gunicorn.conf.py'}"
#: Servers that die of SIGTERM itself, unless the application installs its handlers.
RAW = (
    *("werkzeug-threaded", "werkzeug-single", "wsgiref", "gevent-pywsgi"),
    *("waitress", "cheroot", "bjoern", "a2wsgi"),
)
MERCY = tuple(
    f"--hook-master-start=unix_signal:{number} gracefully_kill_them_all" for number in (2, 15)
)
ALL = (*GUNICORNS, "granian", "hypercorn", *RAW, "uwsgi", "mod_wsgi")


@dataclass(frozen=True)
class Case:
    """What happens to a server.

    Args:
        name: the heading of its column.
        servers: to which servers it happens.
        number: the signal that is sent; none, if the worker has to go for another reason.
        options: further options on the command line.
        seconds: how long each task takes.
        env: further environment variables.
        ends: what ends then: the server, its worker, or nothing.
    """

    name: str
    servers: tuple[str, ...]
    number: signal.Signals | None = None
    options: tuple[str, ...] = ()
    seconds: float = 0.5
    env: dict[str, str] = field(default_factory=dict)
    ends: Literal["server", "worker", "nothing"] = "server"

    def __str__(self) -> str:
        return self.name.replace(" ", "_")


CASES = (
    Case("TERM", ALL, signal.SIGTERM),
    Case("INT", ALL, signal.SIGINT),
    Case("TERM, drain_timeout=0.2", ALL, signal.SIGTERM, (), 1.0, {"DRAIN_TIMEOUT": "0.2"}),
    Case("HUP", (*GUNICORNS, "granian", "uwsgi", "mod_wsgi"), signal.SIGHUP, ends="worker"),
    Case("QUIT", GUNICORNS, signal.SIGQUIT),
    Case("--max-requests", GUNICORNS, None, ("--max-requests=5",), ends="worker"),
    Case(
        "--max-requests, --timeout 2",
        GUNICORNS,
        None,
        ("--max-requests=5", "--timeout=2"),
        1.2,
        ends="worker",
    ),
    Case("HUP, --timeout 2", GUNICORNS, signal.SIGHUP, ("--timeout=2",), 1.2, ends="worker"),
    Case("--timeout 2", GUNICORNS, None, ("--timeout=2",), 4.0, ends="nothing"),
    Case("--graceful-timeout 1", GUNICORNS, signal.SIGTERM, ("--graceful-timeout=1",), 1.5),
)


@dataclass(frozen=True)
class Outcome:
    """What became of the tasks that clients were told of, by their numbers."""

    accepted: frozenset[int]
    done: frozenset[int]
    reported: frozenset[int]
    #: Those that were reported as lost and started all the same, or were run twice.
    wrong: frozenset[int]
    seconds: float

    @property
    def missing(self) -> frozenset[int]:
        """Neither done nor reported."""
        return self.accepted - self.done - self.reported

    def __str__(self) -> str:
        count = len(self.accepted)
        late = len(self.reported - self.done)
        text = f"{len(self.done)}/{count}" + (f", {late} reported" if late else "")
        if self.missing or self.wrong:
            text = f"**{text}**, {len(self.missing)} missing, {len(self.wrong)} wrong"
        return f"{text} ({self.seconds:.1f} s)"


def cells() -> Iterator[tuple[str, Case, str]]:
    """Every server with everything that may happen to it, by executor."""
    for case, executor in product(CASES, EXECUTORS):
        for name in case.servers:
            # The pool alone has a deadline of its own; and wsgiref takes a KeyboardInterrupt that
            # comes in a request for the request's error, and serves on.
            stays = (name, case.name) == ("wsgiref", "INT") or "DRAIN_TIMEOUT" in case.env
            if executor == "pool" or not stays:
                yield name, case, executor


def run(name: str, case: Case, executor: str, folder: Path) -> Outcome:
    """Start the server, have it accept tasks, stop it, and see what has become of them."""
    setup = setup_named(name)
    options = case.options
    if name in GUNICORNS:
        options = (CONFIG, *options)
    elif name == "uwsgi":
        options = (*MERCY, *options)
    env = {"EXECUTOR": executor, "INSTALL": "1" if name in RAW else "", **case.env}
    with serving(setup, "stopping:app", folder, *options, env=env) as server:
        job = server.job("work")
        worker = server.ask("/ready").body
        accepted = have_accepted(server, job, case, executor)
        begin = time.monotonic()
        if case.number is not None:
            server.process.send_signal(case.number)
        if case.ends == "server":
            wait_for(lambda: server.process.poll() is not None, 30, f"{setup} ends")
        elif case.ends == "worker":
            wait_for(lambda: has_gone(server, case, int(worker)), 30, f"{setup}'s worker ends")
        else:
            wait_for(lambda: not outcome(server, job, accepted, 0).missing, 30, "all is told")
        seconds = time.monotonic() - begin
        return outcome(server, job, accepted, seconds)


def have_accepted(server: Server, job: Job, case: Case, executor: str) -> dict[str, int]:
    """The numbers of the tasks whose ids clients have, and which an executor has taken."""
    setup = server.setup
    count = 3 if executor == "pool" or setup.many else 1
    accepted: dict[str, int] = {}

    def ask(number: int) -> None:
        path = f"/work?job={job.name}&number={number}&seconds={case.seconds}"
        with suppress(OSError, HTTPException):
            accepted[json.loads(server.ask(path).body)] = number

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    taken = Job(server.folder, f"{job.name}-taken")
    wait_for(lambda: len(taken.lines()) == count, PATIENCE, "executors have all")
    wait_for(lambda: job.lines(), PATIENCE, "a task has started")
    for thread in threads:
        thread.join(PATIENCE)
    return accepted


def has_gone(server: Server, case: Case, pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet has."""
    if case.number is None:  # it takes a number of requests
        with suppress(OSError, HTTPException):
            server.ask("/ready")
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    return True


def outcome(server: Server, job: Job, accepted: dict[str, int], seconds: float) -> Outcome:
    """Compare what the tasks wrote with what the server logged."""
    words = [line.split() for line in job.lines()]
    started = [int(number) for number, what in words if what == "starts"]
    done = [int(number) for number, what in words if what == "ends"]
    told = dict(re.findall(r"\((\w{32})\) was (interrupted|lost|dropped):", server.output()))
    reported = {accepted[id_] for id_ in told if id_ in accepted}
    unstarted = {accepted[id_] for id_, how in told.items() if how != "interrupted"}
    return Outcome(
        accepted=frozenset(accepted.values()),
        done=frozenset(done),
        reported=frozenset(reported),
        wrong=frozenset(unstarted & set(started))
        | {one for one in started if started.count(one) > 1},
        seconds=seconds,
    )


def names_of(cases: tuple[Case, ...]) -> set[str]:
    return {case.name for case in cases}


def table(names: list[str]) -> str:
    """All cells, in Markdown."""
    found: dict[tuple[str, str, str], str] = {}
    for name, case, executor in cells():
        if names and name not in names:
            continue
        folder = Path(tempfile.mkdtemp())
        try:
            text = str(run(name, case, executor, folder))
        except BaseException as error:
            text = f"**{type(error).__name__}**"
            sys.stderr.write(f"{error}\n{(folder / 'output.txt').read_text()[-3000:]}\n")
        found[name, case.name, executor] = text
        sys.stderr.write(f"{name} {case.name} {executor}: {text} {folder}\n")
    lines = [f"Measured on {datetime.now(UTC):%d %B %Y}.", ""]
    for executor in EXECUTORS:
        for cases in (CASES[:4], CASES[4:]):
            rows = [
                name for name in ALL if any((name, one.name, executor) in found for one in cases)
            ]
            lines += [
                f"| {executor} | " + " | ".join(one.name for one in cases) + " |",
                "| --- " * (len(cases) + 1) + "|",
                *(
                    f"| {name} | "
                    + " | ".join(found.get((name, one.name, executor), "") for one in cases)
                    + " |"
                    for name in rows
                ),
                "",
            ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(sys.argv[1:]))
