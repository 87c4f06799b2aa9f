"""What a type checker says of the test client and the fixtures; never run."""

from __future__ import annotations

from typing import Any, assert_type

from wsgibg import App, BackgroundTask, wrap
from wsgibg.datastructures import URL
from wsgibg.pytest_plugin import Mode, OverridesFixture, TaskFixture
from wsgibg.testclient import TestClient
from wsgibg.testing import ClientCookies, TestResponse

app = App()


def send(to: str, *, subject: str = "") -> int:
    return len(to + subject)


def requests() -> None:
    """Options of the client and of a request are known by name."""
    client = TestClient(
        app, "http://example.org", raise_server_exceptions=False, headers={"A": "b"}
    )
    assert_type(client.get("/", params={"a": 1}, follow_redirects=False), TestResponse)
    assert_type(client.request("POST", "/", json={}, auth=("ada", "secret")), TestResponse)
    client.post("/", data={"a": "b"}, files={"f": b"x"}, query_string="a=1", buffered=False)
    client.post("/", jsno={})  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    TestClient(app, follow_redirect=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert_type(client.cookies, ClientCookies)
    client.cookies["a"] = "b"
    with TestClient(wrap(legacy)) as other, other.stream("GET", "/") as response:
        assert_type(response, TestResponse)


def responses(response: TestResponse) -> None:
    """Attributes of Werkzeug's responses and of httpx's."""
    assert_type(response.status_code, int)
    assert_type(response.json(), Any)
    assert_type(response.text, str)
    assert_type(response.content, bytes)
    assert_type(response.url, URL)
    assert_type(response.cookies, dict[str, str])
    assert_type(response.is_success, bool)
    assert_type(response.raise_for_status(), TestResponse)
    assert_type(list(response.iter_lines()), list[str])


def test_tasks(background_tasks: TaskFixture, dependency_overrides: OverridesFixture) -> None:
    """The arguments of `assert_added` are those of the function."""
    assert_type(background_tasks.mode, Mode)
    background_tasks.mode = "collect"
    background_tasks.mode = "none"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    assert_type(background_tasks.added, list[BackgroundTask])
    assert_type(background_tasks.failures, list[tuple[BackgroundTask, BaseException]])
    assert_type(background_tasks.assert_added(send), BackgroundTask)
    assert_type(background_tasks.assert_added(send, "ada", subject="hello"), BackgroundTask)
    background_tasks.assert_added(send, 3)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    dependency_overrides(app, {send: print})[send] = len


def legacy(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    return []
