"""Bottle inside of `wrap`, which is all that it needs."""

from __future__ import annotations

import bottle
import pytest

from tests.support import client
from wsgibg import current_tasks, wrap


@pytest.fixture(name="notes")
def _notes():
    return []


@pytest.fixture(name="shop")
def _shop():
    return bottle.Bottle()


def test_tasks_run_after_the_response(shop, notes):
    """After Bottle's own hooks, too."""
    shop.add_hook("after_request", lambda: notes.append("hook"))

    @shop.get("/<number:int>")
    def read(number):
        current_tasks().add_task(notes.append, number)
        return {"number": number}

    assert client(wrap(shop)).get("/7").json == {"number": 7}

    assert notes == ["hook", 7]


def test_a_body_that_is_sent_may_add_tasks(shop, notes):
    """A view that is a generator."""

    @shop.get("/")
    def read():
        yield "one"
        current_tasks().add_task(notes.append, "task")
        yield "two"

    assert client(wrap(shop)).get("/").text == "onetwo"

    assert notes == ["task"]


@pytest.mark.parametrize("way", ["aborts", "redirects"])
def test_errors_are_answers(shop, notes, way):
    """What Bottle makes a page of, `wrap` does not see: the tasks run."""

    @shop.get("/")
    def read():
        current_tasks().add_task(notes.append, "task")
        if way == "aborts":
            bottle.abort(402, "no luck")
        bottle.redirect("/there")

    assert client(wrap(shop)).get("/").status_code in (302, 303, 402)

    assert notes == ["task"]
