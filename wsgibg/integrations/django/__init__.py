"""Background tasks for Django projects."""

from __future__ import annotations

from wsgibg.integrations.django._manager import (
    CommitTasks,
    Project,
    on_commit,
    project,
    task_manager,
)
from wsgibg.integrations.django._middleware import BackgroundTasksMiddleware
from wsgibg.integrations.django._results import TaskNotRun
from wsgibg.integrations.django._tasks import TasksBackend

__all__ = [
    "BackgroundTasksMiddleware",
    "CommitTasks",
    "Project",
    "TaskNotRun",
    "TasksBackend",
    "on_commit",
    "project",
    "task_manager",
]
