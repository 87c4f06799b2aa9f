"""What the pool of threads costs: `python -m benchmarks.pool`.

Everything is measured in one run, in turns, and stated as minimum and median. The batch holds one
task with one argument. The thread that takes it is idle and asleep before each hand-over.

What a thread does after it was woken changes what waking it costs (the scheduler treats threads
differently that run for 2 µs and for 20), so the bare queue is measured twice: with a thread that
calls the function, and with one that runs the batch as the pool's thread does.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from time import perf_counter

from wsgibg import BackgroundTasks, TaskManager, ThreadExecutor
from wsgibg._attempt import run_batch
from wsgibg.background import request_collector

Measure = Callable[[], float]


class Bench:
    """The three ways to have a thread do something, and the signal that it has."""

    def __init__(self) -> None:
        self.done = threading.Lock()
        self.done.acquire()
        self.calls: SimpleQueue[Callable[[int], None] | None] = SimpleQueue()
        self.batches: SimpleQueue[BackgroundTasks | None] = SimpleQueue()
        self.executor = ThreadExecutor(workers=1)
        self.manager = TaskManager(self.executor)
        self.futures = ThreadPoolExecutor(1)
        self.workers = [threading.Thread(target=each) for each in (self._call, self._run)]
        for worker in self.workers:
            worker.start()

    def _call(self) -> None:
        while (func := self.calls.get()) is not None:
            func(1)

    def _run(self) -> None:
        while (batch := self.batches.get()) is not None:
            run_batch(batch)
            del batch

    def task(self, _: int) -> None:
        """Say that it has run."""
        self.done.release()

    def batch(self, func: Callable[[int], None]) -> BackgroundTasks:
        """What a request has collected."""
        tasks = request_collector(self.manager)
        tasks.add_task(func, 1)
        return tasks

    def settle(self) -> None:
        """Have the worker fall asleep, and this thread be awake."""
        time.sleep(0.0002)
        awake = perf_counter() + 40e-6
        while perf_counter() < awake:
            pass

    # -------------------------------------------------------------- handing over
    def put(self) -> float:
        self.settle()
        begin = perf_counter()
        self.calls.put(self.task)
        taken = perf_counter() - begin
        self.done.acquire()
        return taken

    def put_batch(self) -> float:
        batch = self.batch(self.task)
        batch.host = self.manager
        self.settle()
        begin = perf_counter()
        self.batches.put(batch)
        taken = perf_counter() - begin
        self.done.acquire()
        return taken

    def hand_over(self) -> float:
        batch = self.batch(self.task)
        self.settle()
        begin = perf_counter()
        self.manager.submit(batch)
        taken = perf_counter() - begin
        self.done.acquire()
        return taken

    def submit(self) -> float:
        self.settle()
        begin = perf_counter()
        self.futures.submit(self.task, 1)
        taken = perf_counter() - begin
        self.done.acquire()
        return taken

    # -------------------------------------------------------------- there and back
    def put_and_back(self) -> float:
        begin = perf_counter()
        self.calls.put(self.task)
        self.done.acquire()
        return perf_counter() - begin

    def put_batch_and_back(self) -> float:
        begin = perf_counter()
        batch = self.batch(_nothing)
        batch.host = self.manager
        batch.after = self.done.release
        self.batches.put(batch)
        self.done.acquire()
        return perf_counter() - begin

    def hand_over_and_back(self) -> float:
        begin = perf_counter()
        self.manager.submit(self.batch(_nothing), after=self.done.release)
        self.done.acquire()
        return perf_counter() - begin

    def submit_and_back(self) -> float:
        begin = perf_counter()
        self.futures.submit(_nothing, 1).result()
        return perf_counter() - begin

    def end(self) -> None:
        """Stop all threads."""
        self.calls.put(None)
        self.batches.put(None)
        for worker in self.workers:
            worker.join()
        self.futures.shutdown()
        self.executor.shutdown()


def _nothing(_: int) -> None:
    """A task."""


def waiting_bytes(batches: int = 10_000, tasks: int = 10) -> float:
    """How many bytes a task takes that waits in the queue, with its share of the batch."""
    executor = ThreadExecutor(workers=1, queue_size=batches + 1)
    manager = TaskManager(executor)
    begun, gate = threading.Event(), threading.Event()

    def hand_over(*calls: Callable[..., object]) -> None:
        batch = request_collector(manager)
        for number, call in enumerate(calls):
            batch.add_task(call, number)
        manager.submit(batch)

    def block(_: int) -> None:
        begun.set()
        gate.wait()

    hand_over(block)
    begun.wait()
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(batches):
        hand_over(*(_nothing,) * tasks)
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    gate.set()
    executor.shutdown()
    return taken / (batches * tasks)


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pool", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--calls", type=int, default=500, help="in each round")
    options = parser.parse_args()

    bench = Bench()
    groups: dict[str, dict[str, Measure]] = {
        "handing over, µs": {
            "SimpleQueue.put, a call": bench.put,
            "SimpleQueue.put, a batch": bench.put_batch,
            "wsgibg": bench.hand_over,
            "ThreadPoolExecutor.submit": bench.submit,
        },
        "there and back, µs": {
            "SimpleQueue.put, a call": bench.put_and_back,
            "SimpleQueue.put, a batch": bench.put_batch_and_back,
            "wsgibg": bench.hand_over_and_back,
            "ThreadPoolExecutor.submit().result()": bench.submit_and_back,
        },
    }
    bench.hand_over()  # its first batch makes the pool
    print(f"CPython {sys.version.split()[0]}, {options.rounds} rounds of {options.calls} calls")
    for title, measures in groups.items():
        figures: dict[str, list[float]] = {name: [] for name in measures}
        for _ in range(options.rounds):
            for name, measure in measures.items():
                calls = [measure() for _ in range(options.calls)]
                figures[name].append(statistics.median(calls) * 1e6)
        print(f"\n{title:40}  {'min':>6}  {'median':>6}  x put of a batch")
        least = min(figures["SimpleQueue.put, a batch"])
        for name, values in figures.items():
            low, middle = min(values), statistics.median(values)
            print(f"  {name:38}  {low:6.2f}  {middle:6.2f}  {low / least:.2f}")
    bench.end()
    print(f"\nA waiting task, in batches of ten: {waiting_bytes():.0f} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
