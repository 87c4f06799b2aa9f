"""One application, written for four frameworks: what each view returns, and what it adds before."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import bottle
import flask
from django import http
from django.core.cache import cache
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings
from django.urls import path

from tests.integrations.django.project import configure
from wsgibg import current_tasks

with warnings.catch_warnings(action="ignore"):  # (of the modules that WebOb still imports)
    from pyramid.config import Configurator
    from pyramid.httpexceptions import HTTPFound
    from pyramid.response import FileIter, Response

__all__ = ["FRAMEWORKS", "KINDS", "Adding", "add_tasks", "django_site", "notes"]

#: What the tasks of all applications write down.
notes: list[str] = []
KINDS = ("plain", "file", "stream", "empty", "redirect", "missing", "failing")

configure()


def add_tasks() -> None:
    """Add one, from somewhere below a view."""
    current_tasks().add_task(notes.append, "task")


def chunks() -> Iterator[bytes]:
    """A body during which a task is added."""
    yield b"hel"
    current_tasks().add_task(notes.append, "task of the stream")
    yield b"lo"
    notes.append("body")


# --- Flask ---------------------------------------------------------------------------------


def no_flask_content() -> Any:
    response = flask.Response(status=204)
    del response.headers["Content-Type"]  # (the validator takes Flask's default for a mistake)
    return response


def flask_app(**config: Any) -> Any:
    app = flask.Flask(__name__)
    app.config.update(config)
    app.before_request(add_tasks)
    app.teardown_request(lambda error: notes.append("end"))
    views: dict[str, Callable[[], Any]] = {
        "plain": lambda: "hello",
        "file": lambda: flask.send_file(io.BytesIO(b"hello"), download_name="a.txt"),
        "stream": lambda: flask.Response(flask.stream_with_context(chunks())),
        "empty": no_flask_content,
        "redirect": lambda: flask.redirect("/there"),
        "missing": lambda: flask.abort(404),
        "failing": lambda: 1 // 0,
    }
    for name, view in views.items():
        app.add_url_rule(f"/{name}", name, view)
    return app.wsgi_app


# --- Django --------------------------------------------------------------------------------


def no_content(request: Any) -> Any:
    response = http.HttpResponse(status=204)
    del response["Content-Type"]  # (the validator takes Django's default for a mistake)
    return response


def missing(request: Any) -> Any:
    raise http.Http404


def cached(request: Any) -> Any:
    count = cache.get_or_set("count", 0) + 1
    cache.set("count", count)
    return http.HttpResponse(f"hello {count}")


class Adding:
    """Middleware that adds a task before each view."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        add_tasks()
        return self.get_response(request)


class Noting(http.HttpResponse):
    """A response that writes down when it is closed."""

    def close(self) -> None:
        super().close()
        notes.append("end")


urlpatterns = [
    path("plain", lambda request: Noting("hello")),
    path("file", lambda request: http.FileResponse(io.BytesIO(b"hello"), filename="a.txt")),
    path("stream", lambda request: http.StreamingHttpResponse(chunks())),
    path("empty", no_content),
    path("redirect", lambda request: http.HttpResponseRedirect("/there")),
    path("missing", missing),
    path("failing", lambda request: 1 // 0),
    path("cached", cached),
]


def django_site(urls: str = __name__, **options: Any) -> Any:
    """The settings of a project with these URLs, while it is entered."""
    caches = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    options = {"MIDDLEWARE": [f"{__name__}.Adding"], "CACHES": caches, **options}
    return override_settings(ROOT_URLCONF=urls, **options)


def django_app() -> Any:
    return WSGIHandler()


# --- Bottle --------------------------------------------------------------------------------


def bottle_app() -> Any:
    app = bottle.Bottle()
    app.add_hook("before_request", add_tasks)

    def stream() -> Iterator[bytes]:
        yield from chunks()

    def empty() -> Any:
        return bottle.HTTPResponse(status=204)

    views: dict[str, Callable[[], Any]] = {
        "plain": lambda: "hello",
        "file": lambda: io.BytesIO(b"hello"),
        "stream": stream,
        "empty": empty,
        "redirect": lambda: bottle.redirect("/there", 302),
        "missing": lambda: bottle.abort(404),
        "failing": lambda: 1 // 0,
    }
    for name, view in views.items():
        app.route(f"/{name}", ["GET", "HEAD"], view)
    return app


# --- Pyramid -------------------------------------------------------------------------------


def pyramid_app() -> Any:
    views: dict[str, Callable[[], Any]] = {
        "plain": lambda: Response("hello"),
        "file": lambda: Response(app_iter=FileIter(io.BytesIO(b"hello")), content_length=5),
        "stream": lambda: Response(app_iter=chunks()),
        "empty": lambda: Response(status=204),
        "redirect": lambda: HTTPFound("/there"),
        "failing": lambda: 1 // 0,
    }
    with Configurator() as config:
        for name, view in views.items():
            config.add_route(name, f"/{name}")
            config.add_view(lambda request, view=view: view(), route_name=name)
        config.add_subscriber(lambda event: add_tasks(), "pyramid.events.NewRequest")
        return config.make_wsgi_app()


FRAMEWORKS: dict[str, Callable[[], Any]] = {
    "flask": flask_app,
    "django": django_app,
    "bottle": bottle_app,
    "pyramid": pyramid_app,
}
