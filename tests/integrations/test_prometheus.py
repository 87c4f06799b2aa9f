"""Metrics of background tasks, in registries of Prometheus's own client."""

from __future__ import annotations

import gc
import threading
from asyncio import sleep

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest

from tests.executors.support import output
from tests.integrations.support import EACH_KIND, Site, ended
from tests.support import client, wait_for
from wsgibg import (
    App,
    BackgroundTask,
    TaskEvent,
    ThreadExecutor,
    current_task,
    current_tasks,
    task,
    wrap,
)
from wsgibg.integrations.prometheus import Prometheus

NAME = f"{__name__}."


@pytest.fixture(name="registry")
def _registry():
    return CollectorRegistry()


@pytest.fixture(name="values")
def _values(registry):
    """The samples of a metric that are not 0, by the labels' values but for the module."""

    def find(metric):
        found = {}
        for family in registry.collect():
            for sample in family.samples:
                if sample.name == f"wsgibg_{metric}" and sample.value:
                    labels = [sample.labels["name"].removeprefix(NAME).rpartition(".")[2]]
                    labels += [v for k, v in sample.labels.items() if k != "name"]
                    found[" ".join(labels)] = sample.value
        return found

    return find


def work():
    """Do nothing."""


def fail():
    raise LookupError("no such order")


@EACH_KIND
def test_tasks_are_counted_by_name_and_end(registry, values, kind):
    """In both kinds of application, with both executors, sync and async."""
    site = Site(kind)
    Prometheus(site.app, registry=registry)

    async def lent():
        pass

    async def hopping():
        await sleep(0.02)

    def add(tasks):
        for each in (work, work, lent, hopping, hopping, fail, task(work, when="error")):
            tasks.add_task(each)

    site.get(add)

    assert values("tasks_added_total") == {"work": 3, "lent": 1, "hopping": 2, "fail": 1}
    assert values("tasks_total") == {
        "work succeeded": 2,
        "work dropped": 1,
        "lent succeeded": 1,
        "hopping succeeded": 2,
        "fail failed": 1,
    }
    ran = {"work": 2, "lent": 1, "hopping": 2, "fail": 1}
    assert values("task_duration_seconds_count") == ran
    assert values("task_queue_wait_seconds_count") == ran
    assert 0.04 <= values("task_duration_seconds_sum")["hopping"] < 2
    assert values("tasks_waiting") == values("tasks_running") == {}


@EACH_KIND
def test_retries(registry, values, kind):
    """Each attempt is measured; the wait for a retry counts from when it was due."""
    site = Site(kind)
    Prometheus(site.app, registry=registry)
    seen = []

    def flaky():
        seen.append((values("tasks_waiting"), values("tasks_running")))
        if current_task().attempt < 3:
            fail()

    site.add = lambda tasks: tasks.add_task(task(flaky, retries=2, backoff=0.2, jitter=0))
    client(site.app).get("/")
    assert wait_for(lambda: values("tasks_waiting")) == {"flaky": 1}
    ended(site.app.tasks)

    assert seen == [({}, {"flaky": 1})] * 3
    assert values("task_retries_total") == {"flaky": 2}
    assert values("tasks_total") == {"flaky succeeded": 1}
    assert values("task_duration_seconds_count") == {"flaky": 3}
    assert values("task_queue_wait_seconds_count") == {"flaky": 3}
    assert values("task_queue_wait_seconds_sum")["flaky"] < 0.2
    assert values("tasks_waiting") == values("tasks_running") == {}


def test_the_wait_begins_with_the_hand_over(registry, values):
    """Not with `add_task`: what the request takes after that is no wait for a thread."""
    site = Site("app pool")
    Prometheus(site.app, registry=registry)

    def add(tasks):
        tasks.add_task(work)
        threading.Event().wait(0.3)

    site.get(add)

    assert values("task_queue_wait_seconds_sum")["work"] < 0.3


def test_a_task_waits_for_those_before_it(registry, values):
    """And what a task adds waits from then on."""
    site = Site("app pool")
    Prometheus(site.app, registry=registry)

    def slow():
        threading.Event().wait(0.1)
        current_tasks().add_task(added)

    def added():
        pass

    site.get(lambda tasks: (tasks.add_task(slow), tasks.add_task(work)))

    assert values("task_queue_wait_seconds_sum")["work"] >= 0.1
    assert values("task_queue_wait_seconds_sum")["added"] < 0.1


def test_a_task_for_another_executor_is_counted_once(registry, values):
    """Also where a running task adds it, and it is rerouted."""
    site = Site(executors={"pool": ThreadExecutor()})
    Prometheus(site.app, registry=registry)
    apart = task(work, executor="pool")

    def first():
        assert values("tasks_waiting") == {"work": 1}
        current_tasks().add_task(apart)

    site.get(lambda tasks: (tasks.add_task(first), tasks.add_task(apart)))

    assert values("tasks_added_total") == {"first": 1, "work": 2}
    assert values("tasks_total") == {"first succeeded": 1, "work succeeded": 2}
    assert values("tasks_waiting") == {}


def test_lost_and_interrupted_tasks(registry, values):
    """None of them waits any more; the running one runs until it ends, which counts as well."""
    site = Site(executor=ThreadExecutor(workers=1, drain_timeout=0))
    Prometheus(site.app, registry=registry)
    begun, opened = threading.Event(), threading.Event()

    def slow():
        begun.set()
        opened.wait(20)

    site.add = lambda tasks: (tasks.add_task(slow), tasks.add_task(work))
    client(site.app).get("/")
    assert begun.wait(20)
    assert len(site.app.shutdown()) == 2

    assert values("tasks_total") == {"slow interrupted": 1, "work lost": 1}
    assert (values("tasks_waiting"), values("tasks_running")) == ({}, {"slow": 1})
    opened.set()
    wait_for(lambda: values("tasks_running") == {})
    assert values("tasks_total")["slow succeeded"] == 1


