"""What the comparison leaves open is closed at the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.parity.both import RUNNER

# It is run with the names of each framework, and is nothing without them.
collect_ignore = ["postponed.py"]


@pytest.fixture(autouse=True, scope="session")
def _close_loop() -> Iterator[None]:
    yield
    RUNNER.close()
