"""The request as handlers see it."""

from __future__ import annotations

import gc
import inspect
import io
import json
import re
import weakref
from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge
from werkzeug.test import EnvironBuilder, create_environ
from werkzeug.wrappers import Request as PlainWerkzeugRequest

from wsgibg.datastructures import State, UploadFile, URLPath
from wsgibg.exceptions import FastAPIError
from wsgibg.exceptions import HTTPException as OurHTTPException
from wsgibg.requests import Request, iter_body, open_form, parse_cookies, read_body, read_form


def run(awaitable):
    """Run what is awaited and never waits."""
    try:
        awaitable.__await__().send(None)
    except StopIteration as end:
        return end.value
    pytest.fail("it waited")


def environ_of(body=b"", content_type="", length=None, **more):
    """An environ with a body, whose announced length may be a lie."""
    environ = {
        "REQUEST_METHOD": "POST",
        "wsgi.input": io.BytesIO(body),
        "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": str(len(body)) if length is None else length,
        **more,
    }
    made.append(environ)
    return environ


# Every environ that a test makes, so that the files of its form are closed in the end.
made = []


@pytest.fixture(autouse=True)
def _files_are_closed():
    yield
    while made:
        form = open_form(made.pop())
        if form is not None:
            form.close_files()


class Server:
    """The input of a server: it gives what it has, in pieces of its own choice."""

    def __init__(self, *pieces, error=None):
        self.pieces = list(pieces)
        self.error = error
        self.asked = []

    def read(self, size=-1):
        self.asked.append(size)
        if not self.pieces:
            if self.error:
                raise self.error
            return b""
        piece = self.pieces.pop(0)
        if 0 <= size < len(piece):
            self.pieces.insert(0, piece[size:])
            piece = piece[:size]
        return piece


class App:
    """What a request asks of its app."""

    max_content_length = 10

    def url_path_for(self, name, /, **params):
        return URLPath(f"/{name}/{params['item_id']}")


# --- the head ------------------------------------------------------------------------------


def test_the_head_of_a_request_is_read_from_its_environ():
    """FastAPI's attributes."""
    environ = create_environ(
        "/items/7?q=tea&q=milk",
        "https://example.org/root/",
        method="PUT",
        headers={"X-Tag": "new", "Cookie": "a=1; b=2"},
    )
    environ |= {"REMOTE_ADDR": "10.0.0.1", "REMOTE_PORT": "1234"}
    request = Request(environ, app=App(), path_params={"item_id": 7})
    assert request.method == "PUT"
    assert request.url == "https://example.org/root/items/7?q=tea&q=milk"
    assert request.base_url == "https://example.org/root/"
    assert request.headers["x-tag"] == "new"
    assert request.query_params.getlist("q") == ["tea", "milk"]
    assert request.path_params == {"item_id": 7}
    assert request.cookies == {"a": "1", "b": "2"}
    assert request.client == ("10.0.0.1", 1234)
    assert request.environ is environ
    assert isinstance(request.app, App)
    assert request.url_for("read", item_id=7) == "https://example.org/root/read/7"


def test_what_was_read_once_is_kept():
    """Every attribute is the same object at the second read."""
    request = Request(create_environ("/"))
    for name in ["url", "base_url", "headers", "query_params", "cookies", "state", "werkzeug"]:
        assert getattr(request, name) is getattr(request, name)


def test_a_bare_request_has_nothing():
    """No parameters, no cookies, no query."""
    request = Request(environ_of())
    assert (request.path_params, request.cookies, dict(request.query_params)) == ({}, {}, {})
    assert request.app is None
    with pytest.raises(FastAPIError, match=r"url_for\('read'\): .*without an app"):
        request.url_for("read")


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ({}, None),
        ({"REMOTE_ADDR": ""}, None),
        ({"REMOTE_ADDR": "::1"}, ("::1", 0)),
        ({"REMOTE_ADDR": "10.0.0.1", "REMOTE_PORT": 80}, ("10.0.0.1", 80)),
        ({"REMOTE_ADDR": "10.0.0.1", "REMOTE_PORT": "none"}, ("10.0.0.1", 0)),
    ],
)
def test_the_client_is_an_address_or_none(address, client):
    """A Unix socket has no address; not every server tells the port."""
    assert Request(environ_of(**address)).client == client


