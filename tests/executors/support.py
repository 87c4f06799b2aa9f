"""What the executors' tests share: a manager's batches, and scripts in processes of their own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from tests.support import ROOT, wait_for
from wsgibg import BackgroundTasks, TaskManager
from wsgibg.background import request_collector, source_var

__all__ = ["Gate", "batch_of", "output", "program", "submit"]


class Gate:
    """A task that says when it has begun, and ends when it is told to."""

    def __init__(self) -> None:
        self.begun, self.opened = threading.Event(), threading.Event()

    def __call__(self, *_: Any) -> None:
        self.begun.set()
        if not self.opened.wait(20):
            raise TimeoutError("nobody opened the gate")


class Source:
    """A request, as far as `current_tasks()` asks."""

    def __init__(self, tasks: BackgroundTasks) -> None:
        self.collector = lambda: tasks


def batch_of(manager: TaskManager, *calls: Any) -> BackgroundTasks:
    """What a request collected: each call is a function, or a tuple of it and its arguments."""
    tasks = request_collector(manager)
    context = copy_context()
    context.run(source_var.set, Source(tasks))
    for call in calls:
        func, *args = call if isinstance(call, tuple) else (call,)
        context.run(tasks.add_task, func, *args)
    return tasks


def submit(
    manager: TaskManager, *calls: Any, after: Callable[[], None] | None = None
) -> BackgroundTasks:
    """Hand over a batch, as the end of a request does."""
    batch = batch_of(manager, *calls)
    manager.submit(batch, after=after)
    return batch


def program(source: str, *flags: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a script; it fails on warnings."""
    return subprocess.run(
        [sys.executable, "-W", "error", *flags, "-c", textwrap.dedent(source)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def output(source: str, *flags: str) -> list[str]:
    """The lines that a script printed; it must succeed and complain of nothing."""
    done = program(source, *flags)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.splitlines()


def ended(manager: TaskManager) -> None:
    """Wait until everything that was handed over has ended."""
    wait_for(lambda: manager.drain(1) == [], 20, "everything has ended")
