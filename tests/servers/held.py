"""How much longer a client waits for an answer with a task in the pool than without, per server.

`python -m tests.servers.held` measures it (`tox -e held`) and prints a table. That no client waits
for the task itself is tested without a clock, in `test_pool.py`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from tests.servers.harness import Server, exchange, serving
from tests.servers.setups import KINDS, SETUPS
from tests.servers.test_answers import PATHS

ROUNDS = 15


def answered(server: Server, kind: str, job: str, *, idle: bool) -> list[float]:
    """Seconds until a client has two answers of this kind, one after the other.

    The second one is on the same connection where the server keeps it.
    """
    method = "HEAD" if kind == "head" else "GET"
    path = f"/pooled{PATHS[kind]}?job={job}&idle={idle}"
    old = kind.startswith("old")
    connection, seconds = server.connect(old=old), []
    for _ in range(2):
        begin = time.perf_counter()
        exchange(connection, path, method)
        seconds.append(time.perf_counter() - begin)
        if old or not server.setup.keeps:
            connection.close()
    connection.close()
    return seconds


def held(server: Server, kind: str) -> tuple[float, float]:
    """How many seconds longer the two answers take at the median when their tasks run."""
    times: dict[bool, list[list[float]]] = {False: [], True: []}
    for _ in range(ROUNDS):
        for idle in (True, False):
            job = server.job("held")
            times[idle].append(answered(server, kind, job.name, idle=idle))
            job.open("task")
    first, second = (
        median(one[place] for one in times[False]) - median(one[place] for one in times[True])
        for place in (0, 1)
    )
    return first, second


def row(name: str, server: Server) -> str:
    """The largest difference of all kinds of answers, in milliseconds."""
    differences = [held(server, kind) for kind in KINDS if kind not in server.setup.spoils]
    first, second = (1000 * max(0.0, *(one[place] for one in differences)) for place in (0, 1))
    return f"| {name} | {first:.1f} ms | {second:.1f} ms |"


def table(names: list[str]) -> str:
    """All servers that call ``close()``, or those that are named, in Markdown."""
    lines = [
        f"Measured on {datetime.now(UTC):%d %B %Y}.",
        "",
        "| server | first answer | second answer, on the same connection where it is kept |",
        "| --- | --- | --- |",
    ]
    for setup in SETUPS:
        if setup.closes and (not names or setup.name in names):
            with serving(setup, "served:application", Path(tempfile.mkdtemp())) as server:
                lines.append(row(setup.name, server))
                sys.stderr.write(f"{lines[-1]}\n")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(sys.argv[1:]))
