"""A pool of threads on each server: no client waits, and no task is lost without a word."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable

import pytest

from tests.servers.harness import PATIENCE, Job, Server, exchange
from tests.servers.setups import KINDS
from tests.servers.test_answers import PATHS, check_whole
from tests.support import wait_for

GUNICORNS = ("gunicorn-sync", "gunicorn-gthread", "gunicorn-gevent")
STOPPED = (*GUNICORNS, "granian", "uwsgi")


# --- the client ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_no_client_waits_for_a_task(server: Server, job: Job, kind: str):
    """It reads every kind of answer to its end while the task runs."""
    method = "HEAD" if kind == "head" else "GET"
    old = kind.startswith("old")

    answer = server.ask(f"/pooled{PATHS[kind]}?job={job.name}", method, old=old)

    check_whole(server, kind, answer)
    assert "task ends" not in job.lines()
    job.open("task")
    job.expect("task starts", "task ends")


@pytest.mark.parametrize("kind", ["length", "head", "no-content", "stream"])
def test_no_connection_waits_for_a_task(server: Server, job: Job, kind: str):
    """A second request is answered at once, on the same connection where the server keeps it."""
    second = server.job()
    connection = server.connect()
    method = "HEAD" if kind == "head" else "GET"
    for each in (job, second):
        answer = exchange(connection, f"/pooled{PATHS[kind]}?job={each.name}", method)
        check_whole(server, kind, answer)
        if not server.setup.keeps:
            connection.close()
    for each in (job, second):
        assert "task ends" not in each.lines()
        each.open("task")
        each.expect("task starts", "task ends")
    connection.close()


# --- the end of the server -----------------------------------------------------------------


def ask_for_work(server: Server, job: Job, count: int, seconds: float) -> list[str]:
    """Have the pool of one thread take so many tasks, one after the other; their ids."""
    taken = Job(server.folder, f"{job.name}-taken")
    ids = []
    for number in range(count):
        path = f"/work?job={job.name}&number={number}&seconds={seconds}"
        ids.append(json.loads(server.ask(path).body))
        # A client may have its answer before `close()`, and granian does not wait for that.
        wait_for(lambda: len(taken.lines()) == len(ids), PATIENCE, "the pool has it")
    return ids


def stop(server: Server, number: int) -> None:
    """Send it a signal between two requests, and wait for its end."""
    if server.setup.name == "uwsgi":
        # A worker that is busy with a request leaves at once, and says nothing.
        wait_for(lambda: "&number=2&" in server.output(), PATIENCE, "the last request is over")
    server.process.send_signal(number)
    wait_for(lambda: server.process.poll() is not None, PATIENCE, f"{server.setup} ends")


def check_done(job: Job, count: int) -> None:
    """Each task was run once; which of two requests was over first, the server knows."""
    wait_for(lambda: len(job.lines()) == 2 * count, PATIENCE, f"all is done in {job.lines()}")
    starts, ends = job.lines()[::2], job.lines()[1::2]
    assert sorted(starts) == [f"{number} starts" for number in range(count)]
    assert [line.split()[0] for line in ends] == [line.split()[0] for line in starts]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda one: one.name)
@pytest.mark.parametrize("name", STOPPED)
def test_a_server_that_stops_drains_its_pool(serve: Callable[..., Server], name: str, number: int):
    """The running task and those that wait are done when it has ended."""
    server = serve(name, "stopping:app")
    job = server.job("work")
    ask_for_work(server, job, 3, 0.3)

    stop(server, number)

    check_done(job, 3)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda one: one.name)
@pytest.mark.parametrize("name", STOPPED)
def test_what_a_server_does_not_wait_for_is_reported(
    serve: Callable[..., Server], name: str, number: int
):
    """By its id, at the pool's deadline: the running task may end all the same, no other starts."""
    server = serve(name, "stopping:app", DRAIN_TIMEOUT="0.2")
    job = server.job("work")
    ids = ask_for_work(server, job, 3, 1.5)
    wait_for(job.lines, PATIENCE, "the first task has started")

    stop(server, number)

    reported = re.findall(r"\((\w{32})\) was (interrupted|lost):", server.output())
    states = [(ids[0], "interrupted"), (ids[1], "lost"), (ids[2], "lost")]
    assert sorted(reported) == sorted(states)
    job.expect("0 starts", "0 ends")


@pytest.mark.parametrize("name", GUNICORNS)
def test_a_worker_that_makes_way_for_a_new_one_drains_its_pool(
    serve: Callable[..., Server], name: str
):
    """At HUP; the new worker serves."""
    server = serve(name, "stopping:app")
    job = server.job("work")
    worker = server.ask("/ready").body
    ask_for_work(server, job, 3, 0.3)

    server.process.send_signal(signal.SIGHUP)

    wait_for(lambda: server.ask("/ready").body != worker, PATIENCE, "there is a new worker")
    check_done(job, 3)


@pytest.mark.parametrize("name", GUNICORNS)
def test_recycled_workers_drain_their_pools(serve: Callable[..., Server], name: str):
    """With `--max-requests` several workers in a row each do what they accepted."""
    server = serve(name, "stopping:app", "--max-requests=3")
    job = server.job("work")
    worker = server.ask("/ready").body

    ask_for_work(server, job, 7, 0.1)

    wait_for(lambda: server.ask("/ready").body != worker, PATIENCE, "there is a new worker")
    wait_for(lambda: len(job.lines()) == 14, PATIENCE, "all is done")
    assert sorted(job.lines()) == sorted(
        f"{number} {what}" for number in range(7) for what in ("starts", "ends")
    )


@pytest.mark.parametrize("name", [*GUNICORNS, "uwsgi"])
def test_a_pool_that_was_used_before_the_fork(serve: Callable[..., Server], name: str):
    """The worker makes one of its own, and drains it."""
    preload = () if name == "uwsgi" else ("--preload",)
    server = serve(name, "warmed_pool:app", *preload)
    job, loading = server.job("work"), Job(server.folder, "loading")
    loading.expect("0 starts", "0 ends", "1 starts", "1 ends")
    ask_for_work(server, job, 3, 0.3)

    stop(server, signal.SIGTERM)

    check_done(job, 3)
