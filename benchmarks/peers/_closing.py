"""A response body that runs jobs when the server closes it, for peers without background tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Jobs = list[tuple[Callable[[Any], Any], Any]]
"""Pairs of a function and its argument."""


class ClosingBody:
    """The chunk, then the jobs: `close()` calls `run(jobs)`."""

    __slots__ = ("chunk", "jobs", "run")

    def __init__(self, chunk: bytes, run: Callable[[Jobs], None], jobs: Jobs) -> None:
        """Keep the chunk to send with the jobs to run after it."""
        self.chunk, self.run, self.jobs = chunk, run, jobs

    def __iter__(self) -> Iterator[bytes]:
        """Yield the chunk."""
        return iter((self.chunk,))

    def close(self) -> None:
        """Run the jobs, once: PEP 3333 has the server call this after the last chunk."""
        jobs, self.jobs = self.jobs, []
        if jobs:
            self.run(jobs)


def run_sync(jobs: Jobs) -> None:
    """Call each function with its argument, in order."""
    for function, argument in jobs:
        function(argument)
