"""`wsgibg.testing.TestClient`: what it sends, what it gives back, and what it raises."""

from __future__ import annotations

import gzip
import io
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import werkzeug.test
from werkzeug.datastructures import FileStorage

from wsgibg import (
    App,
    BackgroundTasks,
    Depends,
    HTTPException,
    Request,
    Response,
    TaskManager,
    ThreadExecutor,
    current_tasks,
    task,
    wrap,
)
from wsgibg.exceptions import TaskNotRun
from wsgibg.responses import RedirectResponse, StreamingResponse
from wsgibg.testclient import TestClient as FromTestclient
from wsgibg.testing import HTTPStatusError, TestClient, TestResponse


@pytest.fixture
def app():
    """An application that tells what it was sent."""
    app = App()

    @app.api_route("/echo", methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
    async def echo(request: Request) -> dict[str, object]:
        return {
            "method": request.method,
            "url": str(request.url),
            "query": request.query_params.multi_items(),
            "headers": dict(request.headers),
            "cookies": request.cookies,
            "body": (await request.body()).decode("latin-1"),
            "client": list(request.client or ()),
        }

    @app.post("/form")
    async def form(request: Request) -> list[list[str]]:
        found = await request.form()
        return [
            [name, value if isinstance(value, str) else f"{value.filename} {value.content_type}"]
            for name, value in found.multi_items()
        ]

    return app


@pytest.fixture
def client(app):
    """A client of that application."""
    return TestClient(app)


# ------------------------------------------------------------------ what is sent
def test_the_class_is_where_fastapi_has_it():
    """A port changes the import and nothing else."""
    assert FromTestclient is TestClient
    assert issubclass(TestClient, werkzeug.test.Client)


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options", "trace"])
def test_each_method_has_its_function(client, method):
    """As httpx has them, and Werkzeug."""
    assert getattr(client, method)("/echo").json()["method"] == method.upper()
    assert client.request(method, "/echo").json()["method"] == method.upper()


def test_head_has_no_body(client):
    """The length is that of a GET."""
    response = client.head("/echo")

    assert (response.status_code, response.content) == (405, b"")


@pytest.mark.parametrize(
    ("url", "options", "query"),
    [
        ("/echo?a=1", {}, [["a", "1"]]),
        ("/echo", {"params": {"a": [1, None], "b": True}}, [["a", "1"], ["a", ""], ["b", "true"]]),
        ("/echo", {"params": [("a", "x y"), ("a", "ü")]}, [["a", "x y"], ["a", "ü"]]),
        ("/echo", {"params": "a=1&b"}, [["a", "1"], ["b", ""]]),
        ("/echo", {"params": b"?a=1"}, [["a", "1"]]),
        ("/echo?a=1", {"params": {"b": 2}}, [["b", "2"]]),
        ("/echo", {"query_string": {"a": "1"}}, [["a", "1"]]),
        ("/echo", {"query_string": "a=1"}, [["a", "1"]]),
    ],
)
def test_queries(client, url, options, query):
    """In the URL, as `params` (which replace those of the URL, as in httpx), or Werkzeug's way."""
    assert client.get(url, **options).json()["query"] == query


@pytest.mark.parametrize(
    ("options", "body", "kind"),
    [
        ({"json": {"a": "ü"}}, '{"a":"ü"}', "application/json"),
        ({"json": [], "headers": {"content-type": "x/y"}}, "[]", "x/y"),
        ({"content": "text"}, "text", None),
        ({"content": b"bytes"}, "bytes", None),
        ({"content": io.BytesIO(b"file")}, "file", None),
        ({"content": iter([b"a", b"b"])}, "ab", None),
        ({"data": "text"}, "text", None),
        ({"data": b"bytes", "content_type": "x/y"}, "bytes", "x/y"),
        ({"data": {"a": [1, 2], "b": False}}, "a=1&a=2&b=false", None),
        ({"data": [("a", "1"), ("a", "2")]}, "a=1&a=2", None),
        ({"input_stream": io.BytesIO(b"stream")}, "stream", None),
    ],
)
def test_bodies(client, options, body, kind):
    """JSON, raw content, a form; with the content type that goes with it."""
    sent = client.post("/echo", **options).json()

    assert sent["body"].encode("latin-1").decode() == body
    if kind is not None or "data" not in options:
        assert sent["headers"].get("content-type") == kind


@pytest.mark.parametrize(
    ("files", "got"),
    [
        ({"file": b"x"}, "upload application/octet-stream"),
        ({"file": ("a.txt", "x")}, "a.txt text/plain"),
        ({"file": ("a.txt", b"x", "x/y")}, "a.txt x/y"),
        ({"file": ("a", b"x", None, {"X-A": "b", "Content-Type": "x/z"})}, "a x/z"),
        ([("file", ("a.png", io.BytesIO(b"x")))], "a.png image/png"),
        ({"file": (None, "just text")}, "just text"),
        ({"file": (None, b"just text")}, "just text"),
    ],
)
def test_files(client, files, got):
    """As httpx describes them: a content, or a tuple of name, content, type and headers."""
    sent = client.post("/form", data={"name": "ada"}, files=files).json()

    assert sent == [["name", "ada"], ["file", got]]


def test_a_large_file(client):
    """One that Werkzeug keeps in a temporary file, which is closed with the response."""
    response = client.post("/form", files={"file": ("big", b"x" * 600_000)})

    assert response.json() == [["file", "big application/octet-stream"]]
    assert response.request.environ["wsgi.input"].closed


def test_an_open_file(client, tmp_path):
    """Its name and its type are those of the path."""
    path = tmp_path / "page.html"
    path.write_text("x")

    with path.open("rb") as file:
        assert client.post("/form", files={"file": file}).json() == [
            ["file", "page.html text/html"]
        ]
        assert not file.closed


def test_files_in_werkzeug_s_way(client):
    """In `data`: a stream, a tuple that begins with one, a `FileStorage`."""
    data = {
        "a": (io.BytesIO(b"x"), "a.txt"),
        "b": [FileStorage(io.BytesIO(b"x"), "b.txt"), (io.BytesIO(b"y"), "c.txt")],
    }
    sent = client.post("/form", data=data).json()

    kinds = [["a", "a.txt text/plain"], ["b", "b.txt text/plain"], ["b", "c.txt text/plain"]]
    assert sent == kinds


def test_two_bodies_are_refused(client):
    """Nobody could tell which one is meant."""
    with pytest.raises(TypeError, match=r"A request has one body"):
        client.post("/echo", json={}, data={"a": 1})


def test_unknown_options_are_refused(app, client):
    """Of the client, and of a request."""
    with pytest.raises(TypeError, match=r"TestClient\(\) has no option 'raise_errors'"):
        TestClient(app, raise_errors=True)
    with pytest.raises(TypeError, match=r"jsno"):
        client.post("/echo", jsno={})
    with pytest.raises(TypeError, match=r"and the rest by name"):
        client.open("/echo", "http://example.org")


def test_headers_of_client_and_request(app):
    """Those of the request replace the client's; repeated ones are joined as servers do."""
    client = TestClient(app, headers={"X-A": "client", "X-B": "client"})

    headers = client.get("/echo", headers={b"x-a": b"request"}).json()["headers"]
    several = client.get("/echo", headers=[("X-A", "1"), ("X-A", "2")]).json()["headers"]

    assert (headers["x-a"], headers["x-b"]) == ("request", "client")
    assert headers["user-agent"] == "testclient"
    assert several["x-a"] == "1, 2"
    client.headers["X-C"] = "later"
    assert client.get("/echo").json()["headers"]["x-c"] == "later"


def test_urls(app):
    """A base URL, its path, an absolute URL, a root path, and Werkzeug's base URL."""
    assert TestClient(app).get("/echo").json()["url"] == "http://testserver/echo"
    assert TestClient(app, "https://x.org").get("echo").json()["url"] == "https://x.org/echo"
    absolute = TestClient(app).get("https://y.org:8000/echo?a=1").json()
    assert absolute["url"] == "https://y.org:8000/echo?a=1"
    rooted = TestClient(app, root_path="/api").get("/echo")
    assert rooted.json()["url"] == rooted.url == "http://testserver/api/echo"
    based = TestClient(app).get("/echo", base_url="http://z.org/root")
    assert based.json()["url"] == "http://z.org/root/echo"
    outer = App()
    outer.mount("/v1", app)
    assert TestClient(outer, "http://x.org/v1").get("/echo").json()["url"] == "http://x.org/v1/echo"


def test_the_client_s_address(app):
    """It is FastAPI's, or what is given."""
    assert TestClient(app).get("/echo").json()["client"] == ["testclient", 50000]
    other = TestClient(app, client=("10.0.0.1", 80), backend="asyncio", backend_options={})
    assert other.get("/echo", timeout=3, extensions={}).json()["client"] == ["10.0.0.1", 80]


def test_basic_authentication(client):
    """A pair of user and password."""
    sent = client.get("/echo", auth=("ada", "secret")).json()

    assert sent["headers"]["authorization"] == "Basic YWRhOnNlY3JldA=="


def test_werkzeug_s_ways_to_ask(client):
    """A builder, a request, an environ; `path` by name."""
    builder = werkzeug.test.EnvironBuilder("/echo", method="POST", data="x")

    assert client.open(builder).json()["body"] == "x"
    assert client.open(builder.get_request()).json()["method"] == "POST"
    assert client.open(werkzeug.test.create_environ("/echo")).json()["method"] == "GET"
    assert client.open(path="/echo", method="PUT").json()["method"] == "PUT"
    changed = client.get("/echo", environ_overrides={"HTTP_X_A": "b"}).json()
    assert changed["headers"]["x-a"] == "b"
    assert (
        client.get("/echo", environ_base={"REMOTE_ADDR": "9.9.9.9"}).json()["client"][0]
        == "9.9.9.9"
    )


# ------------------------------------------------------------------ cookies
def test_cookies(app):
    """The client's, those of one request, and those that a response sets."""

    @app.get("/login")
    def login(response: Response) -> None:
        response.set_cookie("session", "abc")
        response.set_cookie("theme", "dark", path="/dark")

    @app.get("/logout")
    def logout(response: Response) -> None:
        response.delete_cookie("session")

    client = TestClient(app, cookies={"a": "1"})

    assert client.get("/echo", cookies={"b": "2"}).json()["cookies"] == {"a": "1", "b": "2"}
    assert client.get("/echo", headers={"Cookie": "c=3"}).json()["cookies"] == {"a": "1", "c": "3"}
    assert client.get("/echo").json()["cookies"] == {"a": "1"}
    assert client.get("/login").cookies == {"session": "abc", "theme": "dark"}
    assert client.get("/echo").json()["cookies"] == {"a": "1", "session": "abc"}
    client.get("/logout")
    assert client.get("/echo").json()["cookies"] == {"a": "1"}


def test_cookies_of_the_client(app):
    """A dictionary that can be changed, with httpx's methods."""
    client = TestClient(app)

    client.cookies["a"] = "1"
    client.cookies.set("b", "2", domain="example.org", path="/x")
    client.set_cookie("c", "3")

    assert dict(client.cookies) == {"a": "1", "b": "2", "c": "3"}
    assert len(client.cookies) == 3
    assert client.cookies.get("b", domain="testserver") is None
    assert client.cookies.get("b", path="/x") == "2"
    assert client.get_cookie("c").value == "3"
    client.cookies.delete("b", domain="example.org")
    del client.cookies["a"]
    client.delete_cookie("c")
    assert repr(client.cookies) == "<ClientCookies {}>"
    with pytest.raises(KeyError):
        client.cookies["a"]
    with pytest.raises(KeyError):
        client.cookies.delete("a")
    client.cookies = {"d": "4"}
    assert client.get("/echo").json()["cookies"] == {"d": "4"}
    client.cookies.clear()
    assert client.get("/echo").json()["cookies"] == {}


def test_a_client_without_cookies(app):
    """Werkzeug's option."""
    client = TestClient(app, use_cookies=False)

    assert dict(client.cookies) == {}
    assert client.get("/echo", cookies={"a": "1"}).json()["cookies"] == {"a": "1"}


# ------------------------------------------------------------------ what comes back
def test_responses(app):
    """Werkzeug's attributes and httpx's."""

    @app.get("/item", status_code=201)
    def item(response: Response) -> dict[str, str]:
        response.headers["X-A"] = "b"
        return {"name": "ü"}

    response = TestClient(app).get("/item?q=1")

    assert isinstance(response, TestResponse)
    assert (response.status_code, response.reason_phrase) == (201, "Created")
    assert response.json() == response.get_json() == {"name": "ü"}
    assert response.text == '{"name":"ü"}'
    assert response.content == response.data == response.read() == '{"name":"ü"}'.encode()
    assert response.headers["x-a"] == "b"
    assert response.headers.get_list("x-a") == ["b"]
    assert ("X-A", "b") in response.headers.multi_items()
    assert response.url == "http://testserver/item?q=1"
    assert response.url.path == "/item"
    assert response.encoding == "utf-8"
    assert response.request.method == "GET"
    assert list(response.history) == []
    assert response.raise_for_status() is response


@pytest.mark.parametrize(
    ("status", "flags"),
    [
        (200, ["is_success"]),
        (304, ["is_redirect"]),
        (404, ["is_client_error", "is_error"]),
        (503, ["is_error", "is_server_error"]),
    ],
)
def test_families_of_statuses(app, status, flags):
    """Each status is in one, and an error is in two."""

    @app.get("/answer")
    def answer() -> Response:
        return Response(status_code=status)

    response = TestClient(app).get("/answer")

    names = ["is_informational", "is_success", "is_redirect", "is_client_error", "is_server_error"]
    assert sorted(name for name in [*names, "is_error"] if getattr(response, name)) == flags


def test_raise_for_status(client):
    """The message has what a test wants to know."""
    with pytest.raises(HTTPStatusError, match=r"^GET http://testserver/no was .* 404 Not Found: {"):
        client.get("/no").raise_for_status()
    with pytest.raises(HTTPStatusError) as caught:
        client.get("/no").raise_for_status()
    assert caught.value.response.status_code == 404
    assert caught.value.request.path == "/no"


def test_a_long_body_is_shortened_in_the_message(app):
    """Whoever wants all of it has the response."""

    @app.get("/long", status_code=400)
    def long() -> str:
        return "x" * 1000

    with pytest.raises(HTTPStatusError, match=r"x{499}…$"):
        TestClient(app).get("/long").raise_for_status()


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("text/plain; charset=latin-1", "ü".encode("latin-1"), "ü"),
        ("text/plain; charset=nonsense", "ü".encode(), "ü"),
        ("text/plain", b"\xff", "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_charsets(app, kind, body, text):
    """The response's own; what cannot be decoded is replaced, not raised."""

    @app.get("/text")
    def answer() -> Response:
        return Response(body, headers={"Content-Type": kind})

    assert TestClient(app).get("/text").text == text


def test_compressed_bodies(app):
    """`Accept-Encoding` is sent, as httpx does, so the body may come compressed."""

    @app.get("/zip")
    def zipped() -> Response:
        return Response(gzip.compress(b'{"a": 1}'), headers={"Content-Encoding": "gzip"})

    response = TestClient(app).get("/zip")

    assert response.json() == {"a": 1}
    assert response.data.startswith(b"\x1f\x8b")


def test_redirects(app):
    """They are followed as in FastAPI's client, and can be left alone."""

    @app.post("/old", status_code=307)
    def old() -> Response:
        return RedirectResponse("/new", status_code=307)

    @app.post("/new")
    async def new(request: Request) -> str:
        return (await request.body()).decode()

    @app.api_route("/seen", methods=["POST", "GET"])
    def seen(request: Request) -> Response:
        return RedirectResponse("http://other.org/method?x=1", status_code=303)

    @app.api_route("/method", methods=["POST", "GET"])
    def method(request: Request) -> list[str]:
        return [request.method, str(request.url), request.headers.get("authorization", "")]

    @app.get("/loop")
    def loop() -> Response:
        return RedirectResponse("loop")

    client = TestClient(app, cookies={"a": "1"})

    response = client.post("/old", content=b"body")
    assert (response.json(), response.url.path) == ("body", "/new")
    assert [each.status_code for each in response.history] == [307]
    other = client.post("/seen", content=b"body", auth=("a", "b"))
    assert other.json() == ["GET", "http://other.org/method?x=1", ""]
    left = client.post("/old", follow_redirects=False)
    assert left.has_redirect_location
    assert left.is_redirect
    assert TestClient(app, follow_redirects=False).post("/old").status_code == 307
    with pytest.raises(werkzeug.test.ClientRedirectError, match=r"20 redirects"):
        client.get("/loop")


def test_redirects_below_a_root(app):
    """The root is taken off the path again; a redirect that leaves it has none."""

    @app.get("/in")
    def inside(request: Request) -> Response:
        return RedirectResponse("/api/echo")

    @app.get("/out")
    def outside(request: Request) -> Response:
        return RedirectResponse("https://testserver/echo", status_code=301)

    client = TestClient(app, root_path="/api")

    assert client.get("/in").json()["url"] == "http://testserver/api/echo"
    assert client.get("/out").json()["url"] == "https://testserver/echo"


def test_streams(app):
    """Step by step, with the tasks after the block."""
    lines: list[str] = []

    @app.get("/stream")
    def stream(tasks: BackgroundTasks) -> Response:
        tasks.add_task(lines.append, "task")

        def rows() -> Iterator[str]:
            for number in range(3):
                lines.append(f"row {number}")
                yield f"row {number}\r\nü"

        return StreamingResponse(rows(), media_type="text/plain")

    client = TestClient(app)

    with client.stream("GET", "/stream") as response:
        texts = response.iter_text()
        assert next(texts) == "row 0\r\nü"
        assert lines == ["row 0"]
    assert lines == ["row 0", "task"]
    with client.stream("GET", "/stream") as response:
        assert list(response.iter_lines()) == ["row 0", "ürow 1", "ürow 2", "ü"]
    with client.stream("GET", "/stream") as response:
        assert response.read() == "row 0\r\nürow 1\r\nürow 2\r\nü".encode()
    whole = client.get("/stream")
    assert list(whole.iter_bytes(10)) == [
        b"row 0\r\n\xc3\xbcr",
        b"ow 1\r\n\xc3\xbcro",
        b"w 2\r\n\xc3\xbc",
    ]
    assert next(iter(whole.iter_raw())) == "row 0\r\nü".encode()
    assert list(client.get("/stream?").iter_lines())[-1] == "ü"


def test_a_stream_that_was_closed(app):
    """It gives nothing more, and is not settled twice."""

    @app.get("/two")
    def two() -> Response:
        return StreamingResponse(iter(["a", "b"]))

    with TestClient(app).stream("GET", "/two") as response:
        chunks = response.response
        assert next(chunks) == b"a"
    response.close()
    assert list(chunks) == []


def test_a_large_file_and_a_stream(app):
    """The temporary file is there until the response is closed."""
    with TestClient(app).stream("POST", "/form", files={"f": b"x" * 600_000}) as response:
        body = response.request.environ["wsgi.input"]
        assert not body.closed
    assert body.closed


def test_a_redirect_of_a_method_that_is_kept(app):
    """A 301 turns a POST into a GET, and nothing else; a 308 keeps everything."""

    @app.api_route("/301", methods=["PUT", "POST"])
    def permanently() -> Response:
        return RedirectResponse("/echo", status_code=301)

    client = TestClient(app)

    assert client.put("/301", content=b"x").json()["method"] == "PUT"
    assert client.put("/301", content=b"x").json()["body"] == "x"
    assert client.post("/301", content=b"x").json()["method"] == "GET"
    assert client.post("/301", content=b"x").json()["body"] == ""


def test_half_a_character_at_the_end(app):
    """It is shown as one that could not be decoded."""

    @app.get("/half")
    def half() -> Response:
        return Response(b"a\n\xc3")

    with TestClient(app).stream("GET", "/half") as response:
        assert list(response.iter_text()) == ["a\n", "\N{REPLACEMENT CHARACTER}"]


def test_there_are_no_websockets(client):
    """A test that needs them says so itself."""
    with pytest.raises(NotImplementedError, match=r"/ws.*no WebSockets"):
        client.websocket_connect("/ws")


def test_another_class_of_responses(app):
    """Werkzeug's option; ours comes first."""

    class Mine(werkzeug.wrappers.Response):
        mine = True

    class MyTestResponse(TestResponse):
        mine = True

    for kind in (Mine, MyTestResponse):
        response = TestClient(app, response_wrapper=kind).get("/echo")
        assert response.mine
        assert response.json()["method"] == "GET"


# ------------------------------------------------------------------ tasks
@pytest.mark.parametrize("executor", [None, ThreadExecutor(workers=2)], ids=["inline", "pool"])
def test_tasks_have_run(executor):
    """When the call returns, wherever they run; and those that tasks add."""
    app = App(executor=executor)
    ran: list[str] = []
    release = threading.Event()

    def first() -> None:
        release.wait(5)
        ran.append("first")
        current_tasks().add_task(ran.append, "second")

    @app.post("/")
    def post(tasks: BackgroundTasks) -> None:
        tasks.add_task(first)
        threading.Timer(0.05, release.set).start()

    TestClient(app).post("/")

    assert ran == ["first", "second"]


@pytest.mark.parametrize("executor", [None, ThreadExecutor(workers=1)], ids=["inline", "pool"])
def test_the_error_of_a_task_is_raised(executor):
    """As it is; further ones are told in a note."""
    app = App(executor=executor)
    other: list[str] = []

    @app.post("/")
    def post(tasks: BackgroundTasks) -> None:
        tasks.add_task(int, "x")
        tasks.add_task(int, "y")
        tasks.add_task(other.append, "ran")

    with pytest.raises(ValueError, match=r"'x'") as caught:
        TestClient(app).post("/")
    assert ["'y'" in note for note in caught.value.__notes__] == [True]
    assert other == ["ran"]
    assert TestClient(app, raise_task_errors=False).post("/").status_code == 200
    assert TestClient(app, raise_server_exceptions=False).post("/").status_code == 200


def test_other_errors_are_not_this_call_s():
    """Tasks of a request that another client made are raised there, or nowhere."""
    app = App(executor=ThreadExecutor(workers=1))
    begun, release = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        release.wait(5)
        raise ValueError("of the other call")

    @app.post("/")
    def post(tasks: BackgroundTasks) -> None:
        tasks.add_task(slow)

    @app.get("/")
    def get(tasks: BackgroundTasks) -> str:
        release.set()
        tasks.add_task(int)
        return "fine"

    werkzeug.test.Client(app).post("/", buffered=True)
    assert begun.wait(5)

    assert TestClient(app).get("/").json() == "fine"


def test_many_clients_in_many_threads():
    """Each call raises the error of its own task, and no other."""
    app = App(executor=ThreadExecutor(workers=4))

    @app.post("/{number}")
    def post(number: int, tasks: BackgroundTasks) -> None:
        tasks.add_task(int, f"x{number}" if number % 2 else "1")

    def ask(number: int) -> str:
        try:
            TestClient(app).post(f"/{number}")
        except ValueError as error:
            return str(error).rpartition("'x")[2].rstrip("'")
        return ""

    with ThreadPoolExecutor(8) as threads:
        got = list(threads.map(ask, range(200)))

    assert got == [str(number) if number % 2 else "" for number in range(200)]


def test_no_test_waits_for_a_retry():
    """The attempts follow each other at once, and only the last error counts."""
    app = App()
    attempts: list[int] = []

    @task(retries=2, backoff=1000)
    def flaky(last: int) -> None:
        attempts.append(len(attempts) + 1)
        if attempts[-1] < last:
            raise ValueError(f"attempt {attempts[-1]}")

    @app.post("/{last}")
    def post(last: int, tasks: BackgroundTasks) -> None:
        tasks.add_task(flaky, last)

    TestClient(app).post("/3")
    assert attempts == [1, 2, 3]

    attempts.clear()
    with pytest.raises(ValueError, match=r"attempt 3"):
        TestClient(app).post("/4")


def test_a_task_that_does_not_end():
    """It is named, after the client's patience."""
    app = App(executor=ThreadExecutor(workers=1))
    release = threading.Event()

    @app.post("/")
    def post(tasks: BackgroundTasks) -> None:
        tasks.add_task(release.wait, 20)

    try:
        with pytest.raises(TimeoutError, match=r"After 0.05 s .*Event.wait.*drain_timeout"):
            TestClient(app, drain_timeout=0.05).post("/")
    finally:
        release.set()
        with TestClient(app):
            pass
    assert app.drain(0) == []


def test_a_task_that_was_lost():
    """Its executor failed: that is raised in any mode."""

    class Broken(ThreadExecutor):
        def submit(self, batch):
            raise OSError("no room")

    app = App(executor=Broken())

    @app.post("/")
    def post(tasks: BackgroundTasks) -> None:
        tasks.add_task(int)

    with pytest.raises(TaskNotRun, match=r"^builtins.int was lost: its executor failed"):
        TestClient(app).post("/")


# ------------------------------------------------------------------ errors of requests
def test_the_error_of_a_handler_is_raised(app):
    """As FastAPI's client does; a handler for any `Exception` changes nothing about that."""

    @app.get("/fail")
    def fail() -> None:
        raise KeyError("oops")

    @app.get("/teapot")
    def teapot() -> None:
        raise HTTPException(418)

    @app.get("/handled")
    def handled() -> None:
        raise ZeroDivisionError

    @app.exception_handler(ZeroDivisionError)
    def handle(request: Request, error: ZeroDivisionError) -> Response:
        return Response("handled", status_code=400)

    with pytest.raises(KeyError, match=r"oops"):
        TestClient(app).get("/fail")
    assert TestClient(app).get("/teapot").status_code == 418
    assert TestClient(app).get("/handled").text == "handled"
    quiet = TestClient(app, raise_server_exceptions=False).get("/fail")
    assert (quiet.status_code, quiet.text) == (500, "Internal Server Error")


def test_the_last_resort_answers_and_the_error_is_raised():
    """Starlette's rule: the handler's response is seen with `raise_server_exceptions=False`."""
    app = App()

    @app.get("/")
    def fail() -> None:
        raise KeyError("oops")

    @app.exception_handler(Exception)
    def handle(request: Request, error: Exception) -> Response:
        return Response("sorry", status_code=500)

    with pytest.raises(KeyError):
        TestClient(app).get("/")
    assert TestClient(app, raise_server_exceptions=False).get("/").text == "sorry"


def test_an_exit_that_fails_after_the_response():
    """Nobody else would hear of it."""
    app = App()

    def session() -> Iterator[None]:
        yield
        raise OSError("commit")

    def late() -> Iterator[None]:
        yield
        raise OSError("late")

    @app.get("/early", dependencies=[Depends(session)])
    def early() -> None: ...

    @app.get("/late", dependencies=[Depends(late, scope="tasks")])
    def lately() -> None: ...

    for path, text in (("/early", "commit"), ("/late", "late")):
        with pytest.raises(OSError, match=text):
            TestClient(app).get(path)
        assert TestClient(app, raise_server_exceptions=False).get(path).status_code == 200


def test_a_body_that_breaks(app):
    """In the call, or in the block that reads it."""

    @app.get("/broken")
    def broken() -> Response:
        def rows() -> Iterator[str]:
            yield "a"
            raise OSError("disk")

        return StreamingResponse(rows())

    with pytest.raises(OSError, match=r"disk"):
        TestClient(app).get("/broken")
    with TestClient(app).stream("GET", "/broken") as response, pytest.raises(OSError):
        response.read()
    short = TestClient(app, raise_server_exceptions=False).get("/broken")
    assert (short.status_code, short.text) == (200, "a")


def test_a_body_that_breaks_where_its_application_is_not_ours():
    """In iteration, in `close`, or by `start_response`: without raising, the client sees a rest."""

    class Body:
        def __init__(self, *chunks):
            self.chunks = iter(chunks)

        def __iter__(self):
            yield from self.chunks
            raise OSError("body")

        def close(self):
            raise OSError("close")

    def broken(environ, start_response):
        start_response("201 Created", [])
        return Body(b"a")

    def replaced(environ, start_response):
        start_response("200 OK", [])
        try:
            raise LookupError("late")
        except LookupError:
            start_response("503 Unavailable", [], sys.exc_info())
        return [b"sorry"]

    for app, error, status, text in (
        (broken, OSError, 201, "a"),
        (replaced, LookupError, 503, "sorry"),
        (lambda environ, start_response: None, TypeError, 500, "Internal Server Error"),
    ):
        with pytest.raises(error):
            TestClient(app).get("/")
        answer = TestClient(app, raise_server_exceptions=False).get("/")
        assert (answer.status_code, answer.text) == (status, text)


def test_an_application_that_lets_errors_out():
    """One that is not ours: the error is raised, or answered as a server would."""

    def legacy(environ, start_response):
        raise LookupError("legacy")

    for site in (legacy, wrap(legacy)):
        with pytest.raises(LookupError):
            TestClient(site).get("/")
        answer = TestClient(site, raise_server_exceptions=False).get("/")
        assert (answer.status_code, answer.text) == (500, "Internal Server Error")


# ------------------------------------------------------------------ strict mode
def dropping(**options) -> App:
    """An application whose handlers fail after a task was added."""
    app = App(**options)

    def dependency(tasks: BackgroundTasks) -> None:
        tasks.add_task(print, "dropped")

    @app.get("/401", dependencies=[Depends(dependency)])
    def unauthorized() -> None:
        raise HTTPException(401)

    @app.get("/422", dependencies=[Depends(dependency)])
    def number(n: int) -> None: ...

    @app.get("/500", dependencies=[Depends(dependency)])
    def fail() -> None:
        raise KeyError("oops")

    @app.get("/thrown-away")
    def thrown_away() -> None:
        BackgroundTasks().add_task(print, "nobody adopts it")

    return app


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/401", r"builtins.print was dropped: its request failed \(HTTPException: 401"),
        ("/422", r"builtins.print was dropped: its request failed \(RequestValidationError"),
        ("/thrown-away", r"builtins.print was dropped: its collector was thrown away"),
    ],
)
def test_strict_mode_raises_what_is_dropped(path, reason):
    """In the test; under a server it is logged, and the answer is the same."""
    app = dropping(strict=True)
    status = 200 if path == "/thrown-away" else int(path[1:])

    with pytest.raises(TaskNotRun, match=reason):
        TestClient(app).get(path)
    assert TestClient(app, raise_task_errors=False).get(path).status_code == status
    assert werkzeug.test.Client(app).get(path, buffered=True).status_code == status
    assert TestClient(dropping()).get(path).status_code == status


def test_strict_mode_and_an_error():
    """The error says more than the drop that follows it."""
    with pytest.raises(KeyError) as caught:
        TestClient(dropping(strict=True)).get("/500")
    assert ["was dropped" in note for note in caught.value.__notes__] == [True]


def test_strict_mode_of_a_shared_manager(app):
    """One strict application makes the manager strict."""
    assert not TaskManager(ThreadExecutor()).strict
    assert App(strict=True).tasks.strict
    assert not app.tasks.strict
