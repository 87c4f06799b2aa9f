"""Files, on each server: its own way of sending them is used where nothing follows."""

from __future__ import annotations

from tests.servers.harness import Job, Server

CONTENT = bytes(range(256)) * 800


def test_a_file_is_sent_in_the_servers_own_way(server: Server, job: Job):
    """What the server's `wsgi.file_wrapper` made is given back to it as it is."""
    (server.folder / "file.bin").write_bytes(CONTENT)

    answer = server.ask(f"/file?job={job.name}")

    assert answer.body == CONTENT
    (found,) = job.lines()
    assert found in {"the server's wrapper", "the server has no wrapper"}


def test_a_task_runs_after_a_file(server: Server, job: Job):
    """The client has the whole file before the task ends."""
    (server.folder / "file.bin").write_bytes(CONTENT)

    answer = server.ask(f"/file-with-task?job={job.name}")

    assert answer.body == CONTENT
    assert "task ends" not in job.lines()
    job.open("task")
    job.expect("task starts", "task ends")
