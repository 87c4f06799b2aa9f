# ruff: noqa: I002 (annotations are looked up where they stand: in local names)
"""Requests that no honest client sends: an answer in the 4xx range or the right one, and no more.

They go straight into the application, because a checked one would be protected from most of them.
"""

import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Annotated, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from wsgibg import App, BackgroundTasks, Body, Cookie, Depends, Header, Query, Request, TaskEvent

LIMIT = 1000


class Item(BaseModel):
    """A body."""

    name: str
    price: float = 1.0
    parts: list["Item"] = []


@dataclass
class Answer:
    """What the server would send."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")


@dataclass
class Serving:
    """An application, and what became of its tasks."""

    app: App
    ran: list[Any]
    added: list[Any]
    events: list[TaskEvent]

    def ask(self, path: str = "/", body: bytes | None = None, **environ: Any) -> Answer:
        """Call the application as a server does, to the very end.

        Args:
            path: ``PATH_INFO``.
            body: what ``wsgi.input`` holds, and ``CONTENT_LENGTH`` says.
            environ: whatever else stands in the environ; ``None`` leaves a key out.
        """
        given = {**plain_environ(path, body or b""), **environ}
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: Any, exc_info: Any = None) -> Callable[..., Any]:
            started.append((status, headers))
            return lambda data: None

        result = self.app({k: v for k, v in given.items() if v is not None}, start_response)
        try:
            content = b"".join(result)
        finally:
            if hasattr(result, "close"):
                result.close()
        status, headers = started[-1]
        return Answer(int(status.split()[0]), headers, content)


def plain_environ(path: str, body: bytes) -> dict[str, Any]:
    """An environ with which nothing is wrong."""
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "CONTENT_LENGTH": str(len(body)),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": None,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def serving(**options: Any) -> Serving:
    """An application with a route of every kind; each handler adds a task."""
    app, ran, added, events = App(**options), [], [], []
    app.on_task(events.append)

    def first(background: BackgroundTasks, request: Request) -> str:
        added.append(background.add_task(ran.append, "of a dependency"))
        return str(request.url)

    Url = Annotated[str, Depends(first)]

    @app.api_route("/", methods=["GET", "POST"])
    def root(url: Url, background: BackgroundTasks) -> Any:
        added.append(background.add_task(ran.append, "of the handler"))
        return ascii(url)

    @app.get("/items/{item_id}")
    def item(url: Url, item_id: int, q: int = 0) -> Any:
        return [item_id, q]

    @app.get("/texts/{text}")
    def text(url: Url, text: str) -> Any:
        return ascii(text)

    @app.get("/files/{path:path}")
    def file(url: Url, path: str) -> Any:
        return ascii(path)

    @app.get("/slash/")
    def slash(url: Url) -> Any:
        return "slash"

    @app.get("/query")
    def query(url: Url, a: str = "", b: Annotated[list[int], Query()] = []) -> Any:  # noqa: B006
        return [ascii(a), len(b)]

    @app.get("/fields")
    def fields(
        url: Url,
        request: Request,
        x_token: Annotated[str, Header()] = "",
        x_list: Annotated[list[str], Header()] = [],  # noqa: B006
        session: Annotated[int, Cookie()] = 0,
    ) -> Any:
        shown = [request.client, request.base_url, request.headers, request.cookies]
        return ascii([x_token, x_list, session, *map(str, shown)])

    @app.post("/item")
    def body(url: Url, item: Item) -> Any:
        return ascii(item)

    @app.post("/first")
    def body_first(item: Item, background: BackgroundTasks) -> Any:
        added.append(background.add_task(ran.append, "of the handler"))
        return ascii(item)

    @app.post("/any")
    def anything(url: Url, value: Annotated[Any, Body()] = None) -> Any:
        return len(repr(value))

    @app.post("/two")
    def two(url: Url, item: Item, count: Annotated[int, Body()]) -> Any:
        return count

    @app.post("/raw")
    async def raw(url: Url, request: Request) -> Any:
        return len(await request.body())

    @app.post("/form")
    async def form(url: Url, request: Request) -> Any:
        async with request.form() as form:
            return len(form)

    return Serving(app, ran, added, events)


JSON = "application/json"
POSTED = ("/item", "/first", "/any", "/two", "/raw", "/form")


@pytest.fixture(name="served", scope="module")
def _served() -> Serving:
    """One application for all: what is wrong with one request must not matter to the next."""
    return serving()


@pytest.fixture(autouse=True)
def _no_errors_in_the_log(caplog: pytest.LogCaptureFixture, served: Serving) -> Any:
    """Nothing is logged as an error, and every task that was accepted has ended, one way."""
    yield
    records = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert not records, records[0].getMessage()
    assert_no_task_is_lost(served)


def assert_no_task_is_lost(served: Serving) -> None:
    """Every task has run, or was dropped and reported."""
    ended = {
        each.task.id for each in served.events if each.kind in ("succeeded", "failed", "dropped")
    }
    assert ended == {task.id for task in served.added}


def acceptable(answer: Answer, *statuses: int) -> None:
    """An answer that tells the client what it did wrong, and nothing about us."""
    assert answer.status in statuses or (not statuses and 400 <= answer.status < 500), answer
    assert b"Traceback" not in answer.body
    assert b".py" not in answer.body
    for name, value in answer.headers:
        assert re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name)
        assert re.fullmatch(r"[\t -~\x80-\xff]*", value)
    if answer.body and answer.header("content-type") == JSON:
        json.loads(answer.body)


# ------------------------------------------------------------------ bodies
BODIES = {
    "not closed": b'{"name": "n"',
    "single quotes": b"{'name': 'n'}",
    "trailing comma": b'{"name": "n",}',
    "two documents": b"{}{}",
    "a list": b"[]",
    "a number": b"1",
    "null": b"null",
    "nothing": b"",
    "white space": b"  \n",
    "wrong types": b'{"name": 1, "price": "x", "parts": 3}',
    "NaN": b'{"name": NaN}',
    "infinity": b'{"name": -Infinity}',
    "too large a number": b'{"name": 1e999}',
    "too long a number": b'{"name": ' + b"1" * 5000 + b"}",
    "UTF-16": '{"name": 1}'.encode("utf-16"),
    "UTF-8 with a mark": b'\xef\xbb\xbf{"name": 1}',
    "Latin-1": b'{"name": "\xe9"}',
    "broken UTF-8": b'{"name": "\xff\xfe"}',
    "half a surrogate pair": b'{"name": "n", "price": "\\ud800"}',
    "half a pair as a key": b'{"\\udfff": 1}',
    "raw NUL": b'{"name": "\x00"}',
    "deeply nested": b"[" * 100_000,
    "nested as deep as it may be": b"[" * 900 + b"]" * 900,
    "nested parts": b'{"name": "n", "parts": [' * 300 + b"]}" * 300,
    "compressed": b"\x1f\x8b\x08\x00",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("kind", [JSON, "application/x+json", "text/plain", "", "\xff", None])
def test_a_body_that_is_wrong_is_a_4xx(served: Serving, body: bytes, kind: str | None) -> None:
    """Whatever it is, and whatever it is said to be."""
    for path in ("/item", "/first", "/two"):
        answer = served.ask(path, body, REQUEST_METHOD="POST", CONTENT_TYPE=kind)
        acceptable(answer, 400, 413, 422)
    for path in ("/any", "/raw"):
        acceptable(served.ask(path, body, REQUEST_METHOD="POST", CONTENT_TYPE=kind), 200, 400, 422)


GOOD = b'{"name": "n", "price": 2.5}'
LENGTHS = ["", "0", "-1", "1", "26", "28", "1000000", "9" * 40, "x", "27.0", "1e1", "0x1b", "+27"]
LENGTHS += [" 27", "27 ", "27, 27", "2_7", "\u0662\u0667", "\xb2", None]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("path", POSTED)
def test_a_content_length_that_lies_or_is_missing_is_a_4xx(
    served: Serving, path: str, length: str | None
) -> None:
    """Nothing is read beyond it, and what is missing is not waited for."""
    answer = served.ask(path, GOOD, REQUEST_METHOD="POST", CONTENT_TYPE=JSON, CONTENT_LENGTH=length)
    acceptable(answer, 200, 400, 422)
    if path in ("/item", "/first", "/two"):
        assert answer.status in (400, 422) or length in (" 27", "27 ", "+27")


@pytest.mark.parametrize("path", POSTED)
def test_a_chunked_body_is_read_to_its_end_where_the_server_says_so(
    served: Serving, path: str
) -> None:
    """And not at all where the server does not (PEP 3333 leaves no other way)."""
    chunked = {"REQUEST_METHOD": "POST", "CONTENT_TYPE": JSON, "HTTP_TRANSFER_ENCODING": "chunked"}
    for length in (None, "", "3"):
        answer = served.ask(
            path, GOOD, **chunked, CONTENT_LENGTH=length, **{"wsgi.input_terminated": True}
        )
        acceptable(answer, *((422,) if path == "/two" else (200,)))
        acceptable(served.ask(path, GOOD, **chunked, CONTENT_LENGTH=length), 200, 400, 422)


class Broken:
    """A ``wsgi.input`` whose client goes away."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def read(self, size: int = -1) -> bytes:
        if self.error is not None:
            raise self.error
        return b""

    readline = read


