"""A program: 500 requests with a task each, then what is left of them, as JSON.

Its arguments are the URL of a database and the path of an executor's class.
"""

from __future__ import annotations

import gc
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.db import connections
from django.http import HttpResponse
from django.urls import path as url_path

from tests.support import client
from wsgibg import BackgroundTask, BackgroundTasks, current_tasks
from wsgibg._scope import RequestScope
from wsgibg.integrations.django import task_manager

REQUESTS = 500
THREADS = 2
SQLITE = {"timeout": 60, "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF"}


def database(url: str) -> dict[str, Any]:
    if not url.startswith("postgresql"):
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": url, "OPTIONS": SQLITE}
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": parts.hostname,
        "NAME": parts.path.lstrip("/"),
        "PORT": parts.port,
        "USER": parts.username,
    }


def configure(url: str, executor: str) -> None:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={"default": database(url)},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=["tests.integrations.django.site"],
        MIDDLEWARE=["wsgibg.integrations.django.BackgroundTasksMiddleware"],
        ROOT_URLCONF=sys.modules[__name__],
        SECRET_KEY="x",
        WSGIBG={"EXECUTOR": executor},
    )
    django.setup()


def notes() -> Any:
    """The model, which can be imported once Django is set up."""
    return import_module("tests.integrations.django.site.models").Note


def write() -> None:
    notes().objects.create(text="task")


def view(request: Any) -> HttpResponse:
    current_tasks().add_task(write)
    return HttpResponse(str(notes().objects.count()))


urlpatterns = [url_path("", view)]


def open_connections(url: str) -> int:
    """How many this process has to the database, as the database or the kernel says."""
    if not url.startswith("postgresql"):
        files = [each.resolve() for each in Path("/proc/self/fd").iterdir()]
        return files.count(Path(url).resolve())
    import psycopg  # noqa: PLC0415 (not everybody has it)

    query = "select count(*) from pg_stat_activity where datname = %s and pid != pg_backend_pid()"
    with psycopg.connect(url) as connection:
        (count,) = connection.execute(query, [urlsplit(url).path.lstrip("/")]).fetchone()
        return int(count)


KINDS = (BackgroundTask, BackgroundTasks, RequestScope, WSGIRequest, HttpResponse)


def alive() -> dict[str, int]:
    gc.collect()
    found = dict.fromkeys([*(kind.__name__ for kind in KINDS), "Context"], 0)
    for each in gc.get_objects():
        for kind in KINDS:
            found[kind.__name__] += kind in type(each).__mro__  # (isinstance wakes lazy ones)
        found["Context"] += type(each) is Context
    return found


def main(url: str, executor: str) -> None:
    configure(url, executor)
    with connections["default"].schema_editor() as editor:
        editor.create_model(notes())
    connections.close_all()
    ask = client(WSGIHandler())
    answers = []

    def requests(count: int) -> None:
        for _ in range(count):
            answers.append(ask.get("/").status_code)

    with ThreadPoolExecutor(THREADS) as server:
        list(server.map(requests, [1] * THREADS))  # (what is made once is made)
        task_manager().drain()
        before, started = alive(), threading.active_count()
        list(server.map(requests, [REQUESTS // THREADS] * THREADS))
        left = task_manager().drain()
        after = alive()
        connected = open_connections(url)
        threads = threading.active_count() - started
    report = {
        "answers": len(answers),
        "well": answers.count(200),
        "left": len(left),
        "rows": notes().objects.count(),
        "connections": connected,
        "more": {name: after[name] - before[name] for name in after if after[name] > before[name]},
        "threads": threads,
    }
    with connections["default"].schema_editor() as editor:
        editor.delete_model(notes())
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