def test_url_for_takes_plain_text_of_an_app_too():
    """Whatever `url_path_for` returns is a path."""
    app = type("Other", (), {"url_path_for": lambda self, name: f"/{name}"})()
    assert Request(create_environ("/", "http://h/"), app=app).url_for("a") == "http://h/a"


def test_requests_of_one_environ_share_their_state():
    """Middleware and handlers may each have a request of their own."""
    environ = environ_of()
    Request(environ).state.user = "ada"
    assert Request(environ).state.user == "ada"
    assert Request(environ, state=State({"user": "eve"})).state.user == "eve"


def test_a_session_needs_its_middleware():
    """The message names it."""
    environ = environ_of()
    with pytest.raises(FastAPIError, match="Add SessionMiddleware"):
        _ = Request(environ).session
    environ["wsgibg.session"] = {"user": "ada"}
    assert Request(environ).session == {"user": "ada"}


@pytest.mark.parametrize("name", ["scope", "receive", "send_push_promise"])
def test_what_only_asgi_has_is_missing_with_a_remedy(name):
    """A ported program learns what to use instead."""
    request = Request(environ_of())
    assert not hasattr(request, name)
    with pytest.raises(AttributeError, match=f"no attribute '{name}'. WSGI "):
        getattr(request, name)


def test_a_misspelled_attribute_is_named():
    """As for any object."""
    with pytest.raises(AttributeError, match=r"'Request' object has no attribute 'querry'\.$"):
        _ = Request(environ_of()).querry


def test_a_request_is_in_no_circle():
    """It is freed at once when it is dropped, whatever was read from it."""
    environ = create_environ("/?q=1", data=b"{}", content_type="application/json")
    request = Request(environ)
    request.get_json()
    request.get_form()
    assert (request.args["q"], len(request.files)) == ("1", 0)
    run(request.body())
    gone = weakref.ref(request)
    gc.disable()
    try:
        del request
        assert gone() is None
    finally:
        gc.enable()


def test_a_request_can_be_subclassed():
    """Attributes of the class and of the instance win over those that are made when read."""

    class Custom(Request):
        @property
        def url(self):
            return "custom"

    assert Custom(environ_of()).url == "custom"
    assert inspect.isfunction(Request.get_json)
    assert Request.headers.__doc__ == "The header fields."


# --- cookies -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "cookies"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        ("a=1;b=2 ; c = 3", {"a": "1", "b": "2", "c": "3"}),
        ("a=1; a=2", {"a": "2"}),
        ("a=b=c", {"a": "b=c"}),
        ("a=; =b; c", {"a": "", "": "c"}),
        (";;", {}),
        ('a="b c"', {"a": "b c"}),
        (r'a="\"\\\073\054"', {"a": '"\\;,'}),
        ('a="', {"a": '"'}),
        ('a="b', {"a": '"b'}),
    ],
)
def test_cookies_are_read_as_browsers_mean_them(field, cookies):
    """Nothing a client sends is an error."""
    assert parse_cookies(field) == cookies


# --- the body ------------------------------------------------------------------------------


def test_the_body_is_read_once_and_shared():
    """By every way of reading it, and by every request for the same environ."""
    environ = environ_of(b'{"a": 1}')
    request = Request(environ)
    assert run(request.body()) == b'{"a": 1}'
    assert run(request.json()) == {"a": 1}
    assert request.get_data() == b'{"a": 1}'
    assert request.get_json() is run(request.json())
    other = Request(environ)
    assert other.get_json() == {"a": 1}
    assert other.werkzeug.get_data() == b'{"a": 1}'
    assert b"".join(iter_body(environ)) == b'{"a": 1}'


