"""Pyramid with `pyramid_tm`, set up as in `examples/pyramid_app.py`."""

from __future__ import annotations

import warnings
from itertools import count

import pytest

from tests.integrations.programs import example
from tests.support import client
from wsgibg import current_tasks, task, wrap

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what it imports is deprecated, on some versions of Python
    from pyramid.config import Configurator
    from pyramid.response import Response
    from transaction.interfaces import TransientError


@pytest.fixture(name="module")
def _module(monkeypatch):
    return example("pyramid_app", monkeypatch)


@pytest.fixture(name="notes")
def _notes():
    return []


class Resource:
    """Takes part in a transaction, and notes what becomes of it."""

    transaction_manager = None

    def __init__(self, notes, fails=False):
        self.notes, self.fails = notes, fails

    def abort(self, transaction):
        self.notes.append("abort")

    def tpc_begin(self, transaction):
        pass

    commit = tpc_begin

    def tpc_vote(self, transaction):
        if self.fails:
            raise OSError("disk is full")

    def tpc_finish(self, transaction):
        self.notes.append("commit")

    def tpc_abort(self, transaction):
        self.notes.append("abort")

    def sortKey(self):
        return "resource"


def app_with(module, view, *includes, **settings):
    """The example's set-up around another view."""
    with Configurator(settings=settings) as config:
        for name in ("pyramid_tm", *includes):
            config.include(name)
        config.add_tween(
            "pyramid_app.unless_aborted",
            under="pyramid_tm.tm_tween_factory",
            over="pyramid.tweens.excview_tween_factory",
        )
        config.add_route("any", "/*path")
        config.add_view(view, route_name="any")
        config.add_exception_view(lambda error, request: Response("sorry", status=500))
        return wrap(config.make_wsgi_app())


def test_tasks_come_after_the_commit(module, notes):
    """The order of the end of a request."""

    def view(request):
        request.tm.get().join(Resource(notes))
        current_tasks().add_task(notes.append, "task")
        return Response("done")

    client(app_with(module, view)).get("/")

    # Where a transaction has hooks, it aborts what has been committed once more, to be sure.
    assert [note for note in notes if note != "abort"] == ["commit", "task"]


@pytest.mark.parametrize("way", ["raises", "dooms", "veto", "commit fails"])
def test_an_aborted_transaction(module, notes, way, caplog):
    """Whatever the reason, and whatever the answer: only tasks for errors run."""

    def view(request):
        request.tm.get().join(Resource(notes, fails=way == "commit fails"))
        for when in ("returned", "error", "always"):
            current_tasks().add_task(task(notes.append, when=when), when)
        if way == "raises":
            raise LookupError("view")
        if way == "dooms":
            request.tm.doom()
        return Response("sorry", status=409 if way == "veto" else 200)

    veto = {"tm.commit_veto": "pyramid_tm.default_commit_veto"} if way == "veto" else {}
    answer = client(app_with(module, view, **veto)).get("/")

    assert answer.text == "sorry"
    assert [note for note in notes if note != "abort"] == ["error", "always"]
    assert "abort" in notes
    (dropped,) = (line for line in caplog.messages if "was dropped" in line)
    assert "could not be committed" in dropped or "was aborted" in dropped


def test_attempts_of_a_request(module, notes, caplog):
    """With `pyramid_retry` each has a transaction: the tasks of an aborted one are dropped."""
    attempts = count(1)

    def view(request):
        attempt = next(attempts)
        current_tasks().add_task(notes.append, f"task of attempt {attempt}")
        if attempt == 1:
            raise TransientError("conflict")
        return Response("done")

    app = app_with(module, view, "pyramid_retry")
    assert client(app).get("/").text == "done"

    assert notes == ["task of attempt 2"]
    assert sum("was dropped" in line for line in caplog.messages) == 1


def test_without_a_transaction(module, notes):
    """Where `pyramid_tm` is told to keep out, tasks run after the response."""

    def view(request):
        current_tasks().add_task(notes.append, "task")
        return Response("done")

    app = app_with(module, view, **{"tm.activate_hook": lambda request: False})
    client(app).get("/")

    assert notes == ["task"]
