"""The program of the guide to executors: one that leaves every batch to a single thread."""

# ruff: noqa: D102
from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait

from wsgibg import App, BackgroundTask, BackgroundTasks, Executor, InlineExecutor, task


# --8<-- [start:executor]
class OneThreadExecutor(Executor):
    """Runs the batches one after the other in a thread of its own."""

    def __init__(self) -> None:
        self.inline = InlineExecutor()
        self.pool = ThreadPoolExecutor(max_workers=1)  # starts its thread on first use
        self.pending: dict[Future[None], list[BackgroundTask]] = {}

    def submit(self, batch: BackgroundTasks) -> None:
        tasks = batch.tasks.copy()
        future = self.pool.submit(self.inline.submit, batch)
        self.pending[future] = tasks
        future.add_done_callback(self.pending.pop)

    def drain(self, timeout: float) -> list[BackgroundTask]:
        left = wait(self.pending.copy(), timeout).not_done
        return [task for future in left for task in self.pending.get(future, ())]


# --8<-- [end:executor]

finished = threading.Event()

# --8<-- [start:use]
app = App(executors={"one thread": OneThreadExecutor()})


@task(executor="one thread")
def rebuild_index() -> None:
    finished.set()


@app.post("/documents")
def add_document(background_tasks: BackgroundTasks) -> str:
    background_tasks.add_task(rebuild_index)
    return "accepted"


# --8<-- [end:use]
