"""When a client has its answer, on each server."""

from __future__ import annotations

import pytest

from tests.servers.harness import Answer, Job, Server, exchange
from tests.servers.setups import KINDS

PATHS = {
    "length": "/answers/length",
    "stream": "/answers/stream",
    "head": "/answers/length",
    "no-content": "/answers/no-content",
    "empty": "/answers/empty",
    "old length": "/answers/length",
    "old stream": "/answers/stream",
}
BODIES = {"length": b'{"answer":"whole"}', "stream": b"one two three"}


def ask_for(server: Server, kind: str, job: Job) -> Answer:
    """Ask for an answer of this kind and read it to its end."""
    method = "HEAD" if kind == "head" else "GET"
    return server.ask(f"{PATHS[kind]}?job={job.name}", method, old=kind.startswith("old"))


def check_whole(server: Server, kind: str, answer: Answer) -> None:
    """Everything that the handler returned is there, and nothing else."""
    if kind in server.setup.spoils:
        return
    assert answer.status == (204 if kind == "no-content" else 200)
    assert answer.body == BODIES.get(kind.removeprefix("old "), b"")
    if kind == "head":
        assert answer.headers["content-length"] == str(len(BODIES["length"]))


@pytest.mark.parametrize("kind", KINDS)
def test_the_client_has_the_whole_answer_before_the_task_ends(server: Server, job: Job, kind: str):
    """The task ends when the client says so, which has read its answer, where servers allow it."""
    if kind not in server.setup.early:
        job.open("task")

    answer = ask_for(server, kind, job)
    check_whole(server, kind, answer)
    if kind in server.setup.early:
        assert "task ends" not in job.lines()

    job.open("task")
    job.expect("task starts", "task ends")


@pytest.mark.parametrize("kind", ["length", "head", "no-content", "stream"])
def test_a_client_is_served_again_after_a_request_with_a_task(server: Server, job: Job, kind: str):
    """The next request is answered, on the same connection where the server keeps it open."""
    second = server.job()
    connection = server.connect()
    for each in (job, second):
        each.open("task")
        method = "HEAD" if kind == "head" else "GET"
        answer = exchange(connection, f"{PATHS[kind]}?job={each.name}", method)
        check_whole(server, kind, answer)
        each.expect("task starts", "task ends")
        if not server.setup.keeps:
            connection.close()  # uWSGI closes it without saying so
        elif kind == "length":
            assert connection.sock is not None
    connection.close()


@pytest.mark.parametrize("kind", ["length", "stream"])
def test_tasks_of_another_application_run_after_its_answer(server: Server, job: Job, kind: str):
    """What `wrap` collects for a foreign application is no different."""
    if kind not in server.setup.early:
        job.open("task")

    answer = server.ask(f"/foreign?job={job.name}&kind={kind}")
    assert answer.body == (b"whole" if kind == "length" else b"one two three")
    if kind in server.setup.early:
        assert "task ends" not in job.lines()

    job.open("task")
    job.expect("task starts", "task ends")


@pytest.mark.parametrize("kind", ["length", "stream"])
def test_tasks_run_where_nobody_closes_the_response(server: Server, job: Job, kind: str):
    """A thread of their own runs them, so that no client on any server waits for them."""
    answer = server.ask(f"/careless/answers/{kind}?job={job.name}")

    assert answer.body == BODIES[kind]
    assert "task ends" not in job.lines()
    job.open("task")
    job.expect("task starts", "task ends")
