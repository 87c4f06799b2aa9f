"""The small values that requests and responses are made of."""

from __future__ import annotations

import copy
import io
import pickle
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError
from werkzeug.test import create_environ

from wsgibg.datastructures import (
    URL,
    Address,
    EnvironHeaders,
    FormData,
    Headers,
    ImmutableMultiDict,
    MultiDict,
    MutableHeaders,
    QueryParams,
    State,
    UploadFile,
    URLPath,
    check_header,
)

# --- URL -----------------------------------------------------------------------------------


def test_a_url_knows_its_parts():
    """Every part has a name."""
    url = URL("https://ada:pw@Example.org:8443/a/b?q=1&q=2#top")
    assert (url.scheme, url.netloc, url.path) == ("https", "ada:pw@Example.org:8443", "/a/b")
    assert (url.query, url.fragment) == ("q=1&q=2", "top")
    assert (url.username, url.password, url.hostname) == ("ada", "pw", "example.org")
    assert (url.port, url.is_secure) == (8443, True)
    assert str(url) == "https://ada:pw@Example.org:8443/a/b?q=1&q=2#top"


def test_a_relative_url_has_neither_user_nor_host():
    """The parts that are missing are empty or `None`."""
    url = URL("/a")
    assert (url.scheme, url.netloc, url.username, url.hostname, url.port) == ("", "", *[None] * 3)
    assert not url.is_secure


def test_a_url_can_be_made_of_parts():
    """Either a string or parts."""
    assert URL(scheme="https", netloc="example.org", path="/a", query="q=1") == (
        "https://example.org/a?q=1"
    )
    assert URL(scheme="http", hostname="example.org", port=8000) == "http://example.org:8000"
    with pytest.raises(TypeError, match="either a string or components"):
        URL("/a", path="/b")


@pytest.mark.parametrize(
    ("url", "parts", "expected"),
    [
        ("http://h/a", {"scheme": "https"}, "https://h/a"),
        ("http://h:1/a", {"port": None}, "http://h/a"),
        ("http://h/a", {"port": 81}, "http://h:81/a"),
        ("http://u:p@h:1/a", {"hostname": "other"}, "http://u:p@other:1/a"),
        ("http://u:p@h:1/a", {"username": None}, "http://h:1/a"),
        ("http://u:p@h:1/a", {"password": None}, "http://u@h:1/a"),
        ("http://h/a", {"username": "u", "password": "p"}, "http://u:p@h/a"),
        ("http://h/a", {"hostname": "::1"}, "http://[::1]/a"),
        ("http://h/a", {"hostname": "[::1]"}, "http://[::1]/a"),
        ("http://[::1]/a", {"port": 81}, "http://[::1]:81/a"),
        ("http://[::1]:80/a", {"port": 81}, "http://[::1]:81/a"),
        ("http://h/a?q=1#f", {"path": "/b", "query": "", "fragment": ""}, "http://h/b"),
    ],
)
def test_replace_changes_parts_and_keeps_the_others(url, parts, expected):
    """A URL never changes, `replace` makes another one."""
    before = URL(url)
    assert before.replace(**parts) == expected
    assert before == url


def test_query_parameters_are_set_and_removed():
    """The others stay where they are, unless all are replaced."""
    url = URL("http://h/a?q=1&q=2&r=&s=3")
    assert url.include_query_params(q="ä b") == "http://h/a?r=&s=3&q=%C3%A4+b"
    assert url.replace_query_params(x=1) == "http://h/a?x=1"
    assert url.remove_query_params("q") == "http://h/a?r=&s=3"
    assert url.remove_query_params(["q", "s", "none"]) == "http://h/a?r="


def test_the_password_is_not_shown():
    """A URL may end up in a log."""
    url = URL("https://ada:secret@example.org/")
    assert repr(url) == "URL('https://ada:********@example.org/')"
    assert "secret" in str(url)


