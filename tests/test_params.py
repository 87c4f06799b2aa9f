"""The markers and their readers: query, header, cookie; lists; parameter models."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field
from werkzeug.test import create_environ

from tests.support import client
from wsgibg import App, Body, Cookie, Depends, Header, Path, Query, Security, params
from wsgibg.exceptions import RegistrationError
from wsgibg.params import (
    SOURCES,
    HeaderLists,
    SecurityScopes,
    header_key,
    parse_cookies,
    parse_query,
    parse_query_lists,
)


def ask(handler, target="/", **request):
    """The answer of an app with one handler."""
    app = App()
    app.get("/")(handler)
    return client(app, use_cookies=False).get(target, **request)


def errors_of(answer):
    """The status, and the type and place of each error."""
    assert answer.status_code == 422
    return [(error["type"], error["loc"]) for error in answer.json["detail"]]


# --- markers -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Body", "Cookie", "Header", "Path", "Query"])
def test_functions_make_markers_of_the_same_name(name):
    """The functions exist for type checkers; what they make is `wsgibg.params`'."""
    marker = {"Body": Body, "Cookie": Cookie, "Header": Header, "Path": Path, "Query": Query}[
        name
    ]()

    assert type(marker) is getattr(params, name)
    assert marker.is_required()
    assert marker.in_ == name.lower()
    assert repr(marker) == f"{name}(PydanticUndefined)"


def test_depends_and_security_make_plain_data():
    """What was written can be read."""

    def get_user():
        return None

    assert Depends(get_user, use_cache=False, scope="function") == params.Depends(
        get_user, use_cache=False, scope="function"
    )
    assert Security(get_user, scopes=["a"]) == params.Security(get_user, scopes=["a"])


@pytest.mark.parametrize("make", [Depends, params.Security])
def test_a_scope_that_there_is_not_is_refused(make):
    """Where it is declared, with the three that there are."""
    with pytest.raises(
        RegistrationError, match=r'scope=\'reqest\'\): use "function", "request" or "tasks"\.'
    ):
        make(print, scope="reqest")


@pytest.mark.parametrize(
    ("make", "option", "message"),
    [
        (
            Query,
            "min_lenght",
            r"Query\(\) has no option 'min_lenght'\. Did you mean 'min_length'\?",
        ),
        (Path, "greater", r"Path\(\) has no option 'greater'\. Its options: alias, .*title"),
        (Header, "convert_underscore", "Did you mean 'convert_underscores'"),
        (Cookie, "embed", r"Cookie\(\) has no option 'embed'"),
        (Body, "embd", "Did you mean 'embed'"),
        (params.Query, "Title", "Did you mean 'title'"),
    ],
)
def test_an_option_that_there_is_not_is_refused(make, option, message):
    """With the one that was probably meant, or with all of them."""
    with pytest.raises(TypeError, match=message):
        make(**{option: 1})


def test_markers_keep_what_is_for_the_documentation():
    """Examples and the like are not pydantic's business."""
    marker = params.Query(
        example="tea", openapi_examples={"a": {"value": 1}}, include_in_schema=False
    )

    assert marker.example == "tea"
    assert marker.openapi_examples == {"a": {"value": 1}}
    assert marker.include_in_schema is False
    assert params.Body(embed=True, media_type="application/x-yaml").media_type == (
        "application/x-yaml"
    )


def test_an_ellipsis_means_required():
    """FastAPI's older way of writing it."""
    assert params.Query(...).is_required()
    assert not params.Query(None).is_required()


def test_a_path_parameter_has_no_default():
    """The path always has it."""
    with pytest.raises(TypeError, match="cannot have a default value"):
        Path("x")


def test_regex_is_pattern():
    """FastAPI's older name of the constraint."""

    def read(q: Annotated[str, Query(regex="^a+$")]):
        return q

    assert ask(read, "/?q=aa").json == "aa"
    assert errors_of(ask(read, "/?q=b")) == [("string_pattern_mismatch", ["query", "q"])]


def test_security_scopes_are_a_list_and_a_string():
    """As OAuth2 writes them."""
    assert SecurityScopes(["a", "b"]).scope_str == "a b"
    assert SecurityScopes().scopes == []


# --- query ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        ("a=1&a=2", {"a": "2"}),
        ("a", {"a": ""}),
        ("a=", {"a": ""}),
        ("=1", {"": "1"}),
        ("&&a=1&", {"a": "1"}),
        ("a=1=2", {"a": "1=2"}),
        ("a=b+c", {"a": "b c"}),
        ("a%20b=%C3%A9", {"a b": "é"}),
        ("a=%FF", {"a": "�"}),
        ("a=1;b=2", {"a": "1;b=2"}),
    ],
)
def test_a_query_string_is_taken_apart(text, values):
    """Blank values are kept; of repeated keys the last counts."""
    environ = {"QUERY_STRING": text}

    assert parse_query(environ) == values
    assert dict(parse_query_lists(environ)) == values


