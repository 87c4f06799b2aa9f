"""URLs, headers and multidicts behave as Starlette's."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from starlette import datastructures as theirs

from wsgibg import datastructures as ours

KEYS = st.sampled_from(["a", "b", "A", "x-y"])
WORDS = st.sampled_from(["", "1", "two", "ä", "a b", "&="])
PAIRS = st.lists(st.tuples(KEYS, WORDS), max_size=5)


def outcome(function: Any) -> Any:
    """What a call returns, or the kind of error it raises."""
    try:
        value = function()
    except (KeyError, ValueError) as error:
        return type(error)
    return str(value) if type(value).__name__ == "URL" else value


# --- URL -----------------------------------------------------------------------------------

URLS = st.sampled_from(
    [
        "",
        "/a/b?q=1#f",
        "http://example.org",
        "https://u:p@example.org:8443/a?b=&b=2&c",
        "http://u@[::1]:80/",
        "http://h:99999/",
        "mailto:a@b",
    ]
)
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "scheme": st.sampled_from(["https", ""]),
        "path": st.sampled_from(["/x", ""]),
        "query": st.sampled_from(["q=2", ""]),
        "hostname": st.sampled_from(["other", "[::2]"]),
        "port": st.sampled_from([None, 81]),
        "username": st.sampled_from([None, "ada"]),
        "password": st.sampled_from([None, "pw"]),
    },
)


@given(url=URLS)
def test_the_parts_of_a_url_are_starlettes(url: str) -> None:
    """Every property, and how it is shown."""
    names = "scheme netloc path query fragment username password hostname port is_secure"
    one, other = ours.URL(url), theirs.URL(url)
    for name in [*names.split(), "components"]:
        assert outcome(lambda n=name: getattr(one, n)) == outcome(lambda n=name: getattr(other, n))
    assert outcome(lambda: repr(one)) == outcome(lambda: repr(other))


@given(url=URLS, parts=PARTS)
def test_replacing_parts_of_a_url_is_starlettes(url: str, parts: dict[str, Any]) -> None:
    """With every combination of parts."""
    assert outcome(lambda: ours.URL(url).replace(**parts)) == outcome(
        lambda: theirs.URL(url).replace(**parts)
    )
    assert outcome(lambda: ours.URL(**parts)) == outcome(lambda: theirs.URL(**parts))


@given(url=URLS, params=st.dictionaries(st.sampled_from(["b", "c", "d"]), WORDS))
def test_changing_the_query_of_a_url_is_starlettes(url: str, params: dict[str, str]) -> None:
    """Including, replacing and removing parameters."""
    one, other = ours.URL(url), theirs.URL(url)
    assert str(one.include_query_params(**params)) == str(other.include_query_params(**params))
    assert str(one.replace_query_params(**params)) == str(other.replace_query_params(**params))
    assert str(one.remove_query_params(list(params))) == str(other.remove_query_params([*params]))


HOSTS = ["example.org", "h:8080", "[::1]:80", "a/b", "a@b", "", "[", "a b"]


@given(
    scheme=st.sampled_from(["http", "https"]),
    host=st.none() | st.sampled_from(HOSTS),
    server=st.sampled_from([("h", 80), ("h", 443), ("127.0.0.1", 8000)]),
    root=st.sampled_from(["", "/root"]),
    path=st.sampled_from(["/", "/a b", "/ä", "/a/"]),
    query=st.sampled_from(["", "q=1&q=%20"]),
)
def test_the_url_of_a_request_is_starlettes(
    scheme: str, host: str | None, server: tuple[str, int], root: str, path: str, query: str
) -> None:
    """The same request, once as an environ and once as an ASGI scope."""
    environ = {
        "wsgi.url_scheme": scheme,
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "SCRIPT_NAME": root,
        "PATH_INFO": path.encode().decode("latin-1"),
        "QUERY_STRING": query,
    }
    headers = []
    if host is not None:
        environ["HTTP_HOST"] = host
        headers = [(b"host", host.encode("latin-1"))]
    scope = {
        "scheme": scheme,
        "server": server,
        "path": root + path,
        "query_string": query.encode(),
        "headers": headers,
    }
    assert str(ours.URL.from_environ(environ)) == str(theirs.URL(scope=scope))


@given(
    path=st.sampled_from(["/a", "/a?b"]),
    host=st.sampled_from(["", "other"]),
    base=st.sampled_from(["http://h", "https://h:1/root/", "/x"]),
    protocol=st.sampled_from(["", "http"]),
)
def test_an_absolute_url_is_starlettes(path: str, host: str, base: str, protocol: Any) -> None:
    """With and without a fixed protocol or host."""
    one = ours.URLPath(path, protocol, host).make_absolute_url(base)
    assert str(one) == str(theirs.URLPath(path, protocol, host).make_absolute_url(base))


# --- headers -------------------------------------------------------------------------------

VALUES = st.sampled_from(["", "1", "two"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("__setitem__"), KEYS, VALUES),
        st.tuples(st.just("__delitem__"), KEYS),
        st.tuples(st.just("append"), KEYS, VALUES),
        st.tuples(st.just("setdefault"), KEYS, VALUES),
        st.tuples(st.just("update"), st.dictionaries(KEYS, VALUES)),
    )
)


def facts(headers: Any) -> list[Any]:
    """What headers say about themselves."""
    return [
        *[headers.keys(), headers.values(), headers.items(), headers.raw, list(headers)],
        *[len(headers), headers.getlist("A"), headers.get("X-Y"), "B" in headers],
    ]


@given(pairs=st.lists(st.tuples(KEYS, VALUES)), steps=STEPS)
def test_headers_change_as_starlettes_do(pairs: list[tuple[str, str]], steps: list[Any]) -> None:
    """After any steps."""
    raw = [(name.lower().encode(), value.encode()) for name, value in pairs]
    one, other = ours.MutableHeaders(pairs), theirs.MutableHeaders(raw=raw.copy())
    for name, *args in steps:
        assert getattr(one, name)(*args) == getattr(other, name)(*args)
        assert facts(one) == facts(other)
    assert (one == ours.Headers(pairs)) == (other == theirs.Headers(raw=raw))


# --- multidicts ----------------------------------------------------------------------------

CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("__setitem__"), KEYS, WORDS),
        st.tuples(st.just("__delitem__"), KEYS),
        st.tuples(st.just("pop"), KEYS, WORDS),
        st.tuples(st.just("popitem")),
        st.tuples(st.just("poplist"), KEYS),
        st.tuples(st.just("setdefault"), KEYS, WORDS),
        st.tuples(st.just("setlist"), KEYS, st.lists(WORDS, max_size=2)),
        st.tuples(st.just("append"), KEYS, WORDS),
        st.tuples(st.just("update"), PAIRS),
    )
)


@given(pairs=PAIRS, steps=CHANGES)
def test_multidicts_change_as_starlettes_do(pairs: list[Any], steps: list[Any]) -> None:
    """After any steps."""
    one, other = ours.MultiDict(pairs), theirs.MultiDict(pairs)
    for name, *args in steps:
        theirs_says = outcome(lambda n=name, a=args: getattr(other, n)(*a))
        assert outcome(lambda n=name, a=args: getattr(one, n)(*a)) == theirs_says
        assert one.multi_items() == other.multi_items()
        assert dict(one) == dict(other)


@settings(max_examples=300)
@given(query=st.text("ab=&+%20C3A4;ä", max_size=20) | PAIRS | st.dictionaries(KEYS, WORDS))
def test_query_parameters_are_starlettes(query: Any) -> None:
    """From text and from pairs."""
    one, other = ours.QueryParams(query), theirs.QueryParams(query)
    assert one.multi_items() == other.multi_items()
    assert (str(one), repr(one), dict(one)) == (str(other), repr(other), dict(other))
