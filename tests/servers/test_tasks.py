"""What runs after an answer, and in which order, on each server."""

from __future__ import annotations

import json
from contextlib import suppress
from http.client import HTTPException

import pytest

from tests.servers.harness import PATIENCE, Job, Server, hang_up
from tests.support import wait_for


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_each_task_runs_once_and_in_order(server: Server, job: Job, streamed: bool):
    """A failing task is logged by its id, spoils no answer and stops no other task."""
    answer = server.ask(f"/order?job={job.name}&streamed={streamed}")

    failing = answer.body.decode() if streamed else json.loads(answer.body)["failing"]
    assert len(failing) == 32
    job.expect("first", "second fails", "third", "fourth, attempt 1", "fifth")
    wait_for(lambda: failing in server.output(), PATIENCE, f"{failing} is in the log")
    assert f"the second task of {job.name} fails" in server.output()


@pytest.mark.parametrize("kind", ["length", "stream"])
def test_a_dependency_is_left_after_the_body_and_before_the_tasks(
    server: Server, job: Job, kind: str
):
    """What a `yield` dependency commits is committed when the tasks start."""
    if kind not in server.setup.early:
        job.open("commit")

    answer = server.ask(f"/commit?job={job.name}&streamed={kind == 'stream'}")
    assert answer.body == (b'{"answer":"whole"}' if kind == "length" else b"one two")
    if kind in server.setup.early:
        assert "commit" not in job.lines()

    job.open("commit")
    body = ["body"] if kind == "stream" else []
    job.expect(*body, "commit", "task")


def test_tasks_run_once_when_the_client_has_gone(server: Server, job: Job):
    """Only those that ask for a delivered answer do not run, where the server notices."""
    job.open("commit")
    chunks = 20_000 if server.setup.notices else 20
    connection = server.connect()
    connection.request("GET", f"/gone?job={job.name}&chunks={chunks}")
    response = connection.getresponse()
    assert response.read(1) == b"x"
    hang_up(connection, response)
    job.open("gone")

    if server.setup.notices:
        job.expect("body closed", "commit", "task")
    else:
        delivered = ["body read to its end", "body closed", "commit", "task"]
        job.expect(*delivered, "task for a delivered body")


def read_what_comes(server: Server, path: str) -> None:
    """Read an answer that breaks off; whether a client can see that is the server's business."""
    with suppress(HTTPException, OSError):
        server.ask(path)
    if not server.setup.closes:
        # The response lives as long as its error does, which nobody has handled.
        server.ask("/collect")


def test_tasks_run_once_when_the_body_breaks(server: Server, job: Job):
    """Those that are to run in any case run; those that ask for a delivered answer do not."""
    read_what_comes(server, f"/broken?job={job.name}")

    job.expect("task")


def test_a_dependency_sees_the_error_of_a_broken_body(server: Server, job: Job):
    """It can roll back; then come the tasks."""
    read_what_comes(server, f"/broken-in-session?job={job.name}")

    job.expect("rollback after the body broke", "task")


def test_async_tasks_of_two_requests_run_at_the_same_time(server: Server, job: Job):
    """Each waits for the other, on one event loop, while the server's threads wait for them."""
    if not server.setup.many:
        pytest.skip(f"{server.setup} serves one request at a time")
    connections = [server.connect(), server.connect()]
    for connection in connections:
        connection.request("GET", f"/meet?job={job.name}")
    for connection in connections:
        assert connection.getresponse().read() == b'"come"'

    job.expect("met", "met")
    for connection in connections:
        connection.close()
