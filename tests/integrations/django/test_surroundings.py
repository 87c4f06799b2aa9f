"""What tasks find: connections that work, none left open, and what was active in the view."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from zoneinfo import ZoneInfo

import pytest
from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import AsyncClient, override_settings
from django.urls import path, reverse
from django.urls.base import get_script_prefix, set_script_prefix
from django.utils import timezone, translation

from tests.integrations.django.site.models import Note
from tests.support import client, wait_for
from wsgibg import InlineExecutor, ThreadExecutor, current_tasks
from wsgibg.background import request_collector
from wsgibg.integrations.django import task_manager


@contextmanager
def override_script_prefix(prefix):
    before = get_script_prefix()
    set_script_prefix(prefix)
    try:
        yield
    finally:
        set_script_prefix(before)


def add(task):
    """A view that adds a task, and uses the database itself."""

    def view(request):
        Note.objects.count()
        current_tasks().add_task(task)
        return HttpResponse("hello")

    return view


def test_the_request_has_given_its_connection_back(serve):
    """A task begins without one: it may take long, and need none."""
    seen = []
    serve(add(lambda: seen.append(connection.connection)))

    client(WSGIHandler()).get("/")

    assert seen == [None]


def test_an_inline_task_leaves_none_open(serve):
    """What it has opened in the server's thread is closed after it, when it fails as well."""
    seen = []

    def fails():
        seen.append(Note.objects.count())
        seen.append(connection.connection)
        raise KeyError

    serve(add(fails))
    client(WSGIHandler()).get("/")

    assert seen[0] == 0
    assert seen[1] is not None
    assert connection.connection is None


def test_a_task_in_the_pool_leaves_none_open(serve):
    """A thread of the pool has a connection of its own, which goes after each task."""
    seen = []

    def count():
        seen.append((Note.objects.count(), connection.settings_dict, threading.get_ident()))
        seen.append(connection._connections[connection._alias])

    serve(add(count))
    executor = ThreadExecutor(workers=1)
    with override_settings(WSGIBG={"EXECUTOR": executor}):
        client(WSGIHandler()).get("/")
        assert task_manager().drain() == []
    executor.shutdown()

    assert seen[0][2] != threading.get_ident()
    assert seen[1].connection is None


def test_connections_persist_as_django_is_told(serve, monkeypatch):
    """`CONN_MAX_AGE` holds for tasks as it does for requests."""
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", None)
    serve(add(Note.objects.count))

    client(WSGIHandler()).get("/")

    assert connection.connection is not None


def test_a_connection_that_is_too_old_is_replaced(serve, monkeypatch):
    """A task that comes long after another finds a connection that works."""
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 3600)
    seen = []

    def count():
        seen.append(connection.connection)
        Note.objects.count()
        seen.append(connection.connection)
        connection.close_at = 0

    def view(request):
        for _ in range(2):
            current_tasks().add_task(count)
        return HttpResponse("hello")

    serve(view)
    client(WSGIHandler()).get("/")

    assert [each is None for each in seen] == [True, False, True, False]


def test_a_block_around_the_task_keeps_its_connection():
    """Outside of requests a task may run in the middle of somebody's transaction."""
    with transaction.atomic():
        Note.objects.create(text="mine")
        tasks = request_collector(None)
        tasks.add_task(Note.objects.count)
        task_manager().submit(tasks)
        assert Note.objects.count() == 1


class Seen:
    """What the async task below has seen."""

    thread = None
    wrapper = None
    count: int | None = None


def look():
    Seen.thread = threading.get_ident()
    Seen.wrapper = connection._connections[connection._alias]
    return Note.objects.count()


async def count_async():
    Seen.count = await sync_to_async(look)()


@pytest.mark.parametrize("executor", [InlineExecutor, ThreadExecutor])
def test_an_async_task_leaves_none_open(serve, executor):
    """Its queries are made in a thread of asgiref's, where the connection is closed as well."""
    made = executor()
    serve(add(count_async))

    with override_settings(WSGIBG={"EXECUTOR": made}):
        client(WSGIHandler()).get("/")
        assert task_manager().drain() == []

    assert Seen.count == 0
    assert Seen.thread != threading.get_ident()
    wait_for(lambda: Seen.wrapper.connection is None)
    made.shutdown()


def test_without_that_thread_none_is_started(serve, monkeypatch):
    """An async task that asks no database costs no thread."""

    class Unused:
        _threads = frozenset()

        def submit(self, *_):
            pytest.fail("nobody has used it")

    async def task():
        pass

    monkeypatch.setattr(SyncToAsync, "single_thread_executor", Unused())
    serve(add(task))

    client(WSGIHandler()).get("/")


async def by_asgi():
    """As an ASGI server asks: in a thread of the request's own, which ends with it."""
    async with ThreadSensitiveContext():
        await AsyncClient().get("/")


async def by_loop():
    """As an async script asks: in the one thread that asgiref has for that."""
    await AsyncClient().get("/")


@pytest.mark.parametrize("way", [by_asgi, by_loop])
def test_an_async_task_of_an_asgi_request(serve, way):
    """It outlives what asgiref kept for the request, asks the database, and leaves none open."""
    executor = ThreadExecutor(workers=1)
    ended = threading.Event()
    Seen.count = None

    def view(request):
        current_tasks().add_task(ended.wait, 10)
        current_tasks().add_task(count_async)
        return HttpResponse("hello")

    serve(view)
    with override_settings(WSGIBG={"EXECUTOR": executor}):
        asyncio.run(way())
        ended.set()
        assert task_manager().drain() == []
    executor.shutdown()

    assert Seen.count == 0
    wait_for(lambda: Seen.wrapper.connection is None)


@pytest.mark.parametrize("executor", [InlineExecutor, ThreadExecutor])
def test_a_task_finds_what_was_active(serve, executor):
    """Language, time zone and script prefix are the view's, in every thread; none outlasts it."""
    seen = []
    zone = ZoneInfo("Asia/Tokyo")

    def look():
        seen.append((translation.get_language(), timezone.get_current_timezone(), reverse(view)))

    def change():
        translation.activate("fr")
        timezone.deactivate()

    def view(request):
        tasks = current_tasks()
        with translation.override("nl"), timezone.override(zone), override_script_prefix("/shop/"):
            for task in (look, change, look):
                tasks.add_task(task)
        with translation.override(None):
            tasks.add_task(look)
        return HttpResponse("hello")

    made = executor()
    serve(view)
    urls = type("urls", (), {"urlpatterns": [path("", view)]})
    with override_settings(WSGIBG={"EXECUTOR": made}, ROOT_URLCONF=urls):
        client(WSGIHandler()).get("/")
        assert task_manager().drain() == []
    made.shutdown()

    assert seen[:2] == [("nl", zone, "/shop/")] * 2
    assert (seen[2][0], seen[2][2]) == (None, "/")
    assert translation.get_language() == "en-us"
