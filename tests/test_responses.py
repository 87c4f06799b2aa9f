"""The responses that handlers return."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from wsgiref.util import FileWrapper

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import client
from wsgibg.background import BackgroundTask
from wsgibg.datastructures import URL, Headers
from wsgibg.exceptions import FastAPIError
from wsgibg.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
    WSGIResponse,
    status_line,
)

GET = {"REQUEST_METHOD": "GET"}
HEAD = {"REQUEST_METHOD": "HEAD"}


def run(awaitable):
    """Run what is awaited and never waits."""
    try:
        awaitable.__await__().send(None)
    except StopIteration as end:
        return end.value
    pytest.fail("it waited")


def fields(response, environ=GET):
    """The header fields that are sent."""
    return dict(response.start(environ)[1])


# --- any response --------------------------------------------------------------------------


def test_a_response_is_started_with_everything_that_is_sent():
    """The status line, the fields, and the body as a tuple."""
    response = Response("hä", 201, {"X-Tag": "new"}, "text/plain")
    assert response.start(GET) == (
        "201 Created",
        [
            ("X-Tag", "new"),
            ("Content-Length", "3"),
            ("Content-Type", "text/plain; charset=utf-8"),
        ],
        ("hä".encode(),),
    )


def test_an_empty_response_has_a_length_and_no_type():
    """As in Starlette."""
    assert Response().start(GET) == ("200 OK", [("Content-Length", "0")], (b"",))


@pytest.mark.parametrize(
    ("content", "body"),
    [
        (None, b""),
        ("hä", "hä".encode()),
        (b"bytes", b"bytes"),
        (bytearray(b"bytes"), b"bytes"),
        (memoryview(b"bytes")[::2], b"bts"),
    ],
)
def test_content_is_text_or_bytes(content, body):
    """Of any kind."""
    assert Response(content).body == body


@pytest.mark.parametrize("content", [{}, [b""], 3, object()])
def test_other_content_is_refused_with_a_remedy(content):
    """The message names the classes that take it."""
    with pytest.raises(
        TypeError, match=r"Response\(content=...\) takes str .*JSONResponse for data"
    ):
        Response(content)


@pytest.mark.parametrize(
    ("media_type", "sent"),
    [
        ("text/plain", "text/plain; charset=utf-8"),
        ("text/plain; charset=latin-1", "text/plain; charset=latin-1"),
        ("text/plain; Charset=latin-1", "text/plain; Charset=latin-1"),
        ("image/png", "image/png"),
    ],
)
def test_text_says_how_it_is_encoded(media_type, sent):
    """Unless it does so already."""
    assert fields(Response("", media_type=media_type))["Content-Type"] == sent


def test_a_class_may_have_its_own_charset_and_rendering():
    """Subclasses are how users make response classes."""

    class Latin(Response):
        media_type = "text/csv"
        charset = "latin-1"

    class Upper(Latin):
        def render(self, content):
            return super().render(content).upper()

    assert Latin("é").body == b"\xe9"
    assert Upper("a").start(GET)[1:] == (
        [("Content-Length", "1"), ("Content-Type", "text/csv; charset=latin-1")],
        (b"A",),
    )


def test_given_fields_replace_those_that_are_added():
    """With the user's spelling, whatever its case."""
    response = Response("a", headers={"content-type": "text/x"}, media_type="text/plain")
    assert response.start(GET)[1] == [("content-type", "text/x"), ("Content-Length", "1")]


def test_headers_can_be_read_and_changed():
    """They are those that will be sent."""
    response = PlainTextResponse("abc")
    assert response.headers["content-length"] == "3"
    response.headers["X-Tag"] = "new"
    response.headers.append("X-Tag", "newer")
    del response.headers["content-type"]
    assert response.start(GET)[1] == [
        ("Content-Length", "3"),
        ("X-Tag", "new"),
        ("X-Tag", "newer"),
    ]


def test_headers_can_be_set_where_there_are_none():
    """On a response that begins with no field at all."""
    response = Response(status_code=204)
    response.headers["X-Tag"] = "new"
    assert response.start(GET)[1] == [("X-Tag", "new")]


def test_headers_may_be_copied_from_another_response():
    """Fields that occur several times are not lost."""
    other = Response(headers=Headers([("X-A", "1"), ("x-a", "2")]))
    assert Response(headers=other.headers).headers.getlist("x-a") == ["1", "2"]