def test_a_task_that_goes_without_an_end_waits_no_longer(registry, values):
    """Here an outer application carries what the inner one has counted."""
    site = Site()
    Prometheus(site.app, registry=registry)
    around = wrap(site.app)

    site.get(lambda tasks: tasks.add_task(work), around)
    assert values("tasks_waiting") == {"work": 1}
    gc.collect()
    site.get(lambda tasks: tasks.add_task(fail))

    assert values("tasks_waiting") == {}


def test_an_attempt_that_goes_without_an_end_runs_no_longer(registry, values):
    """Nor does one that tells of its progress count twice."""
    app = App()
    Prometheus(app, registry=registry)
    lost = BackgroundTask(work)
    for kind in ("added", "started", "progress"):
        app.tasks.record(TaskEvent(kind, lost))
    assert values("tasks_running") == {"work": 1}
    del lost
    gc.collect()

    other = BackgroundTask(fail)
    app.tasks.record(TaskEvent("started", other))
    app.tasks.record(TaskEvent("failed", other))

    assert values("tasks_running") == values("tasks_waiting") == {}
    assert values("tasks_total") == {"fail failed": 1}
    assert values("task_queue_wait_seconds_count") == {"work": 1}


def test_an_application_inside_another_shares_the_metrics(registry, values):
    """A task that goes from one to the other is counted once."""
    site = Site()
    around = wrap(site.app)
    Prometheus(site.app, registry=registry)
    Prometheus(around, registry=registry)

    site.get(lambda tasks: tasks.add_task(work), around)

    assert values("tasks_added_total") == {"work": 1}
    assert values("tasks_total") == {"work succeeded": 1}
    assert values("tasks_waiting") == {}


def test_a_task_has_the_time_of_its_attempt_alone(registry, values):
    """Tasks that share one visit to the event loop are told apart."""
    site = Site()
    Prometheus(site.app, registry=registry)

    async def short():
        await sleep(0)

    async def long():
        await sleep(0.1)

    site.get(lambda tasks: (tasks.add_task(long), tasks.add_task(short)))

    sums = values("task_duration_seconds_sum")
    assert sums["short"] < 0.1 <= sums["long"]


def test_the_exposition(registry):
    """Names, units and help, as they are scraped."""
    site = Site()
    Prometheus(site.app, registry=registry, buckets=(1, 60))

    site.get(lambda tasks: tasks.add_task(work))

    text = generate_latest(registry).decode()
    name = f'name="{NAME}work"'
    assert f'wsgibg_tasks_total{{{name},state="succeeded"}} 1.0' in text
    assert f"wsgibg_tasks_waiting{{{name}}} 0.0" in text
    assert f'wsgibg_task_duration_seconds_bucket{{le="60.0",{name}}} 1.0' in text
    assert "# HELP wsgibg_task_queue_wait_seconds How long" in text


def test_mistakes(registry):
    """Watching twice, other buckets, and names that are taken."""
    app = App()
    Prometheus(app, registry=registry)

    with pytest.raises(RuntimeError, match="Prometheus watches these tasks already"):
        Prometheus(app, registry=registry)
    with pytest.raises(ValueError, match="this registry has the metrics already"):
        Prometheus(other := App(), registry=registry, buckets=(1, 2))
    Prometheus(other, registry=registry)
    taken = CollectorRegistry()
    Counter("wsgibg_tasks", "Others.", registry=taken)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        Prometheus(app, registry=taken)


MULTIPROCESS = """
import os, time
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from werkzeug.test import Client
from wsgibg import App, BackgroundTasks, ThreadExecutor
from wsgibg.integrations.prometheus import Prometheus

app = App(executor=ThreadExecutor(workers=1))
Prometheus(app)

@app.get("/{seconds}")
def read(seconds: float, tasks: BackgroundTasks) -> None:
    tasks.add_task(time.sleep, seconds)

children = []
for number in range(2):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        client = Client(app)
        client.get("/0", buffered=True)
        assert app.drain(20) == []
        if number:
            client.get("/60", buffered=True)
            client.get("/60", buffered=True)
            while not any(record.state == "running" for record in app.tasks.recent()):
                time.sleep(0.01)
        os.write(writing, b"x")
        if number == 0:
            os._exit(0)
        time.sleep(60)
    assert os.read(reading, 1) == b"x"
    children.append(child)

def show():
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    for line in generate_latest(registry).decode().splitlines():
        if line.startswith(("wsgibg_tasks_", "wsgibg_task_duration_seconds_count")):
            print(line)

show()
os.kill(children[1], 9)
for child in children:
    os.waitpid(child, 0)
    mark_process_dead(child)
print("dead")
show()
"""


def test_several_processes(tmp_path, monkeypatch):
    """In the client's multiprocess mode counters are added up, and the gauge of the living."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))

    alive, dead = "\n".join(output(MULTIPROCESS)).split("dead\n")

    assert 'wsgibg_tasks_added_total{name="time.sleep"} 4.0' in alive
    assert 'wsgibg_tasks_total{name="time.sleep",state="succeeded"} 2.0' in alive
    assert 'wsgibg_task_duration_seconds_count{name="time.sleep"} 2.0' in alive
    assert 'wsgibg_tasks_waiting{name="time.sleep"} 1.0' in alive
    assert 'wsgibg_tasks_running{name="time.sleep"} 1.0' in alive
    assert 'wsgibg_tasks_total{name="time.sleep",state="succeeded"} 2.0' in dead
    assert "wsgibg_tasks_waiting" not in dead