def test_a_url_equals_its_text():
    """It can be compared with a string, and be a key."""
    assert URL("/a") == "/a"
    assert URL("/a") == URL("/a")
    assert URL("/a") != URL("/b")
    assert {URL("/a"): 1}[URL("/a")] == 1


def test_a_urlpath_becomes_a_url():
    """The path is put behind the base; a fixed protocol or host of the route wins."""
    assert isinstance(URLPath("/a"), str)
    assert URLPath("/a").make_absolute_url("http://h/root/") == "http://h/root/a"
    assert URLPath("/a").make_absolute_url(URL("ftp://h")) == "ftp://h/a"
    assert URLPath("/a", protocol="http").make_absolute_url("https://h") == "https://h/a"
    assert URLPath("/a", host="other:1").make_absolute_url("https://h") == "https://other:1/a"


@pytest.mark.parametrize("path", ["//evil.example/a", "/\\evil.example", "\\\\evil.example"])
def test_no_path_can_name_another_host(path):
    """Where a browser would read a host at the beginning of a path, it is escaped."""
    assert not urlsplit(URLPath(path)).netloc
    assert "\\" not in URLPath(path)
    assert urlsplit(str(URL.from_environ({"PATH_INFO": path}))).netloc == ""


# --- URL, from an environ ------------------------------------------------------------------


def environ_of(path="/", **more):
    environ = create_environ(path, "http://localhost:8000/")
    del environ["HTTP_HOST"]
    environ |= {"SERVER_NAME": "server", "SERVER_PORT": "8000", **more}
    return environ


def test_the_url_of_a_request_is_put_together():
    """Scheme, host, mount point, path and query; the path is decoded, as in Starlette."""
    environ = create_environ("/caf%C3%A9/a b?q=%20", "https://example.org/root/")
    assert URL.from_environ(environ) == "https://example.org/root/café/a b?q=%20"
    assert URL.root_of(environ) == "https://example.org/root/"


def test_the_root_of_an_app_that_is_not_mounted_is_the_hosts():
    """It ends with one slash, always."""
    assert URL.root_of(environ_of("/a")) == "http://server:8000/"
    assert URL.root_of(environ_of("/a", SCRIPT_NAME="/x/")) == "http://server:8000/x/"


def test_a_path_cannot_begin_the_query():
    """What was escaped in the path stays escaped."""
    url = URL.from_environ(environ_of("/a%3Fb%23c%5Cd?q=1"))
    assert (url.path, url.query, url.fragment) == ("/a%3Fb%23c%5Cd", "q=1", "")


@pytest.mark.parametrize(
    "host",
    [
        "example.org",
        "example.org:8080",
        "127.0.0.1:1",
        "[::1]",
        "[::1]:8080",
        "EXAMPLE.org",
        "a_b.example",
        "h:65535",
        "h:00080",
    ],
)
def test_a_sound_host_field_is_taken(host):
    """Names, addresses and ports."""
    assert URL.from_environ(environ_of(HTTP_HOST=host)).netloc == host


HOSTILE = [
    *["", " ", "a b", "a/b", "a?b", "a#b", "a@b", "a\\b", "a\r\nb", "a\n", "a\t", "\x00", "é"],
    *["[", "]", "[]", "[::1", "::1", "[::g]", "[1]", "[v1.a]", "a:b", "a:", ":80", "a:65536"],
    *["a:99999999999999999999", "a:٣", "http://a", "[::1]a", "[:::::::::]", "a:1:2", "<script>"],
]


@pytest.mark.parametrize("host", HOSTILE)
def test_a_malformed_host_field_is_ignored(host):
    """The server's own name is used in its place."""
    url = URL.from_environ(environ_of("/a", HTTP_HOST=host))
    assert url == "http://server:8000/a"


