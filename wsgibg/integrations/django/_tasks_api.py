"""Django's Tasks interface, from Django itself or from the package django-tasks.

Both have the same names in the same places, but for a few exceptions.
"""

from __future__ import annotations

from typing import Any

try:
    from django.tasks import TaskContext, TaskResult, TaskResultStatus, signals
    from django.tasks.backends.base import BaseTaskBackend
    from django.tasks.base import TaskError
    from django.tasks.exceptions import TaskResultDoesNotExist
    from django.utils.json import normalize_json

    available = True
except ImportError:
    try:
        from django_tasks import TaskContext, TaskResult, TaskResultStatus, signals
        from django_tasks.backends.base import BaseTaskBackend
        from django_tasks.base import TaskError
        from django_tasks.exceptions import TaskResultDoesNotExist
        from django_tasks.utils import normalize_json

        available = True
    except ImportError:
        available = False
        absent: Any = object
        TaskContext = TaskError = TaskResult = TaskResultStatus = signals = absent
        BaseTaskBackend = TaskResultDoesNotExist = normalize_json = absent

__all__ = [
    "BaseTaskBackend",
    "TaskContext",
    "TaskError",
    "TaskResult",
    "TaskResultDoesNotExist",
    "TaskResultStatus",
    "available",
    "normalize_json",
    "signals",
]