@pytest.mark.parametrize(
    "error", [None, ConnectionResetError(), TimeoutError(), ValueError("closed")]
)
@pytest.mark.parametrize("path", POSTED)
def test_a_client_that_goes_away_is_a_400(
    served: Serving, path: str, error: Exception | None
) -> None:
    """Nobody may be there to read it, but no task of the handler runs."""
    ran = len(served.ran)
    answer = served.ask(
        path,
        GOOD,
        REQUEST_METHOD="POST",
        CONTENT_TYPE=JSON if path != "/form" else "application/x-www-form-urlencoded",
        **{"wsgi.input": Broken(error)},
    )
    acceptable(answer, 400)
    assert len(served.ran) == ran


@pytest.mark.parametrize("path", POSTED)
@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT, LIMIT + 1, 100 * LIMIT])
def test_a_body_above_the_limit_is_a_413(path: str, size: int) -> None:
    """Announced or not; it is not read further than that."""
    served = serving(max_content_length=LIMIT)
    body = b'{"name": "' + b"n" * (size - 12) + b'"}'
    ended = {"CONTENT_LENGTH": None, "wsgi.input_terminated": True}
    for announced in ({}, ended):
        stream = BytesIO(body)
        kind = {"REQUEST_METHOD": "POST", "CONTENT_TYPE": JSON, "wsgi.input": stream}
        if path == "/form":
            kind["CONTENT_TYPE"] = "application/x-www-form-urlencoded"
        answer = served.ask(path, body, **{**kind, **announced})
        if size > LIMIT:
            acceptable(answer, 413)
            assert stream.tell() <= 64 * 1024 + LIMIT
        else:
            acceptable(answer, *((422,) if path == "/two" else (200,)))
    assert_no_task_is_lost(served)


