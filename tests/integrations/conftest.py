"""Fixtures of the tests with frameworks and services."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integrations.postgres import running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server that runs for the tests; its data is thrown away."""
    with running_postgres() as url:
        yield url
