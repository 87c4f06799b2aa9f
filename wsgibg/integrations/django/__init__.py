"""Background tasks for Django projects."""

from __future__ import annotations

from wsgibg.integrations.django._manager import CommitTasks, on_commit, task_manager
from wsgibg.integrations.django._middleware import BackgroundTasksMiddleware

__all__ = ["BackgroundTasksMiddleware", "CommitTasks", "on_commit", "task_manager"]
