"""What the tests of the integrations that watch tasks share: applications that add tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support import client, wait_for
from wsgibg import App, BackgroundTasks, InlineExecutor, TaskManager, ThreadExecutor, wrap

__all__ = ["EACH_KIND", "Site", "ended"]


class Site:
    """An application that adds tasks, by a function that each request calls.

    Args:
        kind: ``"app"`` or ``"wrap"``, and ``"inline"`` or ``"pool"``.
        options: those of the `App` or `wrap`.
    """

    def __init__(self, kind: str = "app inline", **options: Any) -> None:
        self.add: Callable[[BackgroundTasks], object] = lambda tasks: None
        options.setdefault("executor", ThreadExecutor() if "pool" in kind else InlineExecutor())
        if "wrap" in kind:
            self.app: Any = wrap(self._bare, **options)
        else:
            self.app = App(**options)

            @self.app.get("/")
            def read(tasks: BackgroundTasks) -> str:
                self.add(tasks)
                return "hello"

    def _bare(self, environ: Any, start_response: Any) -> list[bytes]:
        self.add(environ["wsgibg.tasks"])
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"hello"]

    def get(self, add: Callable[[BackgroundTasks], object], around: Any = None) -> Any:
        """Answer a request that adds tasks, and wait until these have ended."""
        self.add = add
        answer = client(around or self.app).get("/")
        ended(self.app.tasks)
        return answer


def ended(manager: TaskManager) -> None:
    """Wait until everything that was handed over has ended."""
    wait_for(lambda: manager.drain(1) == [], 20, "everything has ended")


EACH_KIND = pytest.mark.parametrize("kind", ["app inline", "app pool", "wrap inline", "wrap pool"])
