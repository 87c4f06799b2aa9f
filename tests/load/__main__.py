"""Many requests on gunicorn and granian: `tox -e load`, or `python -m tests.load`.

Two runs for each server. In the first, clients send 50 000 requests with three tasks each while
the server is told to restart its workers; each task of a request that was answered must have run
once, or have been reported. In the second, requests arrive at a fixed rate, without tasks and then
with so many that half of the pool is busy; the slowest hundredth of the answers is compared.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path

from tests.support import ROOT, free_port, wait_for

#: Clients that send at the same time.
CLIENTS = 8
TASKS = 3

SERVERS = {
    "gunicorn gthread": (
        *(sys.executable, "-m", "gunicorn", "--worker-class=gthread", "--workers=2"),
        *("--threads=8", "--log-level=warning", "--bind=127.0.0.1:{port}", "tests.load.app:app"),
    ),
    "granian": (
        *(sys.executable, "-m", "granian", "--interface=wsgi", "--workers=2"),
        *("--blocking-threads=8", "--no-access-log", "--log-level=warning", "--port={port}"),
        "tests.load.app:app",
    ),
}


@dataclass
class Served:
    """A server process, and the file that its tasks write to."""

    process: subprocess.Popen[bytes]
    port: int
    lines: Path


@contextmanager
def served(name: str) -> Iterator[Served]:
    """Start a server; it has ended, and written everything, when the context is left."""
    with tempfile.TemporaryDirectory() as folder:
        port, lines = free_port(), Path(folder) / "lines"
        lines.touch()
        command = [part.format(port=port) for part in SERVERS[name]]
        environment = {**os.environ, "LOAD_LINES": str(lines)}
        process = subprocess.Popen(command, cwd=ROOT, env=environment)
        try:
            wait_for(lambda: answers(port), 30, f"{name} serves")
            yield Served(process, port, lines)
        finally:
            process.terminate()
            process.wait(60)


def answers(port: int) -> bool:
    """Whether somebody serves there."""
    with suppress(OSError, HTTPException):
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/plain")
        return connection.getresponse().status == 200
    return False


class Client(threading.Thread):
    """Sends requests one after the other, over a connection that it makes anew when it breaks."""

    def __init__(self, port: int, jobs: Iterator[str | None]) -> None:
        super().__init__()
        self.port, self.jobs = port, jobs
        self.accepted: list[str] = []
        self.broken = 0

    def run(self) -> None:
        """Send until there are no more jobs."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        while (job := next(self.jobs)) is not None:
            try:
                connection.request("GET", f"/three/{job}")
                response = connection.getresponse()
                response.read()
            except (OSError, HTTPException):
                self.broken += 1  # it may have been accepted, or not: nobody was told
                connection.close()
                connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
                continue
            if response.status == 200:
                self.accepted.append(job)
        connection.close()


def answered(clients: list[Client], enough: float) -> bool:
    """Whether so many requests have been answered."""
    return sum(len(client.accepted) for client in clients) >= enough


def restarts(name: str, requests: int, times: int) -> str:
    """The first run.

    Returns:
        A line of the table.

    Raises:
        SystemExit: a task was lost without a report, or ran twice.
    """
    numbers, lock = count(), threading.Lock()

    def jobs() -> Iterator[str | None]:
        while True:
            with lock:
                number = next(numbers)
            yield str(number) if number < requests else None

    begin = time.monotonic()
    with served(name) as server:
        clients = [Client(server.port, jobs()) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        for part in range(1, times + 1):
            enough = requests * part / (times + 1)
            wait_for(partial(answered, clients, enough), 600, "enough requests")
            server.process.send_signal(signal.SIGHUP)
        for client in clients:
            client.join()
        seconds = time.monotonic() - begin
        server.process.terminate()
        server.process.wait(60)
        words = [line.split(" ", 1) for line in server.lines.read_text().splitlines()]

    ran = Counter(which for word, which in words if word == "ran")
    reported = Counter(which for word, which in words if word != "ran")
    accepted = [job for client in clients for job in client.accepted]
    wanted = [f"{job} {number}" for job in accepted for number in range(TASKS)]
    missing = [which for which in wanted if not ran[which] and not reported[which]]
    twice = [which for which, times in ran.items() if times > 1]
    broken = sum(client.broken for client in clients)
    if missing or twice:
        sys.exit(f"{name}: missing {missing[:10]} ({len(missing)}), twice {twice[:10]}")
    return (
        f"| {name} | {len(accepted)} | {broken} | {times} | {len(wanted)} "
        f"| {sum(ran[which] > 0 for which in wanted)} "
        f"| {sum(not ran[which] for which in wanted)} | 0 | {requests / seconds:.0f} |"
    )


def tail(port: int, rate: float, seconds: float, sleepy: int) -> float:
    """The slowest hundredth of the answers to requests that arrive at a fixed rate.

    Args:
        port: of the server.
        rate: requests in a second.
        seconds: how long.
        sleepy: every how many requests one adds a task; 0 is never.

    Returns:
        Seconds, from when the request was due.
    """
    begin = time.monotonic() + 0.2
    total = int(rate * seconds)
    taken: list[float] = []

    def send(first: int) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        for number in range(first, total, CLIENTS):
            due = begin + number / rate
            time.sleep(max(0.0, due - time.monotonic()))
            adds = sleepy and number % sleepy == 0
            connection.request("GET", "/sleepy" if adds else "/plain")
            connection.getresponse().read()
            taken.append(time.monotonic() - due)
        connection.close()

    threads = [threading.Thread(target=send, args=(first,)) for first in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statistics.quantiles(taken, n=100)[98]


def latency(name: str, rounds: int, seconds: float) -> str:
    """The second run: a line of its table."""
    rate = 400.0
    # Two processes with eight workers each, half of them busy with tasks of 50 ms: 160 a second.
    every = round(rate / 160)
    without, with_tasks = [], []
    with served(name) as server:
        tail(server.port, rate, 1, every)
        for _ in range(rounds):
            without.append(tail(server.port, rate, seconds, 0))
            with_tasks.append(tail(server.port, rate, seconds, every))
    low, high = statistics.median(without), statistics.median(with_tasks)
    ratios = statistics.median(b / a for a, b in zip(without, with_tasks, strict=True))
    return (
        f"| {name} | {rate:.0f} | {rate / every:.0f} | {low * 1e3:.1f} | {high * 1e3:.1f} "
        f"| {min(with_tasks) / min(without):.2f} | {ratios:.2f} |"
    )


def main() -> int:
    """Run everything, and print Markdown."""
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5, help="of the second run")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each round")
    options = parser.parse_args()
    today = datetime.datetime.now(tz=datetime.UTC).date()
    print(f"{today}, CPython {platform.python_version()}, {os.cpu_count()} processors\n")
    print(
        "| server | answered | broken off | restarts | tasks | ran once | reported | neither "
        "| requests/s |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    )
    for name in SERVERS:
        print(restarts(name, options.requests, options.restarts), flush=True)
    print(
        "\n| server | requests/s | tasks/s | p99 without, ms | p99 with, ms | of the minima "
        "| median of the pairs |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    )
    for name in SERVERS:
        print(latency(name, options.rounds, options.seconds), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