@given(st.text(st.sampled_from("ab=&+%2F;é"), max_size=12))
def test_both_readers_of_the_query_agree(text):
    """The fast way and the general way give the same last values."""
    environ = {"QUERY_STRING": text.encode().decode("latin-1")}

    assert parse_query(environ) == dict(parse_query_lists(environ))


def test_a_server_may_leave_the_query_out():
    """PEP 3333 allows it where it is empty."""
    assert parse_query({}) == {}
    assert parse_query_lists({}).getlist("a") == []


def test_query_values_are_read_by_type_and_name():
    """Required, optional and with a default."""

    def read(a: int, b: float | None = None, c: bool = False):
        return [a, b, c]

    assert ask(read, "/?a=1").json == [1, None, False]
    assert ask(read, "/?a=1&b=2.5&c=yes").json == [1, 2.5, True]
    assert errors_of(ask(read, "/?b=x&c=maybe")) == [
        ("missing", ["query", "a"]),
        ("float_parsing", ["query", "b"]),
        ("bool_parsing", ["query", "c"]),
    ]


@pytest.mark.parametrize("kind", [list[int], set[int], tuple[int, ...], frozenset[int]])
def test_a_list_collects_a_repeated_key(kind):
    """A query list needs its marker, as in FastAPI."""

    def read(q):
        return sorted(q)

    read.__annotations__ = {"q": Annotated[kind, Query()]}

    assert ask(read, "/?q=2&q=1").json == [1, 2]
    assert errors_of(ask(read, "/")) == [("missing", ["query", "q"])]


def test_each_value_of_a_list_is_checked():
    """The error says which."""

    def read(q: Annotated[list[int], Query()]):
        return q

    assert errors_of(ask(read, "/?q=1&q=x&q=y")) == [
        ("int_parsing", ["query", "q", 1]),
        ("int_parsing", ["query", "q", 2]),
    ]


def test_an_optional_list_has_its_default():
    """A mutable default is made anew for each request."""
    app = App()

    @app.get("/none")
    def none(q: Annotated[list[str] | None, Query()] = None):
        return q

    @app.get("/given")
    def given(q: Annotated[list[str], Query()] = ["a"]):  # noqa: B006 (that is the test)
        q.append("b")
        return q

    browser = client(app)

    assert browser.get("/none").json is None
    assert browser.get("/given").json == ["a", "b"]
    assert browser.get("/given").json == ["a", "b"]
    assert browser.get("/given?q=x").json == ["x", "b"]


def test_an_alias_is_the_name_in_the_request():
    """In errors as well."""

    def read(q: Annotated[int, Query(alias="item-query")]):
        return q

    assert ask(read, "/?item-query=7").json == 7
    assert errors_of(ask(read, "/?q=7")) == [("missing", ["query", "item-query"])]


def test_a_validation_alias_comes_before_an_alias():
    """Pydantic's order of names."""

    def read(q: Annotated[int, Query(alias="a", validation_alias="v")]):
        return q

    assert ask(read, "/?v=7").json == 7


def test_a_marker_may_be_the_default():
    """FastAPI's older way of declaring."""

    def read(q: int = Query(5, ge=1)):
        return q

    assert ask(read).json == 5
    assert errors_of(ask(read, "/?q=0")) == [("greater_than_equal", ["query", "q"])]


def test_a_default_factory_makes_each_default():
    """One for every request that has no value."""
    made = iter(range(10))

    def read(q: int = Query(default_factory=lambda: next(made))):
        return q

    app = App()
    app.get("/")(read)
    browser = client(app)

    assert [browser.get("/").json, browser.get("/?q=7").json, browser.get("/").json] == [0, 7, 1]


def test_a_parameter_without_annotation_is_a_string():
    """It is required like any other."""

    def read(q):
        return q

    assert ask(read, "/?q=7").json == "7"
    assert errors_of(ask(read)) == [("missing", ["query", "q"])]


# --- headers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alias", "key"),
    [
        ("x-token", "HTTP_X_TOKEN"),
        ("User-Agent", "HTTP_USER_AGENT"),
        ("content-type", "CONTENT_TYPE"),
        ("Content-Length", "CONTENT_LENGTH"),
    ],
)
def test_headers_have_their_key_in_the_environ(alias, key):
    """PEP 3333, and two names that CGI has always treated on their own."""
    assert header_key(alias) == key


def test_underscores_of_a_header_parameter_are_hyphens():
    """Errors call it by the header's name."""

    def read(x_token: Annotated[str, Header()], content_type: Annotated[str, Header()] = ""):
        return [x_token, content_type]

    answer = ask(read, headers={"X-Token": "t"}, content_type="text/x")

    assert answer.json == ["t", "text/x"]
    assert errors_of(ask(read)) == [("missing", ["header", "x-token"])]


def test_underscores_may_be_kept():
    """WSGI cannot tell the two apart, so both names reach the parameter."""

    def read(x_token: Annotated[str, Header(convert_underscores=False)]):
        return x_token

    assert ask(read, headers={"x_token": "t"}).json == "t"
    assert errors_of(ask(read)) == [("missing", ["header", "x_token"])]