def test_whoever_is_handed_the_environ_later_can_read_the_body_again():
    """Another WSGI application need not know that it was read."""
    environ = environ_of(b"hello")
    read_body(environ)
    assert PlainWerkzeugRequest(environ).get_data() == b"hello"


def test_json_that_is_none_is_an_error():
    """Python's own, as in Starlette; the media type does not matter."""
    request = Request(environ_of(b"{", "text/plain"))
    with pytest.raises(json.JSONDecodeError):
        run(request.json())
    with pytest.raises(json.JSONDecodeError):
        request.get_json()


def test_the_body_can_be_read_in_chunks():
    """The last one is empty, as in Starlette; they are not kept."""
    body = b"x" * 100_000
    environ = environ_of(body)
    chunks = drain(Request(environ).stream())
    assert [len(chunk) for chunk in chunks] == [65536, 34464, 0]
    with pytest.raises(FastAPIError, match=r"read in chunks already.*Await request.body\(\)"):
        read_body(environ)
    with pytest.raises(FastAPIError, match="read in chunks already"):
        drain(Request(environ).stream())
    with pytest.raises(FastAPIError, match="read in chunks already"):
        PlainWerkzeugRequest(environ).get_data()


def test_a_body_that_was_read_can_be_streamed():
    """Any number of times."""
    request = Request(environ_of(b"x" * 100_000))
    request.get_data()
    for _ in range(2):
        assert [len(chunk) for chunk in drain(request.stream())] == [65536, 34464, 0]


def drain(stream):
    """Every chunk of an async iterator that never waits."""
    chunks = []
    while True:
        try:
            chunks.append(run(anext(stream)))
        except StopAsyncIteration:
            return chunks


@pytest.mark.parametrize("name", ["body", "json", "stream", "close", "is_disconnected", "form"])
def test_no_method_of_a_request_can_wait(name):
    """None holds an `await`, so none keeps a route from borrowing the loop."""
    code = inspect.unwrap(getattr(Request, name)).__code__
    assert "await" not in inspect.getsource(code).split('"""')[-1]


def test_a_request_is_never_known_to_be_disconnected():
    """WSGI does not say."""
    assert run(Request(environ_of()).is_disconnected()) is False


# --- the length of the body ----------------------------------------------------------------


@pytest.mark.parametrize("length", ["", "-1", "+5", "5_0", "abc", "1.5", "٣", "0", "9" * 5000])
def test_a_length_that_is_no_number_counts_as_nothing(length):
    """As in Werkzeug: never a 500."""
    environ = environ_of(b"hello", length=length)
    assert read_body(environ.copy()) == b""
    assert b"".join(iter_body(environ.copy())) == b""
    assert PlainWerkzeugRequest(environ).get_data() == b""


def test_without_a_length_there_is_no_body():
    """Unless the server says that the input ends."""
    environ = environ_of(b"hello")
    del environ["CONTENT_LENGTH"]
    assert read_body(environ.copy()) == b""
    assert read_body(environ | {"wsgi.input_terminated": True}) == b"hello"


def test_a_chunked_body_is_read_to_its_end():
    """Its length is unknown, whatever `Content-Length` says beside it."""
    environ = environ_of(b"hello", length="2", HTTP_TRANSFER_ENCODING="chunked")
    assert read_body(environ.copy()) == b""
    environ["wsgi.input_terminated"] = True
    assert read_body(environ_copy(environ)) == b"hello"
    assert b"".join(iter_body(environ)) == b"hello"


@pytest.mark.parametrize("pieces", [[b"hel", b"lo"], [b"h", b"e", b"l", b"l", b"o"], [b"hello"]])
@pytest.mark.parametrize("read", [read_body, lambda environ: b"".join(iter_body(environ))], ids=str)
def test_a_server_may_give_less_than_it_is_asked_for(pieces, read):
    """Reading goes on until the length is reached."""
    environ = environ_of(length="5") | {"wsgi.input": Server(*pieces, b"more")}
    assert read(environ) == b"hello"


