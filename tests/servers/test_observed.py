"""What the tools that watch a service see of a real server's tasks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers.harness import PATIENCE, Job, Server, hang_up
from tests.support import ROOT, wait_for

CONFIG = ROOT / "examples" / "gunicorn" / "metrics.conf.py"


@pytest.fixture(name="observed")
def _observed(serve: Callable[..., Server], tmp_path: Path) -> Callable[..., Server]:
    """`observed(ORDER=...)`: gunicorn with two workers and the configuration of the manual."""

    def start(**env: str) -> Server:
        options = (f"--config={CONFIG}", "--workers=2")
        env["PROMETHEUS_MULTIPROC_DIR"] = str(tmp_path)
        return serve("gunicorn-gthread", "observed:application", *options, **env)

    return start


def metrics(server: Server) -> dict[str, float]:
    """What is scraped of a task, by the metrics' names and further labels."""
    found = {}
    for line in server.ask("/metrics/").body.decode().splitlines():
        if 'name="evidence.slow"' in line:
            name, _, value = line.rpartition(" ")
            name = name.removeprefix("wsgibg_").replace('name="evidence.slow"', "")
            found[name.replace("{}", "").replace("{,", "{")] = float(value)
    return found


def test_an_inline_task_is_no_part_of_its_request(observed: Callable[..., Server]):
    """The request's span has ended with the last byte; each worker's metrics are added up."""
    server = observed()
    job, spans = server.job(), Job(server.folder, "spans")

    assert server.ask(f"/stream?job={job.name}").body == b"firstlast"
    job.expect("last byte", "task starts")

    assert "GET /stream" in spans.lines()
    assert "evidence.slow" not in spans.lines()
    while_it_runs = metrics(server)
    assert while_it_runs["tasks_running"] == 1
    assert while_it_runs["tasks_waiting"] == 0
    assert while_it_runs["task_queue_wait_seconds_count"] == 1
    job.open("task")
    job.expect("last byte", "task starts", "task ends")
    wait_for(lambda: "evidence.slow" in spans.lines(), PATIENCE, "the task's span has ended")
    after = metrics(server)
    assert after['tasks_total{state="succeeded"}'] == after["tasks_added_total"] == 1
    assert after["task_duration_seconds_count"] == 1
    assert after["tasks_running"] == 0


def test_the_other_order_holds_the_client(observed: Callable[..., Server]):
    """With the middleware around everything, a chunked response ends after the inline task."""
    server = observed(ORDER="outside")
    job, spans = server.job(), Job(server.folder, "spans")
    connection = server.connect()
    connection.request("GET", f"/stream?job={job.name}")
    response = connection.getresponse()
    assert response.read(9) == b"firstlast"
    job.expect("last byte", "task starts")

    connection.sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        response.read()

    assert "GET /stream" not in spans.lines()
    job.open("task")
    hang_up(connection, response)
    job.expect("last byte", "task starts", "task ends")
    wait_for(lambda: "GET /stream" in spans.lines(), PATIENCE, "the request's span has ended")
    assert spans.lines().index("evidence.slow") < spans.lines().index("GET /stream")
