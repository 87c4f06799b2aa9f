"""What a test knows of the tasks of the whole process, and has become of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NamedTuple, get_args

from wsgibg._attempt import leave_batch, run_batch
from wsgibg._observers import Observer
from wsgibg.background import BackgroundTask, BackgroundTasks, seal
from wsgibg.executors import Executor
from wsgibg.testing._watch import drain_process

__all__ = ["Mode", "Place", "Recorder"]

#: What becomes of the tasks that are added: they run as ever; they wait; they do not run.
Mode = Literal["run", "collect", "off"]

#: Whose code is no user's, where tasks are added for a user.
_LIBRARIES = ("wsgibg", "django", "django_tasks")


class Place(NamedTuple):
    """A line of the user's code."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        path, here = Path(self.file), Path.cwd()
        shown = path.relative_to(here) if path.is_relative_to(here) else path
        return f"{shown}:{self.line} in {self.function}"


def _place() -> Place | None:
    """Where the user's code added the task (Django: enqueued it); None if it was made before."""
    frame: FrameType | None = sys._getframe(1)
    called = set()
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _LIBRARIES:
            break
        called.add(frame.f_code.co_name)
        frame = frame.f_back
    # If not, it came with a collector or a response that was made before.
    if frame is None or called.isdisjoint(("add_task", "enqueue")):
        return None
    return Place(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname)


class _Kept(Executor):
    """Takes batches in place of the executor that they were meant for."""

    def __init__(self, keep: Callable[[BackgroundTasks], None]) -> None:
        self.keep = keep

    def submit(self, batch: BackgroundTasks) -> None:
        self.keep(batch)

    def retry(self, batch: BackgroundTasks, delay: float) -> None:
        self.keep(batch)


def _let_go(batch: BackgroundTasks) -> None:
    """Do not run a batch; what waits for its end (a file, an exit) does not wait any longer."""
    seal(batch)
    leave_batch(batch)


class Recorder(Observer):
    """Notes what every manager's tasks do.

    Args:
        mode: what becomes of them.

    Raises:
        ValueError: there is no such mode.
    """

    every = True

    def __init__(self, mode: Mode) -> None:
        self.mode = mode
        #: The tasks, each with the place where it was added.
        self.tasks: list[tuple[BackgroundTask, Place | None]] = []
        self.failures: list[tuple[BackgroundTask, BaseException]] = []
        self._waiting: list[BackgroundTasks] = []
        self._hosts: dict[int, Any] = {}
        self._executors = {"collect": _Kept(self._waiting.append), "off": _Kept(_let_go)}

    @property
    def mode(self) -> Mode:
        """What becomes of tasks from now on."""
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        if mode not in get_args(Mode):
            msg = f'background_tasks has no mode {mode!r}: use "run", "collect" or "off".'
            raise ValueError(msg)
        self._mode: Mode = mode
        self.holds: bool = mode == "run"

    def task_added(self, host: Any, task: BackgroundTask) -> None:
        """Note a task; one that an inner application hands to the outer is added twice."""
        self._hosts[id(host)] = host
        if not any(task is known for known, _ in self.tasks):
            self.tasks.append((task, _place()))

    def executor_for(self, batch: Any, executor: Any) -> Any:
        """Take the batch, unless tasks are to run."""
        return self._executors.get(self.mode, executor)

    def delay_for(self, task: BackgroundTask, delay: float) -> float:
        """No test waits for the next attempt."""
        return 0.0

    def failed(self, task: BackgroundTask, error: BaseException) -> None:
        """Note a failure."""
        self.failures.append((task, error))

    def run_waiting(self) -> None:
        """Run what waits, and what is added by that."""
        while self._waiting:
            run_batch(self._waiting.pop(0))

    def drain(self, timeout: float) -> list[BackgroundTask]:
        """Wait for what is in pools, and give what has not ended."""
        return drain_process(timeout, *[host.drain for host in self._hosts.values()])

    def end(self) -> None:
        """Forget what still waits, and leave the managers as they were."""
        while self._waiting:
            _let_go(self._waiting.pop())
        for host in self._hosts.values():
            host._started.difference_update(self._executors.values())