def test_the_length_is_that_of_the_body_that_is_sent():
    """A wrong one would break the connection, wherever it comes from."""
    response = Response("abc", headers={"content-length": "7"})
    assert response.start(GET)[1] == [("content-length", "3")]
    response.body = b"12345"
    assert response.start(GET)[1] == [("content-length", "5")]
    late = Response(b"abc", 204)
    assert late.headers.keys() == []
    late.status_code = 200
    assert late.start(GET)[1] == [("Content-Length", "3")]


def test_a_response_may_be_sent_several_times():
    """Starting it changes nothing in it."""
    response = Response("abc", headers={"X-Tag": "new"})
    first = response.start(GET)
    first[1].append(("X-Server", "1"))
    assert response.start(GET)[1] == [("X-Tag", "new"), ("Content-Length", "3")]


def test_head_keeps_the_length_of_get():
    """And has no body; a length that was given for it is kept."""
    assert Response("abc").start(HEAD) == ("200 OK", [("Content-Length", "3")], ())
    assert fields(Response(headers={"Content-Length": "700"}), HEAD) == {"Content-Length": "700"}


@pytest.mark.parametrize("code", [100, 101, 103, 199, 204, 304])
@pytest.mark.parametrize("touch", [False, True], ids=["", "headers read"])
def test_a_status_without_content_has_neither_length_nor_type(code, touch):
    """Whatever was given; the other fields stay."""
    headers = {"content-length": "3", "ETag": '"1"'} if touch else None
    response = Response("abc", code, headers, "text/plain")
    status, pairs, body = response.start(GET)
    assert status.startswith(str(code))
    assert (pairs, body) == ([("ETag", '"1"')] if touch else [], ())


@pytest.mark.parametrize("code", list(HTTPStatus))
def test_the_status_line_has_the_reason(code):
    """An `int` or an `HTTPStatus`."""
    assert status_line(code) == status_line(int(code)) == f"{int(code)} {code.phrase}"
    assert Response(status_code=code).start(GET)[0] == status_line(code)


def test_an_unknown_status_is_sent_all_the_same():
    """WSGI asks for some reason."""
    assert Response(status_code=299).start(GET)[0] == "299 Unknown"


@pytest.mark.parametrize("code", [99, 1000, -1, "200", None, 200.5])
def test_what_is_no_status_is_refused(code):
    """Three digits."""
    with pytest.raises(ValueError, match="number from 100 to 999"):
        status_line(code)


INJECTED = "a\r\nSet-Cookie: b=1"


def test_no_value_can_smuggle_a_field_in():
    """It is refused where it is set, or at the latest when the response is started."""
    for make in (
        lambda: Response(headers={"X-Tag": INJECTED}),
        lambda: Response().headers.__setitem__("X-Tag", INJECTED),
        lambda: StreamingResponse([], headers={"X-Tag": INJECTED}),
    ):
        with pytest.raises(ValueError, match="'X-Tag'"):
            make()
    with pytest.raises(ValueError, match="'Content-Type'"):
        Response(media_type=INJECTED).start(GET)
    with pytest.raises(ValueError, match="cannot be called"):
        Response(headers={INJECTED: "1"})
    with pytest.raises(TypeError, match="'X-Count' is 3"):
        Response(headers={"X-Count": 3})


@given(headers=st.dictionaries(st.text(max_size=5), st.text(max_size=9)), media=st.text(max_size=9))
def test_whatever_is_sent_is_sound(headers, media):
    """A response is refused, or every field of it is one line of latin-1."""
    try:
        pairs = Response("a", headers=headers, media_type=media).start(GET)[1]
    except ValueError:
        return
    for pair in pairs:
        for text in pair:
            assert type(text) is str
            assert not {"\r", "\n", "\0"} & set(text)
            text.encode("latin-1")


# --- by itself -----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "response",
    [
        Response("abc", media_type="text/plain"),
        Response(status_code=204),
        Response(status_code=304),
        JSONResponse([1, 2]),
        RedirectResponse("/a"),
        StreamingResponse(["a", b"b"], media_type="text/plain"),
        FileResponse(__file__),
    ],
    ids=lambda response: f"{type(response).__name__} {response.status_code}",
)
def test_a_response_is_a_wsgi_application(method, response):
    """The standard library's validator finds nothing wrong with it."""
    answer = client(response).open("/", method=method)
    assert answer.status_code == response.status_code
    if method == "HEAD" or answer.status_code in (204, 304):
        assert answer.data == b""


def test_a_response_by_itself_runs_no_tasks():
    """They would be lost without a word, so it refuses."""
    response = Response(background=BackgroundTask(print))
    with pytest.raises(
        FastAPIError, match=r"Response\(background=...\).*nobody would run its tasks"
    ):
        client(response).get("/")


