"""FastAPI's way of writing handlers, with background tasks, for threaded WSGI servers."""

from __future__ import annotations

from wsgibg import status
from wsgibg.app import App
from wsgibg.background import (
    BackgroundTask,
    BackgroundTasks,
    Injected,
    TaskContext,
    TaskEvent,
    TaskOptions,
    current_task,
    current_tasks,
    task,
)
from wsgibg.datastructures import UploadFile
from wsgibg.embedding import wrap
from wsgibg.exceptions import HTTPException
from wsgibg.executors import Executor, TaskHost
from wsgibg.executors.inline import InlineExecutor
from wsgibg.executors.thread import ThreadExecutor
from wsgibg.manager import TaskManager
from wsgibg.param_functions import Body, Cookie, Depends, Header, Path, Query, Security
from wsgibg.requests import Request
from wsgibg.responses import Response
from wsgibg.routing import APIRouter

__all__ = [
    "APIRouter",
    "App",
    "BackgroundTask",
    "BackgroundTasks",
    "Body",
    "Cookie",
    "Depends",
    "Executor",
    "HTTPException",
    "Header",
    "Injected",
    "InlineExecutor",
    "Path",
    "Query",
    "Request",
    "Response",
    "Security",
    "TaskContext",
    "TaskEvent",
    "TaskHost",
    "TaskManager",
    "TaskOptions",
    "ThreadExecutor",
    "UploadFile",
    "current_task",
    "current_tasks",
    "status",
    "task",
    "wrap",
]
