"""The tests' own tools."""

from __future__ import annotations

import pytest
from werkzeug.wrappers import Response

from tests import support
from tests.support import checked, client, free_port, missing, wait_for


def test_an_answer_without_content_type_passes_the_validator():
    """A redirect may come without a Content-Type, and none is added."""

    def app(environ, start_response):
        start_response("307 Temporary Redirect", [("Location", "/there")])
        return [b""]

    answer = client(app).get("/")

    assert answer.status_code == 307
    assert "Content-Type" not in answer.headers


def test_what_the_standard_forbids_does_not_pass():
    """Text instead of bytes is refused by the validator."""

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return ["text"]

    with pytest.raises(AssertionError, match="non-bytestring"):
        client(app).get("/")


def test_a_body_type_without_a_body_does_not_pass():
    """A 204 with a Content-Type is refused by the validator."""

    def app(environ, start_response):
        start_response("204 No Content", [("Content-Type", "text/plain")])
        return []

    with pytest.raises(AssertionError, match="Content-Type header found"):
        client(app).get("/")


def test_the_client_closes_what_it_has_read():
    """When `get` returns, the body's `close` has been called."""
    calls = []

    def app(environ, start_response):
        response = Response("hello")
        response.call_on_close(lambda: calls.append("closed"))
        return response(environ, start_response)

    assert client(app).get("/").text == "hello"
    assert calls == ["closed"]


def test_the_client_fixture_makes_the_same_client(client):
    """The fixture is the function, for tests that do not import it."""
    assert client(Response("hello")).post("/").text == "hello"


def test_checked_keeps_the_headers():
    """Headers that the app sets arrive unchanged."""
    answer = support.Client(checked(Response("x", headers={"X-Y": "z"}))).get("/")

    assert answer.headers["X-Y"] == "z"
    assert answer.content_type == "text/plain; charset=utf-8"


def test_wait_for_returns_the_answer():
    """The first true answer is returned."""
    answers = iter([0, None, 7])

    assert wait_for(lambda: next(answers)) == 7


def test_wait_for_gives_up_at_its_deadline():
    """The message says what was waited for, and how long."""
    with pytest.raises(pytest.fail.Exception, match=r"the bus is not true after 0\.02 s"):
        wait_for(lambda: False, seconds=0.02, what="the bus")


def test_a_free_port_is_free():
    """The port can be bound."""
    assert 1024 <= free_port() <= 65535


def test_a_missing_server_is_skipped_on_a_laptop(monkeypatch, tmp_path):
    """The skip is noted for the coverage gate."""
    notes = tmp_path / "missing.txt"
    monkeypatch.setattr(support, "IN_CI", False)
    monkeypatch.setenv("WSGIBG_SERVICES_MISSING", str(notes))

    with pytest.raises(pytest.skip.Exception, match="redis"):
        missing("redis")

    assert notes.read_text() == "redis\n"


def test_a_missing_server_is_a_failure_in_ci(monkeypatch):
    """CI installs every service, so a missing one is a mistake there."""
    monkeypatch.setattr(support, "IN_CI", True)

    with pytest.raises(pytest.fail.Exception, match="redis is missing"):
        missing("redis")
