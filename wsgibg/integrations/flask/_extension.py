"""The extension that gives a Flask application background tasks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakSet

from flask import Flask, current_app

from wsgibg._calling import Calling, Injecting
from wsgibg._forwarding import HasTasks
from wsgibg.exceptions import FastAPIError
from wsgibg.executors import Executor
from wsgibg.executors.inline import InlineExecutor
from wsgibg.integrations.flask._context import carry
from wsgibg.integrations.flask._served import ServedFlask
from wsgibg.integrations.flask._snapshot import Snapshots
from wsgibg.manager import AfterTaskError, TaskManager

__all__ = ["BackgroundTasks"]

_NAME = "wsgibg"


class BackgroundTasks(Calling, HasTasks):
    """Gives the requests of a Flask application a collector of background tasks.

    In the application `wsgibg.current_tasks` is the collector of its request. Each attempt of a
    task runs in an application context of its own, so `current_app` and what extensions bind to
    it work there, and is torn down after it. `request` is not there: it is over.

    If a view raises, and be it to have Flask make an error page of it, the tasks that were added
    before are dropped and logged, unless their ``when`` says otherwise.

    Args:
        app: the application; or call `init_app` later, for one or several.
        executor: where tasks run; by default in the response's ``close()``.
        executors: further executors, by name.
        tasks: a `TaskManager` instead of the options above, to share one.
        after_task_error: ``"continue"`` or ``"stop"`` when a task fails.
        strict: whether what is only warned of raises instead.
        request_snapshot: whether tasks know of their request; see `current_request`.
        user_id: called when a task is added, in its request; the snapshot has what it returns.

    Raises:
        ValueError: `user_id` was given without `request_snapshot`.

    Example:
        >>> from flask import Flask, current_app
        >>> from wsgibg import current_tasks
        >>> from wsgibg.integrations.flask import BackgroundTasks
        >>> app = Flask("shop")
        >>> background = BackgroundTasks(app)
        >>> def send_receipt():
        ...     print("receipt of", current_app.name)
        >>> @app.post("/pay")
        ... def pay():
        ...     current_tasks().add_task(send_receipt)
        ...     return "thank you"
        >>> app.test_client().post("/pay", buffered=True).text
        receipt of shop
        'thank you'
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        executor: Executor | None = None,
        executors: Mapping[str, Executor] | None = None,
        tasks: TaskManager | None = None,
        after_task_error: AfterTaskError = "continue",
        strict: bool = False,
        request_snapshot: bool = False,
        user_id: Callable[[], Any] | None = None,
    ) -> None:
        if user_id is not None and not request_snapshot:
            msg = "BackgroundTasks(user_id=...) is for the snapshot: add request_snapshot=True."
            raise ValueError(msg)
        if tasks is None:
            tasks = TaskManager(
                executor or InlineExecutor(), executors=executors, after_task_error=after_task_error
            )
        #: Who carries the tasks: it has the hooks and the records.
        self.tasks: TaskManager = tasks
        self.strict: bool = strict
        self.snapshots: Snapshots = Snapshots(request_snapshot, user_id)
        self._served: WeakSet[ServedFlask] = WeakSet()
        carry(tasks)
        if app is not None:
            self._init_app(app)

    def init_app(self, app: Flask) -> None:
        """Put the collector around ``app.wsgi_app``.

        Several applications may have one extension; they share its executors and hooks. If the
        application has the extension already, a warning says so and nothing changes.

        Args:
            app: the application, which has not served a request yet.
        """
        self._init_app(app)

    def _init_app(self, app: Flask) -> None:
        if _NAME in app.extensions:
            warnings.warn(
                f"{app!r} has background tasks already: init_app(app) was called twice, or"
                " BackgroundTasks(app) and init_app(app). Drop one of the two.",
                RuntimeWarning,
                stacklevel=3,
            )
            return
        app.extensions[_NAME] = self
        self._served.add(ServedFlask(app, self.tasks, strict=self.strict))

    @property
    def injector(self) -> Injecting:  # type: ignore[override]
        """Who resolves what `call` has injected, in a context of the application."""
        return self._application().injector

    @property
    def dependency_overrides(self) -> dict[Any, Any]:
        """Replacements of dependencies of tasks and of `wsgibg.embedding.inject`, for tests."""
        return self._application().dependency_overrides

    def _application(self) -> ServedFlask:
        """The current application, or the only one."""
        served = [each for each in self._served if not current_app or current_app == each.flask]
        if len(served) == 1:
            return served[0]
        msg = (
            f"These background tasks have {len(served) or 'no'} applications that could be meant."
            " Call init_app(app) first, and enter app.app_context() where there are several."
        )
        raise FastAPIError(msg)
