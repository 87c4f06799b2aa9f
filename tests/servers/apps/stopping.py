"""An application whose tasks wait for each other, so that some are left when its server stops.

Its pool has one thread. With ``EXECUTOR=inline`` tasks run in the server's threads instead.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from evidence import note

from wsgibg import App, BackgroundTasks, InlineExecutor, ThreadExecutor


class Noting(ThreadExecutor):
    """Writes down what it has taken."""

    def submit(self, batch: BackgroundTasks) -> None:
        job, number, *_ = batch.tasks[0].args
        super().submit(batch)
        note(f"{job}-taken", number)


class NotingInline(InlineExecutor):
    """The same."""

    def submit(self, batch: BackgroundTasks) -> None:
        job, number, *_ = batch.tasks[0].args
        note(f"{job}-taken", number)
        super().submit(batch)


if os.environ.get("EXECUTOR") == "inline":
    app = App(executor=NotingInline())
else:
    app = App(
        executor=Noting(workers=1, drain_timeout=float(os.environ.get("DRAIN_TIMEOUT", "25")))
    )
if os.environ.get("INSTALL"):
    app.install_signal_handlers()


@app.get("/ready")
def ready() -> int:
    """The worker that answers."""
    return os.getpid()


def work(job: str, number: int, seconds: float) -> None:
    note(job, f"{number} starts")
    time.sleep(seconds)
    note(job, f"{number} ends")


async def work_async(job: str, number: int, seconds: float) -> None:
    note(job, f"{number} starts")
    await asyncio.sleep(seconds)
    note(job, f"{number} ends")


@app.get("/work")
def accept(job: str, number: int, tasks: BackgroundTasks, seconds: float = 0.3) -> Any:
    """One batch of one task; every other one is async."""
    return tasks.add_task(work_async if number % 2 else work, job, number, seconds).id