@given(host=st.text(st.characters(max_codepoint=255)), path=st.binary(), query=st.binary())
def test_no_client_can_break_the_url(host, path, query):
    """Whatever it sends, every part can be read, and the path and query stay apart."""
    environ = environ_of(
        HTTP_HOST=host,
        PATH_INFO="/" + path.decode("latin-1"),
        QUERY_STRING=query.replace(b"#", b"").decode("latin-1"),
    )
    url = URL.from_environ(environ)
    assert url.scheme == "http"
    assert url.hostname
    assert url.port is None or url.port <= 65535
    assert url.path.startswith("/")
    assert not url.fragment
    assert repr(url.include_query_params(a=1))


@pytest.mark.parametrize(
    ("scheme", "name", "port", "expected"),
    [
        ("http", "h", "80", "http://h/a"),
        ("https", "h", "443", "https://h/a"),
        ("https", "h", "80", "https://h:80/a"),
        ("http", "::1", "8000", "http://[::1]:8000/a"),
        ("http", "", "", "/a"),
        ("http", "/run/app.sock", "", "/a"),
        ("http", "unix", "", "http://unix/a"),
    ],
)
def test_without_a_host_field_the_server_is_named(scheme, name, port, expected):
    """The scheme's own port is left out; a Unix socket has no name."""
    environ = environ_of("/a", SERVER_NAME=name, SERVER_PORT=port)
    environ["wsgi.url_scheme"] = scheme
    assert URL.from_environ(environ) == expected


def test_without_any_name_the_query_is_kept():
    """A URL without a host is a path with its query."""
    assert URL.from_environ({"PATH_INFO": "/a", "QUERY_STRING": "q=1"}) == "/a?q=1"


# --- Headers -------------------------------------------------------------------------------


def test_names_of_headers_differ_in_letters_only():
    """Case does not count; names come back in lower case."""
    headers = Headers({"X-Tag": "new", "Accept": "*/*"})
    assert headers["x-tag"] == headers["X-TAG"] == "new"
    assert "X-tag" in headers
    assert "x-other" not in headers
    assert 3 not in headers
    assert headers.keys() == list(headers) == ["x-tag", "accept"]
    assert headers.values() == ["new", "*/*"]
    assert headers.items() == [("x-tag", "new"), ("accept", "*/*")]
    assert headers.get("x-other") is None
    assert len(headers) == 2
    with pytest.raises(KeyError, match="X-Other"):
        headers["X-Other"]


def test_a_header_may_occur_several_times():
    """The first one is the item."""
    headers = Headers([("Set-Cookie", "a=1"), ("set-cookie", "b=2")])
    assert headers["set-cookie"] == "a=1"
    assert headers.getlist("Set-Cookie") == ["a=1", "b=2"]
    assert len(headers) == 2


def test_headers_have_a_form_for_asgi_and_one_for_wsgi():
    """The first in lower-case bytes, the second with the names as they were spelled."""
    headers = Headers(raw=[(b"X-Tag", b"\xe9")])
    assert headers.raw == [(b"x-tag", b"\xe9")]
    assert headers.items_raw() == [("X-Tag", "é")]
    with pytest.raises(TypeError, match="either 'headers' or 'raw'"):
        Headers({}, raw=[])


def test_headers_are_equal_where_their_fields_are():
    """Neither case nor order counts."""
    assert Headers({"A": "1", "B": "2"}) == Headers([("b", "2"), ("a", "1")])
    assert Headers({"A": "1"}) != Headers({"A": "2"})
    assert Headers() != {}
    assert Headers() == MutableHeaders()


def test_headers_are_shown_as_a_dictionary_or_as_pairs():
    """As pairs where a name occurs twice."""
    assert repr(Headers({"A": "1"})) == "Headers({'a': '1'})"
    assert repr(Headers([("A", "1"), ("a", "2")])) == "Headers([('a', '1'), ('a', '2')])"