@pytest.mark.parametrize(
    "error", [None, OSError("reset"), ValueError("closed"), TimeoutError()], ids=repr
)
@pytest.mark.parametrize("pieces", [[], [b"hel"]], ids=["at once", "later"])
@pytest.mark.parametrize("length", ["5", "50000000"])
def test_a_body_that_ends_early_is_a_400(error, pieces, length):
    """The client is gone, or lied."""
    environ = environ_of(length=length) | {"wsgi.input": Server(*pieces, error=error)}
    with pytest.raises(ClientDisconnected) as caught:
        read_body(environ)
    assert caught.value.code == 400


def test_a_huge_length_is_not_asked_for_at_once():
    """A server's `read` may allocate what it is asked for."""
    server = Server()
    environ = environ_of(length="1000000000000") | {"wsgi.input": server}
    with pytest.raises(ClientDisconnected):
        read_body(environ)
    assert max(server.asked) <= 65536


def test_a_body_that_is_too_long_is_a_413():
    """By its announced length, before anything is read, or by what comes."""
    announced = environ_of(b"x" * 11)
    for read in (read_body, lambda *args: list(iter_body(*args))):
        with pytest.raises(RequestEntityTooLarge):
            read(announced, 10)
    assert announced["wsgi.input"].tell() == 0
    chunked = environ_of(b"x" * 11, HTTP_TRANSFER_ENCODING="chunked")
    chunked["wsgi.input_terminated"] = True
    with pytest.raises(RequestEntityTooLarge):
        read_body(chunked, 10)


def test_a_body_of_just_the_limit_is_read():
    """With and without an announced length."""
    assert read_body(environ_of(b"x" * 10), 10) == b"x" * 10
    chunked = environ_of(b"x" * 10, HTTP_TRANSFER_ENCODING="chunked")
    assert read_body(chunked | {"wsgi.input_terminated": True}, 10) == b"x" * 10


def test_a_request_has_the_limit_of_its_app():
    """By every way of reading."""
    for read in (
        Request.get_data,
        Request.get_json,
        Request.get_form,
        lambda request: request.werkzeug.get_data(),
        lambda request: request.files,
        lambda request: drain(request.stream()),
    ):
        environ = environ_of(b"a=" + b"x" * 9, "application/x-www-form-urlencoded")
        with pytest.raises(RequestEntityTooLarge):
            read(Request(environ, app=App()))


@given(
    body=st.binary(max_size=20),
    length=st.none() | st.integers(-2, 25).map(str) | st.text("0123456789+-_ .a٣", max_size=3),
    encoding=st.none() | st.sampled_from(["chunked", "gzip, chunked", "Chunked", "identity", ""]),
    terminated=st.booleans(),
)
def test_the_rules_of_the_length_are_werkzeugs(body, length, encoding, terminated):
    """For any pair of header fields; but a body that ends early is always an error here."""
    environ = environ_of(body)
    del environ["CONTENT_LENGTH"]
    if length is not None:
        environ["CONTENT_LENGTH"] = length
    if encoding is not None:
        environ["HTTP_TRANSFER_ENCODING"] = encoding
    if terminated:
        environ["wsgi.input_terminated"] = True
    theirs = outcome(lambda: PlainWerkzeugRequest(environ_copy(environ)).get_data())
    ours = outcome(lambda: read_body(environ_copy(environ)))
    in_chunks = outcome(lambda: b"".join(iter_body(environ_copy(environ))))
    assert ours == in_chunks
    if terminated:  # Werkzeug trusts the server then, and does not count
        assert ours in (400, b"") or theirs.startswith(ours)
    else:
        assert ours == theirs


def environ_copy(environ):
    return environ | {"wsgi.input": io.BytesIO(environ["wsgi.input"].getvalue())}


def outcome(function):
    try:
        return function()
    except HTTPException as error:
        return error.code


# --- forms ---------------------------------------------------------------------------------


