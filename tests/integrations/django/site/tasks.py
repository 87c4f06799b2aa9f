"""Django tasks of the tests' project."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection
from django.utils import translation

from tests.integrations.django.site.models import Note
from wsgibg import current_tasks

try:
    from django.tasks import task
except ImportError:
    from django_tasks import task

failures: list[Exception] = []
seen: list[Any] = []


@task
def add(a: int, b: int = 0) -> int:
    return a + b


@task
async def add_async(a: int, b: int = 0) -> int:
    await sync_to_async(str)()
    return a + b


@task(takes_context=True)
def tell(context: Any, word: str) -> list[Any]:
    return [context.task_result.id, context.attempt, word]


@task
def fail(path: str) -> None:
    raise {"value": ValueError, "exit": SystemExit}[path]("as it was told")


@task
async def fail_async() -> None:
    raise ValueError("as it was told")


@task
def give_an_object() -> object:
    return object()


@task
def fail_first() -> str:
    if failures:
        raise failures.pop()
    return "at last"


@task
def add_another() -> str:
    current_tasks()
    return add.enqueue(1).id


@task
def note(text: str) -> None:
    Note.objects.create(text=text)


@task
def count() -> str:
    """Counts, and notes the connection and the language that it has found."""
    Note.objects.count()
    seen.append(connection._connections[connection._alias])
    return translation.get_language()


@task
async def count_async() -> str:
    return await sync_to_async(count.func)()


@task
async def nothing_async() -> None:
    pass