FORMS = {
    "no boundary": ("multipart/form-data", b"--x\r\n"),
    "another boundary": ("multipart/form-data; boundary=y", b"--x\r\n\r\n--x--"),
    "not ended": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="a"',
    ),
    "no name": ("multipart/form-data; boundary=x", b"--x\r\n\r\nvalue\r\n--x--\r\n"),
    "broken UTF-8": ("application/x-www-form-urlencoded", b"a=%FF&%FF=\xff&="),
    "boundary of surprising characters": (
        "multipart/form-data; boundary=\xff\x00",
        b"--\xff\x00--",
    ),
    "many fields": ("application/x-www-form-urlencoded", b"&".join(b"a=1" for _ in range(20_000))),
}


@pytest.mark.parametrize(("kind", "body"), FORMS.values(), ids=FORMS)
def test_a_form_that_is_wrong_is_a_4xx(served: Serving, kind: str, body: bytes) -> None:
    """Or what can be read of it."""
    acceptable(served.ask("/form", body, REQUEST_METHOD="POST", CONTENT_TYPE=kind), 200, 400, 413)


# ------------------------------------------------------------------ paths, queries
def test_ten_thousand_query_keys_are_read(served: Serving) -> None:
    """As keys of all kinds, repeated, and as what they are not."""
    keys = "&".join(f"k{number}=1" for number in range(10_000))
    acceptable(served.ask("/query", QUERY_STRING=keys), 200)
    acceptable(served.ask("/query", QUERY_STRING="b=1&" * 10_000), 200)
    acceptable(served.ask("/query", QUERY_STRING="b=x&" * 10_000), 422)
    acceptable(served.ask("/query", QUERY_STRING="&" * 100_000), 200)
    acceptable(served.ask("/query", QUERY_STRING="a=" + "%" * 100_000), 200)
    acceptable(served.ask("/items/1", QUERY_STRING="q=" + "1" * 5000), 422)