def form_environ(data, **options):
    """A form as Werkzeug's client sends it: multipart where it has files."""
    builder = EnvironBuilder(method="POST", data=data, **options)
    try:
        made.append(builder.get_environ())
        return made[-1]
    finally:
        builder.close()


def test_a_urlencoded_form_is_read():
    """Repeated names, empty values, escapes; in order."""
    body = b"a=1&b=&a=%C3%A4+b&c&&=d&e=%zz&f=1;g=2"
    request = Request(environ_of(body, "application/x-www-form-urlencoded; charset=utf-8"))
    assert request.get_form().multi_items() == [
        *[("a", "1"), ("b", ""), ("a", "ä b"), ("c", ""), ("", "d"), ("e", "%zz"), ("f", "1;g=2")]
    ]
    assert request.get_data() == body


def test_bytes_of_a_form_that_are_not_escaped_are_utf8():
    """As browsers and curl mean them; what is none is replaced."""
    environ = environ_of("ä=ö".encode() + b"&b=\xff", "application/x-www-form-urlencoded")
    assert read_form(environ).multi_items() == [("ä", "ö"), ("b", "\ufffd")]


def test_a_multipart_form_is_read():
    """Fields and files, in the order they were sent."""
    environ = multipart(
        ("a", None, None, b"1"),
        ("up", "naïve.txt", "text/plain", b"hello"),
        ("b", None, None, "ä".encode()),
        ("up", "", None, b""),
    )
    form = Request(environ).get_form()
    assert list(form) == ["a", "up", "b"]
    assert [name for name, _ in form.multi_items()] == ["a", "up", "b", "up"]
    assert (form["a"], form["b"]) == ("1", "ä")
    first, second = form.getlist("up")
    assert isinstance(first, UploadFile)
    assert (first.filename, first.size, first.content_type) == ("naïve.txt", 5, "text/plain")
    assert first.headers["content-disposition"].startswith("form-data")
    assert first.file.read() == b"hello"
    assert (second.filename, second.size, second.file.read()) == ("", 0, b"")