def test_a_header_list_is_split_at_its_commas():
    """Servers join repeated headers by commas (RFC 9110)."""

    def read(x_token: Annotated[list[str], Header()]):
        return x_token

    assert ask(read, headers={"X-Token": "a, b"}).json == ["a", "b"]
    assert ask(read, headers={"X-Token": "a"}).json == ["a"]


def test_single_headers_are_read_beside_lists():
    """One list among the headers changes nothing for the others."""

    def read(x_list: Annotated[list[str], Header()], x_one: Annotated[str, Header()]):
        return [x_list, x_one]

    answer = ask(read, headers={"X-List": "a,b", "X-One": "c, d"})

    assert answer.json == [["a", "b"], "c, d"]


def test_header_lists_face():
    """An environ with `getlist`."""
    headers = HeaderLists({"HTTP_A": "1, 2"})

    assert headers.getlist("HTTP_A") == ["1", "2"]
    assert headers.getlist("HTTP_B") == []
    assert headers["HTTP_A"] == headers.get("HTTP_A") == "1, 2"


# --- cookies -------------------------------------------------------------------------------


def test_cookies_are_read_by_name():
    """Optional and required."""

    def read(session: Annotated[str, Cookie()], theme: Annotated[str | None, Cookie()] = None):
        return [session, theme]

    assert ask(read, headers={"Cookie": "session=abc; theme=dark"}).json == ["abc", "dark"]
    assert errors_of(ask(read)) == [("missing", ["cookie", "session"])]


def test_a_request_without_cookies_has_none():
    """The header may be missing."""
    assert parse_cookies({}) == {}
    assert parse_cookies({"HTTP_COOKIE": "a=1; b=2"}) == {"a": "1", "b": "2"}


# --- parameter models ----------------------------------------------------------------------


class Filters(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(100, gt=0)
    order_by: str = "created"
    tags: list[str] = []


class Headers(BaseModel):
    host: str
    save_data: bool
    if_modified_since: str | None = None
    x_tag: list[str] = []


class Cookies(BaseModel):
    model_config = ConfigDict(extra="allow")

    session_id: str
    tracker: str | None = Field(None, alias="Tracker")


def test_a_query_model_gathers_the_whole_query():
    """Lists included."""

    def read(filters: Annotated[Filters, Query()]):
        return filters

    assert ask(read).json == {"limit": 100, "order_by": "created", "tags": []}
    assert ask(read, "/?limit=5&tags=a&tags=b").json == {
        "limit": 5,
        "order_by": "created",
        "tags": ["a", "b"],
    }
    assert errors_of(ask(read, "/?limit=0")) == [("greater_than", ["query", "limit"])]


@pytest.mark.parametrize("query", ["tool=plumbus", "tool=a&tool=b"])
def test_a_model_may_forbid_what_it_does_not_know(query):
    """What is left over reaches the model under its own name."""

    def read(filters: Annotated[Filters, Query()]):
        return filters

    answer = ask(read, f"/?{query}")

    assert errors_of(answer) == [("extra_forbidden", ["query", "tool"])]


def test_a_header_model_reads_hyphens():
    """Its fields are named like header parameters."""

    def read(headers: Annotated[Headers, Header()]):
        return headers

    answer = ask(read, headers={"Save-Data": "true", "X-Tag": "a, b"})

    assert answer.json == {
        "host": "localhost",
        "save_data": True,
        "if_modified_since": None,
        "x_tag": ["a", "b"],
    }
    assert errors_of(ask(read)) == [("missing", ["header", "save_data"])]


def test_a_cookie_model_takes_extra_cookies_where_it_allows_them():
    """Aliases are the cookies' names."""

    def read(cookies: Annotated[Cookies, Cookie()]):
        return cookies

    answer = ask(read, headers={"Cookie": "session_id=1; Tracker=2; other=3"})

    assert answer.json == {"session_id": "1", "Tracker": "2", "other": "3"}


def test_a_model_beside_another_parameter_is_an_ordinary_value():
    """FastAPI's rule: only a single one of its place stands for the whole."""

    def dependency(filters: Annotated[Filters, Query()]):
        return filters.limit

    def read(limit: int = Depends(dependency), q: str = ""):
        return [limit, q]

    app = App()
    app.get("/")(read)

    assert client(app).get("/?limit=5").json == [5, ""]


def test_every_source_names_its_keys():
    """What a parameter model may find beyond its fields."""
    environ = create_environ(
        "/?a=1", headers={"X-Tag": "t", "Cookie": "c=1"}, content_type="text/x"
    )

    def names(location: str) -> list[Any]:
        source = SOURCES[location]
        return list(source.names(source.open_lists(environ)))

    assert names("query") == [("a", "a")]
    assert names("cookie") == [("c", "c")]
    assert set(names("header")) == {
        ("HTTP_HOST", "host"),
        ("HTTP_X_TAG", "x-tag"),
        ("HTTP_COOKIE", "cookie"),
        ("CONTENT_TYPE", "content-type"),
    }