PATHS = ["\x00", "\xff", "\xed\xa0\x80", "\xc3", "\ud800", "\u20ac", "a\nb", "..", ".", "%", "%2F"]
PATHS += ["a//b", "//", "a" * 100_000, "1" * 5000, "\u0661", "1e9", "/" * 5000, "\r\nX: y", "?#;"]


@pytest.mark.parametrize("path", PATHS, ids=ascii)
def test_a_path_of_any_characters_is_an_answer(served: Serving, path: str) -> None:
    """NUL, half a surrogate pair, bytes that are no UTF-8, a slash that was encoded."""
    acceptable(served.ask(f"/texts/{path}"), 200, 404, 307)
    acceptable(served.ask(f"/files/{path}"), *((404,) if "\n" in path else (200,)))
    acceptable(served.ask(f"/items/{path}"), 422, 404, 307)
    acceptable(served.ask(f"/{path}"), 404, 307, 200)
    acceptable(served.ask(path), 404, 307)
    acceptable(served.ask(f"/slash{path}"), 404, 307)


def test_a_slash_that_was_encoded_is_a_slash(served: Serving) -> None:
    """The server has decoded it: only a ``path`` parameter takes it."""
    acceptable(served.ask("/texts/a/b"), 404)
    assert served.ask("/files/a/b").body == b"\"'a/b'\""


@pytest.mark.parametrize("method", ["FOO", "", "get", "G\x00T", "\xff", "CONNECT", "A" * 10_000])
def test_a_method_that_nobody_knows_is_a_405(served: Serving, method: str) -> None:
    """Or a 404, where there is nothing."""
    acceptable(served.ask("/", REQUEST_METHOD=method), 405)
    acceptable(served.ask("/nothing", REQUEST_METHOD=method), 404)
    acceptable(served.ask("/item", REQUEST_METHOD=method), 405)


# ------------------------------------------------------------------ headers
FIELDS = ["", "\x00", "\xff", "\ud800", "\u20ac", "a\r\nSet-Cookie: b", "a" * 100_000, ";=;=", ","]


@pytest.mark.parametrize("value", [*FIELDS, "session=x; session", 'session="', "=1"], ids=ascii)
def test_fields_of_any_characters_are_an_answer(served: Serving, value: str) -> None:
    """Of headers that are declared, and of those that are not."""
    acceptable(served.ask("/fields", HTTP_X_TOKEN=value, HTTP_X_LIST=value), 200, 422)
    acceptable(served.ask("/fields", HTTP_COOKIE=value), 200, 422)
    acceptable(served.ask("/fields", HTTP_X_OTHER=value, REMOTE_ADDR=value), 200, 422)
    for path in ("/item", "/form", "/any"):
        answer = served.ask(path, GOOD, REQUEST_METHOD="POST", CONTENT_TYPE=value)
        acceptable(answer, 200, 400, 422)


