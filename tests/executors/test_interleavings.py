"""Many threads at once, which take turns after every microsecond: no task is lost, none runs twice.

Threads add tasks while their request ends and while its tasks run, tasks add tasks, and the
executor is shut down at any moment. Whatever the interleaving, each call that was accepted runs
once, or it is reported once; and what was refused does not run.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import create_environ

from tests.executors.conftest import EXECUTORS
from tests.support import wait_for
from wsgibg import App, BackgroundTask, BackgroundTasks, InlineExecutor, task
from wsgibg.exceptions import TaskRefused

#: What a task is like; each gets the world, its own name, and how many it is to add.
KINDS = ("plain", "async", "at once", "fails", "always", "error", "other", "retried", "timed")

plans = st.lists(
    st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 2)), min_size=1, max_size=12),
    min_size=1,
    max_size=6,
)


class Reports(logging.Handler):
    """Counts by their ids the tasks that are said not to have run."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        if "was dropped" in (text := record.getMessage()) or "was lost" in text:
            self.ids[record.task_id] += 1


class World:
    """What happens in one example."""

    def __init__(self) -> None:
        self.accepted: dict[tuple, BackgroundTask] = {}
        self.refused: set[tuple] = set()
        self.ran: list[tuple] = []
        self.retried: set[tuple] = set()

    def add(self, tasks: BackgroundTasks, name: tuple, kind: str, more: int) -> bool:
        """Add a task of this kind, and tell whether it was accepted."""
        func = FUNCS[kind]
        try:
            self.accepted[name] = tasks.add_task(func, self, tasks, name, kind, more)
        except TaskRefused:
            self.refused.add(name)
            return False
        return True

    def run(self, tasks: BackgroundTasks, name: tuple, kind: str, more: int) -> None:
        """What each task does."""
        if kind == "retried" and name not in self.retried:
            self.retried.add(name)
            raise OSError
        self.ran.append(name)
        for number in range(more):
            self.add(tasks, (*name, number), KINDS[(len(name) * 3 + number) % len(KINDS)], 0)
        if kind == "fails":
            raise OSError

    def check(self, reported: Counter[str]) -> None:
        """Everything is over: each task that was accepted ran once, or was reported once."""
        runs = Counter(self.ran)
        assert not [name for name, count in runs.items() if count > 1], "ran twice"
        assert not [name for name in runs if name in self.refused], "ran although it was refused"
        for name, each in self.accepted.items():
            assert runs[name] + reported[each.id] == 1, (name, runs[name], reported[each.id])


async def run_async(world, tasks, *about):
    await asyncio.sleep(0)
    world.run(tasks, *about)


async def run_at_once(world, tasks, *about):
    world.run(tasks, *about)


FUNCS = {
    "plain": World.run,
    "async": run_async,
    "at once": run_at_once,
    "fails": World.run,
    "always": task(World.run, when="always"),
    "error": task(World.run, when="error"),
    "other": task(run_async, executor="other"),
    "retried": task(World.run, retries=1, backoff=0),
    "timed": task(run_async, timeout=60),
}


@contextmanager
def hurry() -> Iterator[None]:
    """Have threads take turns after every microsecond."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextmanager
def listening() -> Iterator[Reports]:
    """Hear what is reported, and print nothing."""
    reports, log = Reports(), logging.getLogger("wsgibg.background")
    log.addHandler(reports)
    propagates, log.propagate = log.propagate, False
    try:
        yield reports
    finally:
        log.propagate = propagates
        log.removeHandler(reports)


def serve(app: App) -> None:
    """A request, as a server serves it."""
    body = app(create_environ("/"), lambda *_: None)
    for _ in body:
        pass
    if hasattr(body, "close"):
        body.close()


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("stop", [False, True], ids=["continue", "stop"])
@settings(max_examples=25, deadline=None)
@given(
    plans=plans,
    fails=st.booleans(),
    watched=st.booleans(),
    named=st.booleans(),
    shutdown=st.sampled_from([None, 0, 0.001]),
    first=st.sampled_from([None, *KINDS]),
)
def test_each_task_runs_or_is_reported_once(
    executor, stop, plans, fails, watched, named, shutdown, first
):
    """Added by threads, by tasks and by the handler, in a request that ends meanwhile."""
    made = EXECUTORS[executor]()
    app = App(
        executor=made,
        executors={"other": InlineExecutor()},
        after_task_error="stop" if stop else "continue",
    )
    world, threads = World(), []
    if watched:
        app.tasks.on_task(lambda _: None)

    def adding(tasks, number, plan):
        for count, (kind, more) in enumerate(plan):
            if not world.add(tasks, (number, count), kind, more):
                return
            if named:
                assert world.accepted[number, count].id

    @app.get("/")
    def read(tasks: BackgroundTasks):
        if first is not None:
            world.add(tasks, ("first",), first, 2)
        for number, plan in enumerate(plans):
            threads.append(threading.Thread(target=adding, args=(tasks, number, plan)))
            threads[-1].start()
        if fails:
            raise ValueError

    with hurry(), listening() as reports:
        ending = threading.Timer(shutdown or 0, made.shutdown)
        if shutdown is not None:
            ending.start()
        serve(app)
        for each in (*threads, *([] if shutdown is None else [ending])):
            each.join(30)
            assert not each.is_alive()
        wait_for(lambda: app.drain(1) == [], 30, "everything has ended")
        made.shutdown()
    world.check(reports.ids)


@pytest.mark.parametrize("executor", EXECUTORS)
@settings(max_examples=10, deadline=None)
@given(plans=plans, requests=st.integers(2, 6), watched=st.booleans())
def test_requests_side_by_side_do_not_disturb_each_other(executor, plans, requests, watched):
    """Each collects its own; the executor runs them all, each batch in its order."""
    made = EXECUTORS[executor]()
    app, worlds = App(executor=made, executors={"other": InlineExecutor()}), {}
    if watched:
        app.tasks.on_task(lambda _: None)

    @app.get("/")
    def read(tasks: BackgroundTasks):
        world = worlds[threading.get_ident()]
        for number, plan in enumerate(plans):
            for count, (kind, more) in enumerate(plan):
                world.add(tasks, (number, count), kind, more)

    def client():
        worlds[threading.get_ident()] = World()
        serve(app)

    with hurry(), listening() as reports:
        threads = [threading.Thread(target=client) for _ in range(requests)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(30)
        wait_for(lambda: app.drain(1) == [], 30, "everything has ended")
        made.shutdown()
    for world in worlds.values():
        world.check(reports.ids)
        assert not world.refused
        firsts = [name for name in world.ran if FUNCS[kind_of(world, name)] is World.run]
        assert firsts == sorted(firsts, key=lambda name: (len(name), name))


def kind_of(world, name):
    return world.accepted[name].args[3]
