"""Times the peers against each other: short batches, interleaved in random order.

A batch asks one peer the same thing for about 5 ms. A round is one batch of every peer on every
workload, the peers of one workload next to each other, in random order: what disturbs the machine
for longer than that disturbs them alike, so the ratios hold where the figures do not.

The garbage collector stays on during a batch, because making garbage is a cost of a framework.
What exists before the first round is frozen, and what a batch leaves is collected after it,
untimed: no peer pays for another's objects.
"""

from __future__ import annotations

import asyncio
import gc
import io
import itertools
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.domain import LOG
from benchmarks.exchange import Request
from benchmarks.peers import Application, Interface, Peer
from benchmarks.proof import ProofError, prove
from benchmarks.workloads import Workload

try:
    from uvloop import new_event_loop
except ImportError:  # not on Windows
    from asyncio import new_event_loop  # type: ignore[assignment]  # the base class

BATCH_SECONDS = 0.005
CALIBRATIONS = 3
"""One disturbed calibration would shrink a batch to a single request; the fastest counts."""
SLOW_SECONDS = 0.02
"""A peer whose request takes longer takes part in one round of several, not in every one."""

EVENT_LOOP = f"{new_event_loop.__module__}.{new_event_loop.__name__}"


# ---------------------------------------------------------------- one batch


def _null_wsgi(_environ: dict[str, Any], _start_response: Callable[..., Any]) -> tuple[bytes]:
    return (b"",)


async def _null_asgi(_scope: dict[str, Any], _receive: object, _send: object) -> None:
    return None


NULL: dict[Interface, Application] = {"wsgi": _null_wsgi, "asgi": _null_asgi}
"""What the harness itself costs is what it costs to ask these."""


def _write(_data: bytes) -> None:
    """Do nothing."""


def _start_response(
    _status: str, _headers: list[tuple[str, str]], _exc_info: object = None
) -> Callable[[bytes], None]:
    return _write


def _time_wsgi(app: Application, request: Request, count: int) -> float:
    """Return how many seconds `count` requests take, done as a WSGI server does."""
    template, body = request.environ_template, request.body
    started = time.perf_counter()
    for _ in itertools.repeat(None, count):
        environ = template.copy()
        environ["wsgi.input"] = io.BytesIO(body)
        chunks = app(environ, _start_response)
        for _chunk in chunks:
            pass
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    return time.perf_counter() - started


async def _time_asgi(app: Application, request: Request, count: int) -> float:
    """Return how many seconds `count` requests take, done as an ASGI server does."""
    template, headers = request.scope_template, request.scope_template["headers"]
    message = request.message

    async def receive() -> dict[str, Any]:
        return message.copy()

    async def send(_message: dict[str, Any]) -> None:
        pass

    started = time.perf_counter()
    for _ in itertools.repeat(None, count):
        scope = template.copy()
        scope["headers"] = headers.copy()
        scope["state"] = {}
        await app(scope, receive, send)
    return time.perf_counter() - started


# ---------------------------------------------------------------- one peer on one workload


@dataclass
class Entry:
    """A peer on a workload, with what was measured.

    Attributes:
        peer: the peer's name; None for the null application of its interface.
        workload: the workload's name.
        interface: how the application is called.
        run: asks a number of times and returns the seconds that took.
        noted: log entries per request, counted after each batch: a lost task is no speed.
        count: requests per batch.
        stride: takes part in one round of this many.
        samples: seconds per request, by round; the harness's own cost is still in them.

    """

    peer: str | None
    workload: str
    interface: Interface
    run: Callable[[int], float]
    noted: int
    count: int = 1
    stride: int = 1
    samples: dict[int, float] = field(default_factory=dict)

    def calibrate(self) -> None:
        """Choose the number of requests that fill a batch."""
        count = 1
        while True:
            seconds = min(self._measure(count) for _ in range(CALIBRATIONS))
            if seconds > BATCH_SECONDS / 10:
                break
            count *= 8
        request_seconds = seconds / count
        self.count = max(1, round(BATCH_SECONDS / request_seconds))
        self.stride = math.ceil(request_seconds / SLOW_SECONDS)

    def batch(self, round_number: int) -> None:
        """Take one sample, after one request to warm up where a batch holds several.

        The warm-up also starts the worker threads that anyio ends with each entry of the loop.
        """
        self.samples[round_number] = self._measure(self.count) / self.count

    def _measure(self, count: int) -> float:
        if count > 1:
            self.run(1)
            LOG.clear()
        seconds = self.run(count)
        noted = len(LOG)
        LOG.clear()
        if noted != self.noted * count:
            raise ProofError(
                f"{self.peer} on {self.workload}: {count} requests noted {noted} entries, "
                f"expected {self.noted * count}"
            )
        gc.collect()
        return seconds