def test_a_response_by_itself_sends_no_async_iterable():
    """It takes an `App` to drive it."""

    async def chunks():
        yield "a"

    with pytest.raises(FastAPIError, match="cannot send an async iterable"):
        client(StreamingResponse(chunks())).get("/")


# --- kinds of content ----------------------------------------------------------------------


def test_html_and_text_have_their_types():
    """In UTF-8."""
    assert fields(HTMLResponse("<p>"))["Content-Type"] == "text/html; charset=utf-8"
    assert fields(PlainTextResponse("a"))["Content-Type"] == "text/plain; charset=utf-8"


def test_json_is_compact():
    """In UTF-8; the type says no charset, as in Starlette."""
    response = JSONResponse({"name": "ä", "none": None}, 201, {"X-Tag": "new"})
    assert response.body == '{"name":"ä","none":null}'.encode()
    assert fields(response)["Content-Type"] == "application/json"
    assert JSONResponse(None).body == b"null"
    assert JSONResponse({}, media_type="application/problem+json").media_type.endswith("+json")


def test_json_that_is_none_is_refused():
    """NaN, and objects that the json module does not know."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        JSONResponse([float("nan")])
    with pytest.raises(TypeError, match="not JSON serializable"):
        JSONResponse({"at": datetime.now(UTC)})


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("/items/?q=1#top", "/items/?q=1#top"),
        ("https://example.org/ä b", "https://example.org/%C3%A4%20b"),
        (URL("/a"), "/a"),
        ("/a\r\nSet-Cookie: b=1", "/a%0D%0ASet-Cookie:%20b=1"),
        ("/%C3%A4", "/%C3%A4"),
    ],
)
def test_a_redirect_quotes_its_location(url, location):
    """What a URL cannot hold is escaped, what is escaped stays so."""
    response = RedirectResponse(url)
    assert response.headers["location"] == location
    assert response.start(GET)[0] == "307 Temporary Redirect"
    assert RedirectResponse("/a", 303, {"X-Tag": "new"}).headers["x-tag"] == "new"


# --- cookies -------------------------------------------------------------------------------


def cookie(*args, **kwargs):
    response = Response()
    response.set_cookie(*args, **kwargs)
    return response.headers["set-cookie"]


def test_a_cookie_is_set():
    """For the whole site, and not sent along from other sites, by default."""
    assert cookie("a", "1") == "a=1; Path=/; SameSite=lax"
    assert cookie("a") == 'a=""; Path=/; SameSite=lax'
    assert cookie("a", "b c;") == r'a="b c\073"; Path=/; SameSite=lax'


def test_a_cookie_has_attributes():
    """Each of them as HTTP writes it."""
    text = cookie(
        "a",
        "1",
        max_age=10,
        expires=datetime(2030, 5, 17, 8, 30, tzinfo=UTC),
        path="/x",
        domain="example.org",
        secure=True,
        httponly=True,
        samesite="strict",
        partitioned=True,
    )
    assert set(text.split("; ")) == {
        *("a=1", "Max-Age=10", "expires=Fri, 17 May 2030 08:30:00 GMT", "Path=/x"),
        *("Domain=example.org", "Secure", "HttpOnly", "SameSite=strict", "Partitioned"),
    }
    assert cookie("a", "1", path=None, samesite=None, secure=False) == "a=1"
    assert "expires=tomorrow" in cookie("a", "1", expires="tomorrow")
    seconds = cookie("a", "1", expires=60).split("expires=")[1].split(";")[0]
    assert abs((parsedate_to_datetime(seconds) - datetime.now(UTC)).total_seconds() - 60) < 30


def test_cookies_add_up():
    """Each has a field of its own."""
    response = Response(headers={"X-Tag": "new"})
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    assert len(response.headers.getlist("set-cookie")) == 2
    assert [name for name, _ in response.start(GET)[1]].count("Set-Cookie") == 2


def test_a_cookie_is_deleted():
    """By one that has expired, with the same path and domain."""
    response = Response()
    response.delete_cookie("a", "/x", "example.org", secure=True, httponly=True, samesite="none")
    text = response.headers["set-cookie"]
    for part in ('a=""', "Max-Age=0", "Path=/x", "Domain=example.org", "Secure", "HttpOnly"):
        assert part in text.split("; ")


@pytest.mark.parametrize("flag", ["http_only", "secured"])
def test_a_flag_that_there_is_not_is_refused(flag):
    """A cookie without what was meant to protect it is worse than an error."""
    for call in (Response().set_cookie, Response().delete_cookie):
        with pytest.raises(TypeError, match=rf"no flag '{flag}'.*: httponly, partitioned, samesi"):
            call("a", **{flag: True})


@pytest.mark.parametrize("samesite", ["strict", "Lax", "none"])
def test_samesite_has_three_values(samesite):
    """Any other is refused, with the choices."""
    assert f"SameSite={samesite}" in cookie("a", samesite=samesite)
    with pytest.raises(ValueError, match="use 'lax', 'strict', 'none' or None"):
        cookie("a", samesite="loose")


@pytest.mark.parametrize("name", ["path", "domain"])
@pytest.mark.parametrize("value", ["/; Domain=evil.example", "/\r\nX-Injected: 1", "/\0"], ids=repr)
def test_an_attribute_cannot_begin_another(name, value):
    """Nor another field."""
    with pytest.raises(Exception, match=r"(?i)semicolon|line breaks|control character"):
        cookie("a", **{name: value})


# --- streams -------------------------------------------------------------------------------


class Closable:
    """An iterable that knows whether it was read and closed."""

    def __init__(self, *chunks):
        self.chunks = chunks
        self.events = []

    def __iter__(self):
        self.events.append("read")
        return iter(self.chunks)

    def close(self):
        self.events.append("closed")


class AsyncClosable(Closable):
    __iter__ = None

    async def __aiter__(self):
        self.events.append("read")
        for chunk in self.chunks:
            yield chunk

    close = None

    async def aclose(self):
        self.events.append("closed")


CHUNKS = ("ä", b"bytes", bytearray(b"array"), memoryview(b"view"))
SENT = ["ä".encode(), b"bytes", b"array", b"view"]


def test_chunks_are_text_or_bytes():
    """They are sent as they come, without a length."""
    content = Closable(*CHUNKS)
    response = StreamingResponse(content, media_type="text/plain")
    status, pairs, body = response.start(GET)
    assert (status, pairs) == ("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    assert content.events == []
    assert list(body) == SENT
    body.close()
    assert content.events == ["read", "closed"]


def test_async_chunks_are_text_or_bytes():
    """The body is an async iterable then."""
    content = AsyncClosable(*CHUNKS)
    body = StreamingResponse(content).start(GET)[2]
    assert isinstance(body, AsyncIterable)
    assert drain(body) == SENT
    run(body.aclose())
    assert content.events == ["read", "closed"]


def drain(body):
    """Every chunk of an async iterable that never waits."""
    iterator, chunks = aiter(body), []
    while True:
        try:
            chunks.append(run(anext(iterator)))
        except StopAsyncIteration:
            return chunks


@pytest.mark.parametrize(("code", "environ"), [(200, HEAD), (204, GET), (304, GET)])
def test_a_stream_that_is_not_sent_is_closed_unread(code, environ):
    """For HEAD and for a status without content."""
    content = Closable("a")
    _, pairs, body = StreamingResponse(content, code, media_type="text/plain").start(environ)
    assert list(body) == []
    body.close()
    assert content.events == ["closed"]
    assert len(pairs) == (code == 200)
    content = AsyncClosable("a")
    body = StreamingResponse(content, code).start(environ)[2]
    assert drain(body) == []
    run(body.aclose())
    assert content.events == ["closed"]


def test_a_stream_that_cannot_be_closed_need_not_be():
    """A list, or an iterator of one's own."""

    class Once:
        def __aiter__(self):
            return self

        async def __anext__(self):
            raise StopAsyncIteration

    body = StreamingResponse(["a"]).start(GET)[2]
    assert list(body) == [b"a"]
    body.close()
    body = StreamingResponse(Once()).start(GET)[2]
    assert drain(body) == []
    run(body.aclose())