def test_headers_are_read_from_an_environ():
    """All that the client sent, and nothing else."""
    environ = {
        "HTTP_X_TAG": "new",
        "HTTP_EMPTY": "",
        "HTTP_CONTENT_TYPE": "forged",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "",
        "REQUEST_METHOD": "GET",
        "wsgi.version": (1, 0),
    }
    headers = Headers.from_environ(environ)
    assert isinstance(headers, EnvironHeaders)
    assert headers["X-Tag"] == "new"
    assert headers["Content-Type"] == "text/plain"
    assert headers["empty"] == ""
    assert "X-TAG" in headers
    assert "content-length" not in headers
    assert "request-method" not in headers
    assert 3 not in headers
    fields = [("x-tag", "new"), ("empty", ""), ("content-type", "text/plain")]
    assert headers.items() == fields
    assert headers.mutablecopy() == headers == Headers(fields)


def test_mutable_headers_keep_the_spelling_for_the_wire():
    """A copy does not change its original."""
    headers = Headers({"X-Tag": "a"}).mutablecopy()
    headers["x-tag"] = "b"
    headers["X-Other"] = "c"
    assert headers.items_raw() == [("x-tag", "b"), ("X-Other", "c")]


def test_setting_a_header_replaces_every_field_of_its_name():
    """The first one keeps its place."""
    headers = MutableHeaders([("A", "1"), ("B", "2"), ("a", "3")])
    headers["A"] = "4"
    assert headers.items() == [("a", "4"), ("b", "2")]


def test_headers_are_removed_added_and_merged():
    """Starlette's methods."""
    headers = MutableHeaders([("A", "1"), ("a", "2"), ("B", "3")])
    del headers["a"]
    del headers["none"]
    assert headers.items() == [("b", "3")]
    assert headers.setdefault("b", "4") == "3"
    assert headers.setdefault("C", "4") == "4"
    headers.append("c", "5")
    headers.extend([("D", "6")])
    headers.update({"B": "0"})
    assert headers.items() == [("b", "0"), ("c", "4"), ("c", "5"), ("d", "6")]
    both = headers | {"e": "7"}
    assert (len(both), len(headers)) == (5, 4)
    headers |= {"e": "7"}
    assert headers == both
    for merge in (lambda: headers | [("f", "8")], lambda: headers.__ior__([("f", "8")])):
        with pytest.raises(TypeError, match="updated from a mapping"):
            merge()


def test_vary_grows():
    """One more request header that the response depends on."""
    headers = MutableHeaders()
    headers.add_vary_header("Accept")
    headers.add_vary_header("Origin")
    assert headers["vary"] == "Accept, Origin"


def test_a_list_is_changed_in_place():
    """The list of a response that is about to be started."""
    pairs = [("A", "1")]
    headers = MutableHeaders.over(pairs)
    headers["B"] = "2"
    assert pairs == [("A", "1"), ("B", "2")]


INJECTIONS = ["a\r\nSet-Cookie: b=1", "a\n", "a\rb", "\x00", "a\x7f", "\x0b", "€", "\ud800"]


@pytest.mark.parametrize("value", INJECTIONS, ids=repr)
def test_a_value_cannot_begin_another_field(value):
    """It is refused where it is set, with the name of the field."""
    headers = MutableHeaders()
    with pytest.raises(ValueError, match=r"'X-Tag'.*line breaks"):
        headers["X-Tag"] = value
    with pytest.raises(ValueError, match="'X-Tag'"):
        headers.append("X-Tag", value)
    with pytest.raises(ValueError, match="'X-Tag'"):
        headers.setdefault("X-Tag", value)
    with pytest.raises(ValueError, match="'X-Tag'"):
        MutableHeaders({"X-Tag": value})
    assert not headers


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "a\n", "é", "a\x00"], ids=repr)
def test_a_name_is_a_token(name):
    """Nothing else is a header field's name."""
    with pytest.raises(ValueError, match="header cannot be called"):
        MutableHeaders()[name] = "1"


