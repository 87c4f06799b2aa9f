"""The hook that has a gunicorn worker end its background tasks when it stops.

In a gunicorn configuration file::

    from wsgibg.integrations.gunicorn import *

It works for the worker classes sync, gthread and gevent, whatever stops the worker: SIGTERM,
SIGINT, SIGQUIT, SIGHUP to the arbiter, ``--max-requests``.
"""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import cycle
from time import monotonic
from types import FrameType
from typing import Any

from wsgibg._running import follow_patch
from wsgibg.executors._life import Limit, life

__all__ = ["post_worker_init"]

# The arbiter looks every 0.1 s whether its workers have ended, and its clock starts before theirs.
_MARGIN = 2.0
# What the arbiter gives a worker that was to end gracefully when it is told to end quickly.
_QUICK = 2.0


def post_worker_init(worker: Any) -> None:
    """Have a worker drain the pools of all its managers when it stops.

    Meanwhile its heartbeat goes on, so that ``--timeout`` does not end it. What has not ended
    shortly before ``--graceful-timeout`` (2 s, or half of it) is logged at level ERROR, because
    the arbiter kills the worker then: queued tasks as *lost*, running ones as *interrupted*.

    gunicorn calls it by its name. A configuration that has a hook of this name calls ours::

        from wsgibg.integrations import gunicorn as background

        def post_worker_init(worker):
            background.post_worker_init(worker)
            ...

    Args:
        worker: gunicorn's worker, which has loaded its application.
    """
    follow_patch()
    stopping = _Stopping(worker)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        stopping.listen(number)
    worker.run = stopping.run
    if worker.age == 1:
        for warning in _warnings(worker):
            worker.log.warning("wsgibg: %s", warning)


def _warnings(worker: Any) -> list[str]:
    """What of the configuration will cut tasks, and what to set."""
    cfg, warnings = worker.cfg, []
    seconds = cfg.graceful_timeout - _margin(cfg)
    pools = [each for each in list(life.executors) if each not in life.inline]
    patience = max((each.drain_timeout for each in pools), default=0)
    if patience > seconds:
        warnings.append(
            f"--graceful-timeout is {cfg.graceful_timeout} s, so a worker that stops reports its"
            f" tasks after {seconds:g} s instead of drain_timeout={patience:g}."
            f" Set --graceful-timeout to {math.ceil(patience + _MARGIN)} or more."
        )
    if life.inline and cfg.timeout and cfg.worker_class_str == "sync":
        warnings.append(
            f"a sync worker is ended with the task that it runs inline when that takes longer than"
            f" --timeout ({cfg.timeout} s). Use ThreadExecutor or --worker-class gthread, or raise"
            " --timeout above the longest task."
        )
    return warnings


def _margin(cfg: Any) -> float:
    """Seconds to be done before the arbiter's SIGKILL."""
    return float(min(_MARGIN, cfg.graceful_timeout / 2))


class _Stopping:
    """The end of one worker.

    A thread of its own does the work: the main thread may be busy with a request, and the
    handlers of signals that come meanwhile raise there.
    """

    def __init__(self, worker: Any) -> None:
        self.worker = worker
        self.serve: Callable[[], object] = worker.run
        self.limit = Limit()
        self.first = 0
        self.served = False
        self.wake, self.done = threading.Lock(), threading.Lock()
        self.wake.acquire()
        self.done.acquire()
        threading.Thread(target=self.end, name="wsgibg-stop", daemon=True).start()

    # -------------------------------------------------------------- in the main thread
    def listen(self, number: signal.Signals) -> None:
        """Hear of a signal before the worker does."""
        server: Any = signal.getsignal(number)

        def handle(signum: int, frame: FrameType | None) -> None:
            self.begin(signum)
            if callable(server):
                server(signum, frame)

        signal.signal(number, handle)
        if number is signal.SIGTERM:  # as gunicorn has it; `signal.signal` takes it back
            signal.siginterrupt(number, False)

    def begin(self, number: int) -> None:
        """Note when the arbiter will have lost patience (in a signal's handler: no locks)."""
        cfg, now = self.worker.cfg, monotonic()
        if not self.first:
            self.first = number
            moment = now + cfg.graceful_timeout - _margin(cfg)
            self.limit.bring_forward(moment, "shortly before gunicorn's --graceful-timeout")
        elif self.first == signal.SIGTERM != number:
            self.limit.bring_forward(now + _QUICK / 2, "when gunicorn was told to end quickly")
        with suppress(RuntimeError):  # a second time
            self.wake.release()

    def run(self) -> None:
        """Serve, then drain (instead of the worker's own method)."""
        try:
            self.serve()
        finally:
            self.served = True
            with suppress(RuntimeError):
                self.wake.release()
            self.wait()

    def wait(self) -> None:
        """Keep the heartbeat alive until the end is over, whatever signals' handlers raise."""
        raised: BaseException | None = None
        steps = cycle((self.worker.notify, partial(self.done.acquire, timeout=0.2)))
        for step in steps:
            try:
                if step():
                    break
            except SystemExit as error:
                raised = error
        if raised is not None:
            raise raised

    # -------------------------------------------------------------- in the thread
    def end(self) -> None:
        """Wait for the worker's last request or for the deadline, then drain (the body)."""
        self.wake.acquire()
        try:
            while not self.served and monotonic() < self.limit.moment:
                self.pause()
            life.end(self.limit)
            # The arbiter has lost patience with a request, whose end may hand over more.
            while not self.served:
                life.end(self.limit)
                self.pause()
        finally:
            self.done.release()

    @staticmethod
    def pause() -> None:
        """Wait a little (with what gevent patches)."""
        threading.Event().wait(0.02)
