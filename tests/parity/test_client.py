"""Starlette's test client and ours: an application sees the same request from both."""

from __future__ import annotations

import io
import warnings

import fastapi
import pytest
from fastapi.responses import RedirectResponse as TheirRedirect

import wsgibg
from wsgibg.responses import RedirectResponse as OurRedirect
from wsgibg.testclient import TestClient as OurClient

with warnings.catch_warnings():  # Starlette would rather have another release of httpx
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient as TheirClient

SEEN = ("accept", "authorization", "content-type", "cookie", "user-agent", "x-a", "x-b", "host")
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def build(framework, redirect):
    """An application that tells what it was asked, and one redirect of each kind."""
    app = (framework.FastAPI if framework is fastapi else framework.App)()
    request_class, response_class = framework.Request, framework.Response

    async def echo(request):
        body = await request.body()
        kind = request.headers.get("content-type", "")
        form = []
        if "form" in kind:
            found = await request.form()
            for name, value in found.multi_items():
                if isinstance(value, str):
                    form.append((name, value))
                else:
                    form.append((name, value.filename, value.content_type, str(await value.read())))
            await found.close()
        headers = {name: request.headers.get(name) for name in SEEN}
        if kind.startswith("multipart"):
            headers["content-type"], body = "multipart/form-data", b""
        return {
            "method": request.method,
            "url": str(request.url),
            "query": [list(each) for each in request.query_params.multi_items()],
            "headers": headers,
            "cookies": request.cookies,
            "body": body.decode("latin-1"),
            "form": [list(each) for each in form],
            "client": list(request.client or ()),
        }

    echo.__annotations__ = {"request": request_class}
    app.api_route("/echo", methods=METHODS)(echo)

    def login(response):
        response.set_cookie("session", "abc")
        return "ä"

    login.__annotations__ = {"response": response_class}
    app.get("/login")(login)

    def to(status: int):
        return redirect("/echo?from=1", status_code=status)

    to.__annotations__ = {"status": int}
    app.api_route("/to/{status}", methods=METHODS)(to)
    return app


@pytest.fixture(scope="module")
def apps():
    """Theirs and ours, each with its client."""
    return (
        (build(fastapi, TheirRedirect), TheirClient),
        (build(wsgibg, OurRedirect), OurClient),
    )


def files():
    """Made anew for each request, since streams are read."""
    return {
        "a": b"bytes",
        "b": ("b.txt", "text"),
        "c": ("c.bin", io.BytesIO(b"x"), "x/y"),
        "d": ("d.html", b"<p>"),
    }


CASES = [
    ("GET", "/echo?a=1&a=2", dict),
    ("GET", "/echo?a=1", lambda: {"params": {"b": "x y", "c": [1, True, None]}}),
    ("GET", "/echo", lambda: {"params": [("a", "ü&"), ("a", 1.5)]}),
    ("GET", "echo", dict),
    ("GET", "/echo", lambda: {"headers": {"X-A": "1", "User-Agent": "mine", "Host": "x.org"}}),
    ("GET", "/echo", lambda: {"headers": {"X-B": "request"}}),
    ("GET", "/echo", lambda: {"auth": ("ada", "sécret")}),
    ("POST", "/echo", lambda: {"json": {"a": ["ü", 1, None]}}),
    ("PUT", "/echo", lambda: {"json": [], "headers": {"Content-Type": "application/x+json"}}),
    ("PATCH", "/echo", lambda: {"content": b"\x00\xff"}),
    ("POST", "/echo", lambda: {"content": "ü"}),
    ("POST", "/echo", lambda: {"content": iter([b"a", b"b"])}),
    ("POST", "/echo", lambda: {"data": {"a": "x y", "b": ["1", "2"], "c": True, "d": None}}),
    ("POST", "/echo", lambda: {"files": files()}),
    ("POST", "/echo", lambda: {"data": {"name": "ü"}, "files": list(files().items())}),
    ("DELETE", "/echo", dict),
    ("OPTIONS", "/echo", dict),
    *[
        (method, f"/to/{status}", dict)
        for method in ("GET", "POST", "PUT")
        for status in (301, 302, 303, 307, 308)
    ],
    ("POST", "/to/307", lambda: {"content": b"again"}),
    ("POST", "/to/302", lambda: {"content": b"x", "auth": ("a", "b")}),
    ("GET", "/nowhere", dict),
    ("POST", "/login", dict),
    ("GET", "/to/303", lambda: {"follow_redirects": False}),
]


@pytest.mark.parametrize(("method", "url", "options"), CASES, ids=map(str, range(len(CASES))))
def test_requests(apps, method, url, options):
    """The method, URL, headers, cookies, body and form that arrive; and what comes back."""
    seen = []
    for app, kind in apps:
        client = kind(app, headers={"X-B": "client"}, cookies={"k": "v"})
        response = client.request(method, url, **options())
        seen.append(
            {
                "status": response.status_code,
                "json": None if response.has_redirect_location else response.json(),
                "url": str(response.url),
                "history": [(each.status_code, str(each.url)) for each in response.history],
                "phrase": response.reason_phrase.lower(),
                "flags": (response.is_success, response.is_redirect, response.is_error),
                "type": response.headers.get("content-type"),
            }
        )

    assert seen[1] == seen[0]


def test_cookies(apps):
    """Those that a response sets are sent from then on; both have the same dictionary of them."""
    seen = []
    for app, kind in apps:
        client = kind(app, cookies={"k": "v"})
        login = client.get("/login")
        client.cookies.set("later", "1")
        later = client.get("/echo").json()["cookies"]
        client.cookies.delete("k")
        gone = client.get("/echo").json()["cookies"]
        client.cookies.clear()
        seen.append((dict(login.cookies), later, gone, dict(client.cookies), login.text))

    assert seen[1] == seen[0]


def test_base_urls(apps):
    """A path in the base URL, and a root path."""
    seen = []
    for app, kind in apps:
        outer = (fastapi.FastAPI if kind is TheirClient else wsgibg.App)()
        outer.mount("/v1", app)
        based = kind(outer, base_url="https://x.org/v1/").get("/echo").json()
        rooted = kind(app, root_path="/api").get("/echo").status_code
        seen.append((based["url"], based["headers"]["host"], rooted))

    assert seen[1] == seen[0]


def test_streams(apps):
    """Lines, text and bytes of a streamed response."""
    seen = []
    for app, kind in apps:
        client = kind(app)
        found = []
        for how in ("iter_lines", "iter_text", "iter_bytes"):
            with client.stream("GET", "/login") as response:
                found.append(list(getattr(response, how)()))
        seen.append(found)

    assert seen[1] == seen[0]
