"""Our dependencies in Django's views."""

from __future__ import annotations

from typing import Annotated

import pytest
from django.http import HttpResponse

from tests.integrations.django.conftest import by_client
from wsgibg import BackgroundTasks, Depends, HTTPException, Query
from wsgibg.embedding import inject
from wsgibg.integrations.django import project


@pytest.fixture
def notes():
    return []


def test_a_view_has_parameters_injected(ask, notes):
    """Dependencies are left when the response was sent, before the tasks."""

    def resource():
        yield "resource"
        notes.append("left")

    @inject
    def view(request, tasks: BackgroundTasks, value: str = Depends(resource)):
        tasks.add_task(notes.append, "task")
        return HttpResponse(value)

    assert ask(view).body == b"resource"
    assert notes == ["left", "task"]


def test_an_http_exception_is_the_answer(ask, notes):
    """What a dependency raises becomes the response, as in an `App`; tasks are dropped."""

    def user():
        raise HTTPException(401, "who are you?", headers={"WWW-Authenticate": "Basic"})

    @inject
    def view(request, tasks: BackgroundTasks, name: str = Depends(user)):
        return HttpResponse(name)

    answer = ask(view)

    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Basic")


def test_a_wrong_value_is_a_422(serve):
    """The body is FastAPI's."""

    @inject
    def view(request, number: Annotated[int, Query()]):
        return HttpResponse(str(number + 1))

    serve(view)

    assert by_client("/?number=1").body == b"2"
    wrong = by_client("/?number=one")
    assert wrong.status_code == 422
    assert wrong.json()["detail"][0]["loc"] == ["query", "number"]


def test_an_error_is_shown_to_the_dependency(ask, notes):
    """The one that a broken view raises, before the response."""

    def transaction():
        try:
            yield
        except KeyError:
            notes.append("rolled back")
            raise

    @inject
    def view(request, nothing: None = Depends(transaction)):
        raise KeyError

    assert ask(view).status_code == 500
    assert notes == ["rolled back"]


def test_dependencies_are_replaced_in_tests(ask, notes):
    """Those of views and of tasks; `call` resolves them in a script."""

    def colour():
        return "red"

    def paint(shade: str = Depends(colour)):
        notes.append(shade)

    @inject
    def view(request, tasks: BackgroundTasks, shade: str = Depends(colour)):
        tasks.add_task(paint)
        return HttpResponse(shade)

    assert ask(view).body == b"red"
    project().dependency_overrides[colour] = lambda: "blue"
    assert ask(view).body == b"blue"
    project().call(paint)
    project().dependency_overrides = None
    project().call(paint)

    assert notes == ["red", "blue", "blue", "red"]
    assert project().drain() == []
