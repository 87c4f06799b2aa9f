"""Settings and fixtures of the whole test suite."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest

from tests.support import IN_CI, Client, client

# No deadline: the machines that run this share their cores. In CI the examples are the same in
# every run, so that a red run can be repeated. HYPOTHESIS_PROFILE=long looks further, by hand
# (with --timeout=0).
hypothesis.settings.register_profile("laptop", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None)
hypothesis.settings.register_profile("long", deadline=None, max_examples=10_000)
hypothesis.settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if IN_CI else "laptop")
)


@pytest.fixture(name="client", scope="session")
def _client() -> Callable[..., Client]:
    """`client(app)`: a client of the checked app."""

    def make(app: Any, **options: Any) -> Client:
        return client(app, **options)

    return make
