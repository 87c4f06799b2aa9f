"""What gunicorn does to its workers."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.servers.harness import PATIENCE, Job, Server
from tests.support import wait_for

APPLICATION = "served:application"


def said(server: Server, *words: str) -> bool:
    """Whether a line of the server's output has all these words."""
    return any(all(word in line for word in words) for line in server.output().splitlines())


@pytest.mark.parametrize("asynchronous", [False, True], ids=["def", "async def"])
def test_a_task_that_outlives_the_timeout_is_reported(
    serve: Callable[..., Server], asynchronous: bool
):
    """The log names the task in which the worker was ended, and those behind it."""
    server = serve("gunicorn-sync", APPLICATION, "--timeout=1")
    job = server.job("stuck")
    worker = server.ask("/ready").body

    answer = server.ask(f"/stuck?job={job.name}&asynchronous={asynchronous}")
    first, second = json.loads(answer.body)

    wait_for(lambda: server.ask("/ready").body != worker, PATIENCE, "there is a new worker")
    assert said(server, "was interrupted", first)
    assert said(server, "was lost", second)
    job.expect("task starts", *(["task was cancelled"] if asynchronous else []))


@pytest.mark.parametrize("name", ["gunicorn-sync", "gunicorn-gthread", "gunicorn-gevent", "uwsgi"])
def test_an_application_may_be_loaded_before_the_fork(serve: Callable[..., Server], name: str):
    """Loop and threads that it used while it was loaded do not keep the worker from its own."""
    # uWSGI loads it before the fork anyway.
    preload = () if name == "uwsgi" else ("--preload",)
    server = serve(name, "warmed:application", *preload)
    job, loading = server.job("preload"), Job(server.folder, "loading")
    in_order = ["first", "second fails", "third", "fourth, attempt 1", "fifth"]
    loading.expect(*in_order)

    answer = server.ask(f"/order?job={job.name}")

    assert answer.status == 200
    job.expect(*in_order)