# ---------------------------------------------------------------- the run


@dataclass
class Measurement:
    """All entries of one interleaved run, by workload and peer's name (None: the null ones)."""

    entries: list[Entry]
    rounds: int = 0

    def of(self, workload: str) -> list[Entry]:
        """Return the entries of a workload, the null ones included."""
        return [entry for entry in self.entries if entry.workload == workload]


@contextmanager
def event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Give the loop that all ASGI peers run on, in the thread of the WSGI peers."""
    loop = new_event_loop()
    try:
        yield loop
    finally:
        loop.close()


def prepare(
    peers: Iterable[Peer],
    workloads: Iterable[Workload],
    loop: asyncio.AbstractEventLoop,
) -> Measurement:
    """Build the peers' applications and prove them.

    Raises:
        ProofError: a peer does not give the expected answer.

    """
    peers, entries = list(peers), []
    for workload in workloads:
        interfaces: dict[Interface, None] = {}
        for peer in peers:
            if workload.site not in peer.sites:
                continue
            app = peer.build(workload.site, workload.size)
            prove(peer, workload, app, loop)
            interfaces[peer.interface] = None
            entries.append(_entry(peer.name, workload, peer.interface, app, loop))
        for interface in interfaces:
            entries.append(_entry(None, workload, interface, NULL[interface], loop))
    return Measurement(entries)


def _entry(
    peer: str | None,
    workload: Workload,
    interface: Interface,
    app: Application,
    loop: asyncio.AbstractEventLoop,
) -> Entry:
    request = workload.request

    def run_wsgi(count: int) -> float:
        return _time_wsgi(app, request, count)

    def run_asgi(count: int) -> float:
        return loop.run_until_complete(_time_asgi(app, request, count))

    run = run_wsgi if interface == "wsgi" else run_asgi
    return Entry(peer, workload.name, interface, run, 0 if peer is None else len(workload.log))


@contextmanager
def _frozen_heap() -> Iterator[None]:
    """Keep the collector from what exists already: ten frameworks and thousands of routes."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def measure(
    measurement: Measurement,
    rounds: int | None,
    seconds: float | None,
    progress: Callable[[str], None],
) -> None:
    """Choose the batches, then run rounds until their number or the seconds are used up.

    The first round is always run to its end, so every entry has a sample.

    Raises:
        ProofError: a batch lost tasks.

    """
    by_workload: dict[str, list[Entry]] = {}
    for entry in measurement.entries:
        by_workload.setdefault(entry.workload, []).append(entry)
    groups = list(by_workload.values())
    with _frozen_heap():
        progress("calibrating")
        for entry in measurement.entries:
            entry.calibrate()
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        for number in itertools.count() if rounds is None else range(rounds):
            progress(f"round {number + 1}" + (f" of {rounds}" if rounds else ""))
            random.shuffle(groups)
            for group in groups:
                random.shuffle(group)
                for entry in group:
                    if number % entry.stride == 0:
                        entry.batch(number)
            measurement.rounds = number + 1
            if time.monotonic() > deadline:
                break