def multipart(*parts, boundary="xyz", end=b"--xyz--\r\n", more="", **options):
    """An environ with a multipart body, part by part: name, file name, type, content."""
    body = b"".join(
        b"--xyz\r\nContent-Disposition: form-data"
        + (f'; name="{name}"'.encode() if name is not None else b"")
        + (f'; filename="{filename}"'.encode() if filename is not None else b"")
        + (f"\r\nContent-Type: {kind}".encode() if kind else b"")
        + b"\r\n\r\n"
        + content
        + b"\r\n"
        for name, filename, kind, content in parts
    )
    return environ_of(body + end, f"multipart/form-data; boundary={boundary}{more}", **options)


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 1024 * 1024 + 1])
def test_files_of_any_size_arrive_whole(size):
    """Also where the parts of a file arrive in different chunks."""
    content = (b"\r\n--xyw" * (size // 6 + 1))[:size]
    environ = multipart(("up", "a.bin", None, content), ("b", None, None, b"2"))
    form = read_form(environ)
    assert form["up"].file.read() == content
    assert (form["up"].size, form["b"]) == (size, "2")
    form.close_files()


CONTENTS = (
    st.binary(max_size=50)
    | st.just(b"a--xyz--\r\n--xy")
    | st.text("\r\n-xyz a", max_size=50).map(str.encode)
)
PARTS = st.tuples(
    st.sampled_from(["a", "b", "ä"]),
    st.none() | st.sampled_from(["", "a.txt", "b c.bin"]),
    st.none(),
    CONTENTS.filter(lambda content: not re.search(rb"(^|[\r\n])--xyz", content)),
)


@settings(max_examples=300)
@given(parts=st.lists(PARTS, max_size=4), sizes=st.lists(st.integers(1, 80), min_size=1))
def test_a_form_is_the_same_however_it_arrives(parts, sizes):
    """Whatever pieces the server gives: a delimiter may be cut in two anywhere."""
    environ = multipart(*parts)
    body, size = io.BytesIO(environ["wsgi.input"].getvalue()), cycle(sizes)
    environ["wsgi.input"] = Server(*iter(lambda: body.read(next(size)), b""))
    form = read_form(environ)
    received = [
        (name, value.filename, value.file.read())
        if isinstance(value, UploadFile)
        else (name, None, value)
        for name, value in form.multi_items()
    ]
    form.close_files()
    assert received == [
        (name, filename, content if filename is not None else text_of(content))
        for name, filename, _, content in parts
    ]


def text_of(content):
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def test_a_form_is_read_once_and_shared():
    """By every way of reading it, in either order, with the same files."""
    environ = multipart(("a", None, None, b"1"), ("up", "a.txt", "text/x", b"hello"))
    request = Request(environ)
    form = run(request.form())
    assert request.get_form() is form is Request(environ).get_form() is open_form(environ)
    assert request.werkzeug.form["a"] == "1"
    assert request.files["up"].filename == "a.txt"
    assert request.files["up"].content_type == "text/x"
    assert request.files["up"].stream is form["up"].file
    assert request.werkzeug.get_data() == b""
    with pytest.raises(FastAPIError, match="read in chunks already"):
        request.get_data()


def test_werkzeugs_request_may_be_asked_first():
    """Its form is parsed by the same rules."""
    request = Request(multipart(("a", None, None, b"1"), ("up", "a.txt", None, b"hello")))
    assert request.werkzeug.form["a"] == "1"
    assert request.get_form()["up"].file.read() == b"hello"


def test_werkzeugs_other_attributes_work():
    """Among them those that need the body."""
    request = Request(environ_of(b'{"a": 1}', "application/json", QUERY_STRING="q=1"))
    assert request.werkzeug.json == {"a": 1}
    assert request.args["q"] == "1"
    assert request.werkzeug.get_data() == request.get_data()
    assert len(request.werkzeug.form) == len(request.get_form()) == 0
    assert "werkzeug.request" not in request.environ


def test_a_form_can_be_read_after_the_body():
    """From the bytes that were kept."""
    request = Request(multipart(("up", "a.txt", None, b"hello")))
    body = request.get_data()
    assert request.get_form()["up"].file.read() == b"hello"
    assert request.get_data() == body


@pytest.mark.parametrize(
    "kind", ["", "application/json", "text/plain", "multipart/mixed; boundary=x"]
)
def test_a_body_that_is_no_form_is_an_empty_form(kind):
    """And stays to be read."""
    request = Request(environ_of(b"{}", kind))
    assert request.get_form().multi_items() == []
    assert open_form(request.environ) is None
    assert request.get_data() == b"{}"


def test_an_empty_body_is_an_empty_form():
    """Of either kind."""
    assert read_form(multipart(end=b"")).multi_items() == []
    assert read_form(environ_of(b"", "application/x-www-form-urlencoded")).multi_items() == []


def test_a_form_can_be_entered():
    """Its files are closed behind the block."""

    async def use():
        async with request.form() as form:
            upload = form["up"]
            return upload, await upload.read()

    request = Request(multipart(("up", "a.txt", None, b"hello")))
    upload, content = run(use())
    assert content == b"hello"
    assert upload.file.closed


def test_closing_a_request_closes_its_files():
    """Without reading a form that nobody has asked for."""
    request = Request(multipart(("up", "a.txt", None, b"hello")))
    run(request.close())
    assert request.environ["wsgi.input"].tell() == 0
    upload = request.get_form()["up"]
    run(request.close())
    assert upload.file.closed


@pytest.mark.parametrize(
    ("more", "content", "text"),
    [
        ("", b"\xe9", "é"),
        ("; charset=latin-1", b"\xe9", "é"),
        ("; charset=utf-8", "é".encode(), "é"),
        ("; charset=none", "é".encode(), "Ã©"),
    ],
)
def test_fields_are_decoded_as_the_form_says(more, content, text):
    """UTF-8 by default, latin-1 where that fails, as in Starlette."""
    assert read_form(multipart(("a", None, None, content), more=more))["a"] == text


BROKEN = {
    "no boundary": (multipart(boundary=""), "Missing boundary in multipart."),
    "long boundary": (multipart(boundary="x" * 201), "Invalid multipart data."),
    "not multipart": (multipart(end=b"hello"), "Invalid multipart data."),
    "cut off": (multipart(("a", None, None, b"1"), end=b""), "Invalid multipart data."),
    "cut off in the end": (
        multipart(("a", None, None, b"1"), end=b"--xyz-"),
        "Invalid multipart data.",
    ),
    "cut off in a file": (multipart(("a", "b", None, b"1"), end=b""), "Invalid multipart data."),
    "cut off after a file": (
        multipart(("a", "b", None, b"1"), ("c", None, None, b"2"), end=b""),
        "Invalid multipart data.",
    ),
    "no name": (
        multipart((None, None, None, b"1")),
        'The Content-Disposition header field "name" must be provided.',
    ),
    "no disposition": (
        multipart(end=b"--xyz\r\nX: y\r\n\r\n1\r\n--xyz--"),
        "Invalid multipart data.",
    ),
    "not utf-8": (
        multipart(end=b"--xyz\r\n\xff: y\r\n\r\n1\r\n--xyz--"),
        "Invalid multipart data.",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_malformed_form_is_a_400(case):
    """It says what is wrong, and no file stays open."""
    environ, detail = BROKEN[case]
    with pytest.raises(OurHTTPException) as caught:
        read_form(environ.copy())
    assert (caught.value.status_code, caught.value.detail) == (400, detail)


def test_endless_header_fields_of_a_part_are_a_413():
    """They are not gathered in memory."""
    environ = multipart(end=b"--xyz\r\nX: " + b"y" * 200_000)
    with pytest.raises(RequestEntityTooLarge):
        read_form(environ)


def test_forms_have_limits():
    """Starlette's, in its words."""
    fields = b"&".join([b"a=1"] * 4)
    limited = [
        (environ_of(fields, "application/x-www-form-urlencoded"), "fields"),
        (multipart(*[("a", None, None, b"1")] * 4), "fields"),
        (multipart(*[("a", "f", None, b"1")] * 4), "files"),
    ]
    for environ, what in limited:
        for most in (3, 4):
            request = Request(environ_copy(environ))
            options = {f"max_{what}": most}
            if most == 4:
                assert len(request.get_form(**options).multi_items()) == 4
                request.get_form().close_files()
                continue
            with pytest.raises(OurHTTPException) as caught:
                run(request.form(**options))
            assert caught.value.detail == f"Too many {what}. Maximum number of {what} is 3."


def test_a_field_has_a_limit_and_a_file_has_none():
    """One mebibyte by default."""
    big = b"x" * (1024 * 1024 + 1)
    kind = "application/x-www-form-urlencoded"
    for environ, what in (
        (multipart(("a", None, None, big)), "Part"),
        (environ_of(b"a=" + big[:-1], kind), "Field"),
    ):
        with pytest.raises(OurHTTPException) as caught:
            read_form(environ)
        assert caught.value.detail == f"{what} exceeded maximum size of 1024KB."
    assert read_form(environ_of(b"a=" + big[:-2], kind))["a"] == big[:-2].decode()
    assert read_form(multipart(("a", None, None, big[:-1])))["a"] == big[:-1].decode()
    form = read_form(multipart(("a", "f", None, big)))
    assert form["a"].size == len(big)
    form.close_files()


def test_werkzeugs_client_is_understood():
    """As one more program that writes forms."""
    environ = form_environ({"a": "ä", "up": (io.BytesIO(b"hello"), "ä b.txt", "text/plain")})
    form = read_form(environ)
    assert form["a"] == "ä"
    assert (form["up"].filename, form["up"].content_type) == ("ä b.txt", "text/plain")
    assert form["up"].file.read() == b"hello"