def test_a_length_that_is_given_is_kept():
    """As is any other field."""
    response = StreamingResponse(["abc"], headers={"content-length": "3"})
    assert response.start(GET)[1] == [("content-length", "3")]


@pytest.mark.parametrize("content", [None, 3, lambda: iter(())], ids=["none", "number", "function"])
def test_what_cannot_be_iterated_is_refused(content):
    """A generator function has to be called."""
    with pytest.raises(TypeError, match=r"takes an iterable.* Call it first"):
        StreamingResponse(content)


@pytest.mark.parametrize("content", [b"abc", [3], [None]])
def test_chunks_of_another_type_are_refused(content):
    """The numbers in a `bytes` are no chunks either."""
    with pytest.raises(TypeError, match="to yield str or bytes, not"):
        list(StreamingResponse(content).start(GET)[2])


# --- files ---------------------------------------------------------------------------------


@pytest.fixture(name="path")
def _path(tmp_path):
    path = tmp_path / "naïve.txt"
    path.write_bytes(b"x" * 100_000)
    os.utime(path, (1e9, 1e9))
    return path


def test_a_file_is_sent_with_what_is_known_of_it(path):
    """Its length, type, time and tag."""
    status, pairs, body = FileResponse(path, filename=path.name).start(GET)
    assert status == "200 OK"
    assert dict(pairs) == {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Disposition": "attachment; filename*=utf-8''na%C3%AFve.txt",
        "Content-Length": "100000",
        "Last-Modified": "Sun, 09 Sep 2001 01:46:40 GMT",
        "ETag": '"79448ed2ec70c28fb8c10795ac2efe0d"',
    }
    assert [len(chunk) for chunk in body] == [65536, 34464]
    body.close()


