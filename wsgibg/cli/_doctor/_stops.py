"""What becomes of tasks when a server is sent a signal."""

from __future__ import annotations

import os
import secrets
import signal
import time
from dataclasses import dataclass
from http.client import HTTPException

from wsgibg.cli._doctor._served import PATIENCE, START, CannotRun, Served, wait_for

__all__ = ["COUNT", "DONE", "LOST", "REPORTED", "Fate", "send"]

#: How many tasks a request leaves, of which the first runs and the others wait.
COUNT = 3
DONE, REPORTED, LOST = "done", "reported", "lost"
#: Seconds that a server may take to end, besides what tasks take: gunicorn's default is 30.
LONGEST = 45.0
#: Seconds that a server may take to end when no task is left.
END = 5.0


@dataclass(frozen=True)
class Fate:
    """What a signal did.

    Args:
        tasks: what became of each task: `DONE`; `REPORTED` as not done, by name and id; or
            `LOST` without a word. The first one was running, the others waited.
        ended: whether the server has ended.
        serves: whether it serves after it.
        seconds: until that was known.
    """

    tasks: tuple[str, ...]
    ended: bool
    serves: bool
    seconds: float

    def count(self, what: str) -> int:
        """How many tasks have met this."""
        return self.tasks.count(what)


def send(served: Served, mode: str, number: signal.Signals, seconds: float) -> Fate:
    """Have a request leave tasks, send the server a signal, and see.

    Args:
        served: the server.
        mode: the executor, as the probe calls it.
        number: the signal.
        seconds: how long each task takes.

    Raises:
        CannotRun: the request was not answered, or no task has started.
    """
    label = f"s{secrets.token_hex(4)}"
    worker = _leave(served, mode, label, seconds)
    begin = time.monotonic()
    served.process.send_signal(number)
    wait_for(
        lambda: _settled(served, label) or served.ended() or _gone(worker),
        COUNT * seconds + LONGEST,
    )
    if number is signal.SIGTERM:
        wait_for(served.ended, END)
    passed = time.monotonic() - begin
    # Who has ended may have left children that run the tasks.
    wait_for(lambda: _settled(served, label) or _gone(worker), COUNT * seconds)
    serves = not served.ended() and wait_for(lambda: served.ended() or served.answers(), START)
    return Fate(_tasks(served, label), served.ended(), serves and not served.ended(), passed)


def _leave(served: Served, mode: str, label: str, seconds: float) -> int:
    """Leave tasks, and wait until one has started; the process in which it has."""
    connection = served.connect()
    try:
        connection.request(
            "GET", f"{served.prefix}/{mode}/whole?label={label}&count={COUNT}&seconds={seconds}"
        )
        connection.getresponse().read()
    except (OSError, HTTPException) as error:
        raise CannotRun(f"A request with tasks ({mode}) was not answered: {error!r}.") from None
    finally:
        connection.close()
    wait_for(lambda: served.marks.worker(label), PATIENCE)
    worker = served.marks.worker(label)
    if worker is None:
        raise CannotRun(f"No task has started within {PATIENCE:g} s of its request ({mode}).")
    return worker


def _tasks(served: Served, label: str) -> tuple[str, ...]:
    marks = served.marks.of(label)
    return tuple(_fate(marks.get(number, [])) for number in range(COUNT))


def _fate(marks: list[str]) -> str:
    if "ends" in marks:
        return DONE
    return REPORTED if set(marks) - {"starts"} else LOST


def _settled(served: Served, label: str) -> bool:
    """Whether there is nothing to wait for: of each task its end, or a report, is known."""
    return LOST not in _tasks(served, label)


def _gone(pid: int) -> bool:
    """Whether a process has ended; one that somebody has yet to wait for is still there."""
    try:
        os.kill(pid, 0)
    except OSError as error:  # or it is there, and runs as another user
        return isinstance(error, ProcessLookupError)
    return False
