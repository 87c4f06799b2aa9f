"""Fixtures of the tests with real servers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.servers.harness import RUNNING, Job, Server, serving
from tests.servers.setups import SETUPS, setup_named

# They are imported by servers, not by pytest.
collect_ignore = ["apps"]


@pytest.fixture(scope="session", params=SETUPS, ids=str)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Each server in turn, started once, serving `apps/served.py`."""
    setup = request.param
    setup.require()
    with serving(setup, "served:application", tmp_path_factory.mktemp(setup.name)) as running:
        yield running


@pytest.fixture
def job(server: Server) -> Iterator[Job]:
    """A job of the test's own; what still waits in it goes on when the test is over."""
    job = server.job()
    yield job
    job.open("all")


@pytest.fixture
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """`serve("gunicorn-sync", "served:application", "--preload")`: a server for one test."""
    with ExitStack() as stack:

        def start(name: str, app: str, *options: str, **env: str) -> Server:
            setup = setup_named(name)
            setup.require()
            folder = tmp_path_factory.mktemp(name)
            return stack.enter_context(serving(setup, app, folder, *options, env=env))

        yield start


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Generator[None, Any, Any]:
    """Show what the servers said with a test that fails."""
    report = yield
    if report.failed:
        for running in RUNNING:
            report.sections.append((f"{running.setup} said", running.output()[-8000:]))
    return report