def test_the_tag_changes_with_the_file(path):
    """A response object may be sent again after that."""
    response = FileResponse(str(path))
    before = fields(response, HEAD)
    path.write_bytes(b"other")
    after = fields(response, HEAD)
    assert before["ETag"] != after["ETag"]
    assert after["Content-Length"] == "5"


def test_a_file_may_be_shown_instead_of_saved(path):
    """And have any type or field."""
    response = FileResponse(
        path,
        media_type="image/png",
        filename='a "b".png',
        content_disposition_type="inline",
        headers={"ETag": '"mine"'},
    )
    sent = fields(response, HEAD)
    assert sent["Content-Disposition"] == "inline; filename*=utf-8''a%20%22b%22.png"
    assert (sent["Content-Type"], sent["ETag"]) == ("image/png", '"mine"')
    assert "Content-Disposition" not in fields(FileResponse(path), HEAD)
    assert fields(FileResponse(path, filename="a.css"), HEAD)["Content-Disposition"] == (
        'attachment; filename="a.css"'
    )


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("a.png", "image/png"),
        ("a.unknown", "application/octet-stream"),
        ("a", "application/octet-stream"),
    ],
)
def test_the_type_follows_from_the_name(name, media_type):
    """The name for the browser, or else the file's own."""
    assert FileResponse(name).media_type == media_type
    assert FileResponse("other.txt", filename=name).media_type == media_type


def test_what_is_known_of_the_file_need_not_be_asked(path):
    """The headers have it at once then."""
    response = FileResponse(path, stat_result=path.stat())
    assert response.headers["content-length"] == "100000"
    assert "etag" in response.headers


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    """Also one that is no regular file; Starlette's errors."""
    with pytest.raises(RuntimeError, match=r"none.txt does not exist"):
        FileResponse(tmp_path / "none.txt").start(GET)
    with pytest.raises(RuntimeError, match="is not a file"):
        FileResponse(tmp_path).start(HEAD)


@pytest.mark.parametrize(("code", "environ"), [(200, HEAD), (304, GET), (204, GET)])
def test_a_file_that_is_not_sent_is_not_opened(path, code, environ):
    """For HEAD and for a status without content."""
    _, pairs, body = FileResponse(path, code).start(environ)
    assert body == ()
    assert ("Content-Length" in dict(pairs)) == (code == 200)


def test_the_servers_own_way_of_sending_files_is_used(path):
    """Where the server has one."""
    body = FileResponse(path).start({**GET, "wsgi.file_wrapper": FileWrapper})[2]
    assert type(body) is FileWrapper
    assert b"".join(body) == path.read_bytes()
    body.close()


def test_a_file_that_grows_is_sent_up_to_its_promised_length(path):
    """More would be taken for the next response."""
    body = FileResponse(path).start(GET)[2]
    with path.open("ab") as file:
        file.write(b"more")
    assert len(b"".join(body)) == 100_000
    body.close()
    assert client(FileResponse(path)).get("/").data == path.read_bytes()


# --- other applications --------------------------------------------------------------------


def test_another_application_may_answer():
    """It is called with the environ, whatever it needs."""

    def app(environ, start_response):
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        start_response("418 I'm a teapot", [("Content-Type", "text/x"), ("X-Tag", "new")])
        return [body.upper()]

    response = WSGIResponse(app)
    answer = client(response).post("/", data=b"abc")
    assert (answer.status_code, answer.data, answer.headers["x-tag"]) == (418, b"ABC", "new")
    assert isinstance(response, Response)
    assert response.wsgi_app is app


def test_another_application_cannot_be_started():
    """Nothing is known before it was called."""
    with pytest.raises(FastAPIError, match="call it as a WSGI application"):
        WSGIResponse(lambda environ, start_response: io.BytesIO()).start(GET)