def test_a_header_is_text():
    """A number has to be converted, and the message names the header."""
    with pytest.raises(TypeError, match=r"'X-Count' is 3, which is not a str"):
        MutableHeaders()["X-Count"] = 3
    with pytest.raises(TypeError, match="header cannot be called b'a'"):
        check_header(b"a", "1")


@given(value=st.text(st.characters(max_codepoint=255)))
def test_what_is_accepted_is_one_line_of_latin_1(value):
    """Tabs are allowed, as in RFC 9110."""
    try:
        check_header("X", value)
    except ValueError:
        assert any(ord(one) < 32 or ord(one) == 127 for one in value.replace("\t", ""))
    else:
        assert len(value.encode("latin-1").splitlines()) <= 1


# --- multidicts ----------------------------------------------------------------------------


def test_a_multidict_remembers_every_value():
    """As a mapping it has the last one."""
    items = ImmutableMultiDict([("a", 1), ("b", 2), ("a", 3)])
    assert items["a"] == 3
    assert items.getlist("a") == [1, 3]
    assert items.getlist("c") == []
    assert items.multi_items() == [("a", 1), ("b", 2), ("a", 3)]
    assert list(items.items()) == [("a", 3), ("b", 2)]
    assert (list(items.keys()), list(items.values())) == (["a", "b"], [3, 2])
    assert (list(items), len(items), "a" in items) == (["a", "b"], 2, True)
    assert repr(items) == "ImmutableMultiDict([('a', 1), ('b', 2), ('a', 3)])"


def test_a_multidict_is_made_of_anything_like_it():
    """Another one, a mapping, pairs, keywords."""
    one = ImmutableMultiDict([("a", 1), ("a", 2)])
    assert ImmutableMultiDict(one).multi_items() == [("a", 1), ("a", 2)]
    assert ImmutableMultiDict({"a": 1}, b=2).multi_items() == [("a", 1), ("b", 2)]
    assert ImmutableMultiDict().multi_items() == []


def test_multidicts_are_equal_where_each_key_has_the_same_values():
    """The order of the keys does not count, nor need the values be comparable."""
    one = ImmutableMultiDict([("a", 1), ("b", None), ("a", "x")])
    assert one == ImmutableMultiDict([("b", None), ("a", 1), ("a", "x")])
    assert one != ImmutableMultiDict([("a", "x"), ("a", 1), ("b", None)])
    assert one != {"a": "x", "b": None}


def test_a_multidict_can_be_changed():
    """Starlette's methods."""
    items = MultiDict([("a", 1), ("b", 2), ("a", 3)])
    items["a"] = 4
    assert items.multi_items() == [("b", 2), ("a", 4)]
    items.append("a", 5)
    assert (items["a"], items.getlist("a")) == (5, [4, 5])
    assert items.setdefault("c", 6) == 6
    assert items.setdefault("c", 7) == 6
    items.setlist("b", [8, 9])
    items.setlist("c", [])
    assert items.multi_items() == [("a", 4), ("a", 5), ("b", 8), ("b", 9)]
    assert items.poplist("b") == [8, 9]
    items.update({"a": 0}, d=1)
    assert items.multi_items() == [("a", 0), ("d", 1)]
    assert items.pop("a") == 0
    assert items.pop("a", "none") == "none"
    assert items.popitem() == ("d", 1)
    items["e"] = 1
    del items["e"]
    with pytest.raises(KeyError):
        del items["e"]
    items["f"] = 1
    items.clear()
    assert (items.multi_items(), dict(items)) == ([], {})


def test_query_parameters_are_read_and_written():
    """From a string, bytes, a mapping or pairs; empty values count."""
    query = QueryParams("a=1&b=%C3%A4+b&a=&c")
    assert query.multi_items() == [("a", "1"), ("b", "ä b"), ("a", ""), ("c", "")]
    assert str(query) == "a=1&b=%C3%A4+b&a=&c="
    assert repr(query) == "QueryParams('a=1&b=%C3%A4+b&a=&c=')"
    assert QueryParams(b"a=1") == QueryParams({"a": 1}) == QueryParams(a=1)
    assert QueryParams("a=1", b=2).multi_items() == [("a", "1"), ("b", "2")]


