"""The middleware that gives each request of a Django project a collector."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import got_request_exception
from django.http import HttpResponse

from wsgibg._foreign import ForeignScope, ForeignTasks
from wsgibg.background import CLOSED
from wsgibg.exceptions import HTTPException
from wsgibg.integrations.django._manager import Project, carried_by, manager_of, project
from wsgibg.integrations.django._response import end_with
from wsgibg.integrations.django._tasks import MISSING
from wsgibg.integrations.django._tasks_api import available
from wsgibg.records import Outcome

__all__ = ["BackgroundTasksMiddleware"]

log = logging.getLogger("wsgibg.app")

_TWICE = (
    "BackgroundTasksMiddleware is in MIDDLEWARE twice. The first one gives the request its"
    " collector; take the other away."
)
_WRAPPED = (
    "Django is inside wsgibg.wrap(), and BackgroundTasksMiddleware is in MIDDLEWARE: tasks run by"
    " the options of wrap(), not by the setting WSGIBG, and what a task adds itself waits for no"
    " transaction. Take one of the two away."
)


class BackgroundTasksMiddleware:
    """Gives each request a collector of background tasks, and runs them after the response.

    It stands first in ``MIDDLEWARE``. The setting ``WSGIBG`` says where tasks run. The request
    ends when the server closes the response: its resources are closed, ``request_finished`` is
    sent, then the tasks go to their executor.

    Args:
        get_response: what is inside; Django passes it.

    Raises:
        ImproperlyConfigured: the setting is wrong.
    """

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        project()
        _check_tasks()
        first = settings.MIDDLEWARE[0] if settings.MIDDLEWARE else ""
        if not str(first).endswith(type(self).__name__):
            log.warning(
                "BackgroundTasksMiddleware comes after %s in MIDDLEWARE, which has no collector and"
                " may replace responses. Put it first.",
                first,
            )

    def __call__(self, request: Any) -> Any:
        """Answer a request, and have its response end it."""
        begun = _begin(request)
        if begun is None:
            return self.get_response(request)
        tasks, scope = begun
        response: Any = None
        try:
            response = scope.inside(self.get_response, request)
            if tasks.tasks and scope.owner.tasks.holds:
                scope.owner.tasks.hold(tasks, Outcome(scope.failure))
            end_with(response, tasks, scope)
            return response
        except BaseException as error:
            scope.fail(error)
            try:
                if response is not None:  # nobody else has it
                    scope.inside(response.close)
            finally:
                tasks.environ = None
                scope.end_foreign(delivered=False, error=error)
            raise

    def process_exception(self, request: Any, exception: Exception) -> HttpResponse | None:
        """Note that the view has raised, and answer what says itself how.

        Returns:
            The answer of an `HTTPException`, such as a dependency raises; None for all others,
            which are Django's business.
        """
        _note(request, exception)
        if not isinstance(exception, HTTPException):
            return None
        answer = exception.get_response(request.META)
        headers = {name: value for name, value in answer.headers if name != "Content-Length"}
        return HttpResponse(answer.get_data(), status=answer.status_code, headers=headers)


def _check_tasks() -> None:
    """Refuse a backend that nobody would ask: before Django 6 the setting may go unread."""
    for params in getattr(settings, "TASKS", {}).values():
        if not available and "wsgibg.integrations.django" in str(params.get("BACKEND")):
            raise ImproperlyConfigured(MISSING)


def _begin(request: Any) -> tuple[ForeignTasks, ForeignScope] | None:
    """Make the collector of a request, and its scope; none if it has them by this middleware."""
    environ = request.META
    owner = project()
    tasks: ForeignTasks = object.__new__(ForeignTasks)
    tasks.environ = environ
    tasks.app = owner
    tasks.tasks = []
    outer = environ.get("wsgibg.tasks")
    if outer is not None and outer.sink is not CLOSED:
        wrapped = isinstance(outer, ForeignTasks)
        if wrapped and outer.app is owner:
            owner.manager.warn_of_two(_TWICE)
            return None
        around = manager_of(outer)
        if wrapped and around is not owner.tasks:
            owner.manager.warn_of_two(_WRAPPED)
        carried_by(around)
        tasks.outer = outer
    tasks.sink = scope = ForeignScope(tasks)
    environ["wsgibg.tasks"] = tasks
    return tasks, scope


def _note(request: Any, error: BaseException | None) -> None:
    """Have the tasks of a request know that it has failed, if they are this middleware's."""
    tasks = getattr(request, "META", {}).get("wsgibg.tasks")
    if isinstance(tasks, ForeignTasks) and isinstance(tasks.app, Project):
        scope = tasks.scope
        if scope is not None and not scope.failure and error is not None:
            scope.fail(error)


def _note_signal(*, request: Any = None, **_: Any) -> None:
    """What a middleware has raised is told by this signal alone."""
    _note(request, sys.exc_info()[1])


got_request_exception.connect(_note_signal, dispatch_uid="wsgibg")
