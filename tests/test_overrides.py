"""Replacing dependencies, in tests above all: `app.dependency_overrides`."""

from __future__ import annotations

import re
from typing import Annotated

import pytest

from tests.support import client
from wsgibg import APIRouter, App, BackgroundTasks, Depends, Query, Security
from wsgibg.params import SecurityScopes


def get_db():
    return "real"


def fake():
    return "fake"


def other():
    return "other"


def service(db: str = Depends(get_db)):
    return f"service on {db}"


@pytest.fixture(name="app")
def _app():
    app, router = App(), APIRouter()

    @app.get("/direct")
    def direct(db: str = Depends(get_db)):
        return db

    @router.get("/nested")
    def nested(service: str = Depends(service)):
        return service

    app.include_router(router)
    return app


CHANGES = {
    "set": lambda overrides: overrides.__setitem__(get_db, fake),
    "update": lambda overrides: overrides.update({get_db: fake}),
    "setdefault": lambda overrides: overrides.setdefault(get_db, fake),
    "|=": lambda overrides: overrides.__ior__({get_db: fake}),
}
UNDO = {
    "del": lambda overrides: overrides.__delitem__(get_db),
    "clear": lambda overrides: overrides.clear(),
    "pop": lambda overrides: overrides.pop(get_db),
    "popitem": lambda overrides: overrides.popitem(),
}


@pytest.mark.parametrize("undo", UNDO.values(), ids=UNDO)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_way_of_changing_a_dictionary_is_noticed(app, change, undo):
    """Before and after the first request."""
    browser = client(app)
    assert browser.get("/direct").json == "real"

    change(app.dependency_overrides)
    assert browser.get("/direct").json == "fake"
    assert browser.get("/nested").json == "service on fake"

    undo(app.dependency_overrides)
    assert browser.get("/direct").json == "real"
    assert browser.get("/nested").json == "service on real"
    assert app.dependency_overrides == {}


@pytest.mark.parametrize("served", [True, False])
def test_overrides_can_be_assigned(app, served):
    """A new dictionary replaces the old one, and goes on being watched."""
    browser = client(app)
    if served:
        browser.get("/direct")

    app.dependency_overrides = {get_db: fake}
    assert browser.get("/direct").json == "fake"
    app.dependency_overrides[get_db] = other
    assert browser.get("/direct").json == "other"
    app.dependency_overrides |= {service: fake}
    assert browser.get("/direct").json == "other"
    assert browser.get("/nested").json == "fake"
    app.dependency_overrides = app.dependency_overrides
    assert browser.get("/direct").json == "other"
    app.dependency_overrides = {}
    assert browser.get("/direct").json == "real"


def test_pop_and_its_kin_return_what_a_dictionary_would(app):
    """Nothing surprising."""
    overrides = app.dependency_overrides

    assert overrides.setdefault(get_db, fake) is fake
    assert overrides.setdefault(get_db, other) is fake
    assert overrides.pop(get_db) is fake
    assert overrides.pop(get_db, None) is None
    with pytest.raises(KeyError):
        overrides.pop(get_db)
    overrides[get_db] = fake
    assert overrides.popitem() == (get_db, fake)


def test_monkeypatch_works(app, monkeypatch):
    """Pytest's way of setting an item and taking it back."""
    browser = client(app)
    with monkeypatch.context() as patch:
        patch.setitem(app.dependency_overrides, get_db, fake)
        assert browser.get("/direct").json == "fake"

    assert browser.get("/direct").json == "real"


def test_an_override_has_parameters_of_its_own(app):
    """Values, dependencies, collectors; errors as well."""
    ran = []

    def replacement(
        tasks: BackgroundTasks, q: Annotated[int, Query()], other: str = Depends(other)
    ):
        tasks.add_task(ran.append, q)
        return f"{other} {q}"

    app.dependency_overrides[get_db] = replacement
    browser = client(app)

    assert browser.get("/direct?q=7").json == "other 7"
    assert ran == [7]
    assert browser.get("/direct").status_code == 422


async def async_fake():
    return "fake"


def generator_fake():
    yield "fake"


async def async_generator_fake():
    yield "fake"


@pytest.mark.parametrize("replacement", [async_fake, generator_fake, async_generator_fake])
def test_an_override_may_be_of_another_kind(app, replacement):
    """The route is compiled anew, however it has to be called."""
    app.dependency_overrides[get_db] = replacement

    assert client(app).get("/direct").json == "fake"


def test_an_override_of_an_override_is_not_followed():
    """FastAPI's rule: one step."""
    app = App()

    @app.get("/")
    def handler(db: str = Depends(get_db)):
        return db

    app.dependency_overrides = {get_db: fake, fake: other}

    assert client(app).get("/").json == "fake"


def test_only_what_runs_is_replaced():
    """The original's own dependencies are not called."""
    calls = []

    def below():
        calls.append("below")

    def original(value: None = Depends(below)):
        calls.append("original")

    app = App(dependencies=[Depends(original)])
    app.get("/")(lambda: None)
    app.dependency_overrides[original] = lambda: calls.append("override")

    client(app).get("/")

    assert calls == ["override"]


def test_uses_of_an_overridden_dependency_share_its_value():
    """It is known by what it replaces."""
    calls = []
    app = App()

    def counted():
        calls.append(1)
        return len(calls)

    @app.get("/")
    def handler(a: int = Depends(get_db), b: int = Depends(get_db)):
        return [a, b]

    app.dependency_overrides[get_db] = counted

    assert client(app).get("/").json == [1, 1]


def test_an_override_sees_the_scopes():
    """Security dependencies are replaced like any other."""
    app = App()

    def user(scopes: SecurityScopes):
        return scopes.scopes

    def nobody(scopes: SecurityScopes):
        return ["nobody", *scopes.scopes]

    @app.get("/")
    def handler(user: list[str] = Security(user, scopes=["a"])):
        return user

    app.dependency_overrides[user] = nobody

    assert client(app).get("/").json == ["nobody", "a"]


def test_classes_can_be_replaced():
    """A dependency that is left to its annotation is that class."""

    class Pages:
        size = 10

    class FewPages:
        size = 1

    app = App()

    def handler(pages):
        return pages.size

    handler.__annotations__ = {"pages": Annotated[Pages, Depends()]}
    app.get("/")(handler)
    app.dependency_overrides[Pages] = FewPages

    assert client(app).get("/").json == 1


def test_a_wrong_override_is_told_at_the_next_request(app, caplog):
    """It cannot be known before; the client gets a 500, and the log names it."""

    def wrong(*args):
        pass

    app.dependency_overrides[get_db] = wrong

    assert client(app).get("/direct").status_code == 500
    assert re.search(r"parameter 'args'.*get_db", caplog.text)


def test_an_override_that_asks_for_the_original_goes_round_in_circles(app, caplog):
    """The original is replaced there as well."""

    def wrapping(db: str = Depends(get_db)):
        return f"wrapped {db}"

    app.dependency_overrides[get_db] = wrapping

    assert client(app).get("/direct").status_code == 500
    assert "it depends on itself" in caplog.text


def test_routes_are_compiled_when_they_are_next_called(app):
    """A change costs nothing until then."""
    browser = client(app)
    browser.get("/direct")
    before = app.compiled("GET", "/direct")

    app.dependency_overrides[get_db] = fake

    assert "call_get_db" in before.source
    assert "call_fake" in app.compiled("GET", "/direct").source