# --- State ---------------------------------------------------------------------------------


def test_a_state_keeps_attributes():
    """They are items as well."""
    state = State({"a": 1})
    state.b = 2
    state["c"] = 3
    assert (state.a, state["b"], state.c) == (1, 2, 3)
    assert (list(state), len(state), "a" in state) == (["a", "b", "c"], 3, True)
    del state.a
    del state["b"]
    assert list(state) == ["c"]


def test_a_missing_attribute_of_a_state_is_named():
    """It is an ordinary attribute error."""
    state = State()
    assert not hasattr(state, "user")
    with pytest.raises(AttributeError, match="'State' object has no attribute 'user'"):
        _ = state.user
    with pytest.raises(AttributeError, match="'user'"):
        del state.user
    with pytest.raises(KeyError):
        state["user"]


def test_a_state_can_be_copied_and_pickled():
    """With its values."""
    state = State({"a": [1]})
    assert copy.deepcopy(state).a == [1]
    assert pickle.loads(pickle.dumps(state)).a == [1]


# --- uploads -------------------------------------------------------------------------------


def run(coroutine):
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    pytest.fail("it waited")


def test_the_methods_of_an_upload_never_wait():
    """They are plain calls to be awaited, and count what is written."""
    upload = UploadFile(io.BytesIO(), size=0, filename="a.txt")
    run(upload.write(b"hello"))
    run(upload.seek(1))
    assert run(upload.read(2)) == b"el"
    assert run(upload.read()) == b"lo"
    assert (upload.size, upload.filename, upload.content_type) == (5, "a.txt", None)
    run(upload.close())
    assert upload.file.closed


def test_an_upload_of_unknown_size_keeps_it_unknown():
    """Its headers say what the client said."""
    upload = UploadFile(io.BytesIO(), headers=Headers({"Content-Type": "image/png"}))
    run(upload.write(b"hello"))
    assert (upload.size, upload.content_type) == (None, "image/png")
    assert repr(upload) == (
        "UploadFile(filename=None, size=None, headers=Headers({'content-type': 'image/png'}))"
    )


def test_pydantic_takes_uploads_and_nothing_else():
    """The words are FastAPI's."""
    adapter = TypeAdapter(UploadFile)
    upload = UploadFile(io.BytesIO())
    assert adapter.validate_python(upload) is upload
    with pytest.raises(ValidationError, match="Expected UploadFile, received: <class 'str'>"):
        adapter.validate_python("text")

    class Form(BaseModel):
        files: list[UploadFile]

    assert Form(files=[upload]).files == [upload]
    assert Form.model_json_schema()["properties"]["files"]["items"] == {
        "type": "string",
        "contentMediaType": "application/octet-stream",
    }


@pytest.mark.parametrize("close", [FormData.close_files, lambda form: run(form.close())])
def test_a_form_owns_its_files(close):
    """Closing the form closes every one of them."""
    one, other = UploadFile(io.BytesIO()), UploadFile(io.BytesIO())
    form = FormData([("a", one), ("b", "text"), ("a", other)])
    assert form.uploads() == [one, other]
    close(form)
    assert one.file.closed
    assert other.file.closed


# --- the rest ------------------------------------------------------------------------------


def test_an_address_is_a_pair():
    """Of host and port."""
    assert Address("127.0.0.1", 80) == ("127.0.0.1", 80)
    assert Address("127.0.0.1", 80).port == 80


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_path_survives_the_environ(path):
    """Text, percent-encoded by a client and carried as latin-1 by the server, is text again."""
    environ = create_environ("/" + quote(path, safe=""), "http://h/")
    url = str(URL.from_environ(environ))
    expected = path.replace("?", "%3F").replace("#", "%23").replace("\\", "%5C")
    assert url == f"http://h/{expected}"