HOSTS = ["", " ", "a b", "evil.example/path?q#f", "a@b", "[::1", "[::1]:x", "a:b:c", ":80", "\x00"]
HOSTS += ["\r\nX: y", "\xff", "\ud800", "a" * 100_000, "%0d%0a", "//", "user:pass@host:99999"]


@pytest.mark.parametrize("host", HOSTS, ids=ascii)
def test_a_hostile_host_is_an_answer(served: Serving, host: str) -> None:
    """Also where a URL is made of it: a redirect stays one header field."""
    acceptable(served.ask("/", HTTP_HOST=host), 200, 400)
    acceptable(served.ask("/fields", HTTP_HOST=host), 200, 400)
    acceptable(served.ask("/slash", HTTP_HOST=host), 307, 400)
    acceptable(served.ask("/slash", HTTP_HOST=host, SCRIPT_NAME="/\xff\r\n"), 307, 400)


# ------------------------------------------------------------------ anything
TEXT = st.text(st.characters(max_codepoint=255), max_size=20) | st.text(max_size=5)
FRAGMENTS = st.sampled_from(
    ["/", "items", "texts", "files", "slash", "query", "item", "%", "1", "\x00", "\xff", "é", ".."]
)
PATH = st.lists(FRAGMENTS | TEXT, max_size=5).map(lambda parts: "/" + "/".join(parts))
ROUTES = ["/", "/items/1", "/query", "/fields", "/slash", *POSTED]
ENVIRON = st.fixed_dictionaries(
    {"REQUEST_METHOD": st.sampled_from(["GET", "POST", "POST", "HEAD", "PUT", "OPTIONS", "X"])},
    optional={
        "QUERY_STRING": TEXT | st.sampled_from(["a=1&b=2", "b=x", "q=%", "a=%00", "b&b&b"]),
        "CONTENT_TYPE": st.sampled_from(
            [JSON, "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
        )
        | TEXT,
        "CONTENT_LENGTH": st.sampled_from(["0", "3", "100", "x", "-1", "", None]) | TEXT,
        "HTTP_TRANSFER_ENCODING": st.sampled_from(["chunked", "gzip", ""]) | TEXT,
        "wsgi.input_terminated": st.booleans(),
        "HTTP_HOST": TEXT,
        "HTTP_COOKIE": TEXT | st.sampled_from(["session=1", 'session="\\777"']),
        "HTTP_X_TOKEN": TEXT,
        "HTTP_X_LIST": TEXT,
        "SCRIPT_NAME": TEXT.map(lambda text: f"/{text}"),
        "SERVER_NAME": TEXT,
        "SERVER_PORT": TEXT,
        "REMOTE_ADDR": TEXT,
        "REMOTE_PORT": TEXT,
        "SERVER_PROTOCOL": TEXT,
        "wsgi.url_scheme": st.sampled_from(["http", "https", "", "x"]),
    },
)
CONTENT = st.binary(max_size=60) | st.sampled_from(list(BODIES.values()))


@given(path=st.sampled_from(ROUTES) | PATH | TEXT, environ=ENVIRON, body=CONTENT)
@example(path="/first", environ={"REQUEST_METHOD": "POST", "CONTENT_TYPE": JSON}, body=b"\xff")
def test_any_environ_is_an_answer(path: str, environ: dict[str, Any], body: bytes) -> None:
    """Whatever stands in it: 2xx, 3xx or 4xx, with no traceback and no task lost."""
    served = SERVED
    answer = served.ask(path, body, **environ)
    acceptable(answer, 200, 307, *range(400, 500))
    assert_no_task_is_lost(served)
    del served.events[:], served.added[:]


SERVED = serving()
