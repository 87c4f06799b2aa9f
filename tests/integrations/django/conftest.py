"""What all tests of Django share: tables, a fresh manager, and asking the project."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.db import connections
from django.test import Client, override_settings

from tests.integrations.django import project
from tests.integrations.django.site import urls
from tests.integrations.django.site.models import Note
from tests.support import client as wsgi_client

__all__ = ["project"]  # (importing it has configured Django, before its models are imported)


@pytest.fixture(scope="session", autouse=True)
def _tables() -> Iterator[None]:
    for connection in connections.all():
        with connection.schema_editor() as editor:
            editor.create_model(Note)
    yield
    connections.close_all()


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Each test has a manager of its own, and leaves no rows."""
    with override_settings(WSGIBG={}):
        yield
    for connection in connections.all():
        if not connection.in_atomic_block:  # (that of a TestCase)
            Note.objects.using(connection.alias).all().delete()
            connection.close()


def by_client(path: str = "/", method: str = "get", **options: Any) -> Any:
    """Ask by Django's test client."""
    response = getattr(Client(**options), method)(path)
    if response.streaming:
        response.body = b"".join(response.streaming_content)
        response.close()  # (for the answer to a HEAD, which the client does not close)
    else:
        response.body = response.content
    return response


def by_wsgi(path: str = "/", method: str = "get", **options: Any) -> Any:
    """Ask as a server does, behind the standard library's validator."""
    response = getattr(wsgi_client(WSGIHandler()), method)(path)
    response.body = response.data
    return response


@pytest.fixture
def serve() -> Iterator[Callable[[Any], None]]:
    """`serve(view)` has the project answer every request by that view."""

    def serve(view: Any) -> None:
        urls.current = view

    yield serve
    urls.current = None


@pytest.fixture(params=[by_client, by_wsgi])
def ask(request: pytest.FixtureRequest, serve: Any) -> Callable[..., Any]:
    """`ask(view)` answers a request by a view, through Django's client and as a server does."""

    def ask(view: Any, **options: Any) -> Any:
        serve(view)
        return request.param(**{"raise_request_exception": False, **options})

    return ask
