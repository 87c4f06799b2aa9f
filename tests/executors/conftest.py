"""Every executor that runs tasks in this process, and a manager that has it as its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from wsgibg import Executor, InlineExecutor, TaskManager, ThreadExecutor

EXECUTORS: dict[str, Callable[[], Executor]] = {
    "inline": InlineExecutor,
    "thread": lambda: ThreadExecutor(workers=2),
    "one thread": lambda: ThreadExecutor(workers=1),
}


@pytest.fixture(params=EXECUTORS)
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    executor = EXECUTORS[request.param]()
    yield executor
    assert executor.shutdown() == []


@pytest.fixture
def manager(executor: Executor) -> TaskManager:
    return TaskManager(executor)
