"""The router: which paths a pattern takes, and which entry of a table answers a request."""

from __future__ import annotations

import re
import sys
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsgibg._match import NO_MATCH, Match, RouteTable
from wsgibg._paths import PathPattern
from wsgibg.exceptions import RegistrationError

GET = frozenset({"GET"})
POST = frozenset({"POST"})


def match(pattern: str, path: str) -> tuple[object, ...] | None:
    """The values that a pattern finds in a path."""
    return PathPattern.parse(pattern).match(path)


def table(*entries: tuple[str, frozenset[str] | None]) -> RouteTable:
    """A table of patterns written as text."""
    return RouteTable([(PathPattern.parse(path), methods) for path, methods in entries])


# Patterns: reading


def test_a_pattern_knows_its_text_its_names_and_its_openapi_path() -> None:
    """Convertors are not part of what the OpenAPI document shows."""
    pattern = PathPattern.parse("/users/{user_id:int}/files/{file_path:path}")
    assert pattern.text == "/users/{user_id:int}/files/{file_path:path}"
    assert pattern.names == ("user_id", "file_path")
    assert pattern.openapi_path == "/users/{user_id}/files/{file_path}"


def test_patterns_are_values() -> None:
    """Two patterns of one text are equal, have one hash and cannot be changed."""
    pattern = PathPattern.parse("/items/{item_id}")
    assert pattern == PathPattern.parse("/items/{item_id}")
    assert hash(pattern) == hash(PathPattern.parse("/items/{item_id}"))
    with pytest.raises(AttributeError):
        pattern.text = "/"  # type: ignore[misc]


def test_an_unknown_convertor_is_refused_with_the_known_ones() -> None:
    """The message names the path, the parameter and what to use."""
    with pytest.raises(RegistrationError) as caught:
        PathPattern.parse("/items/{item_id:integer}")
    assert str(caught.value) == (
        "path '/items/{item_id:integer}', parameter 'item_id': there is no convertor 'integer'."
        " Use one of str, path, int, float, uuid."
    )


def test_a_name_used_twice_is_refused() -> None:
    """One name cannot carry two values."""
    with pytest.raises(RegistrationError, match=r"'/\{a\}/\{b\}/\{a:int\}', parameter 'a'.*twice"):
        PathPattern.parse("/{a}/{b}/{a:int}")


def test_a_path_without_a_leading_slash_is_refused() -> None:
    """No request could match it."""
    with pytest.raises(RegistrationError, match=r"path 'items' must start with '/'.*'/items'"):
        PathPattern.parse("items")


def test_braces_without_a_parameter_are_ordinary_characters() -> None:
    """What is not a parameter in Starlette's syntax is literal text."""
    assert PathPattern.parse("/a{b-c}/{}/{1}").names == ()
    assert match("/a{b-c}", "/a{b-c}") == ()


# Patterns: matching


@pytest.mark.parametrize(
    ("pattern", "path", "values"),
    [
        ("/items", "/items", ()),
        ("/items", "/items/", None),
        ("/items/", "/items", None),
        ("/items/{a}", "/items/x y", ("x y",)),
        ("/items/{a}", "/items/", None),
        ("/items/{a}", "/items/x/", None),
        ("/items/{a}", "/items/x/y", None),
        ("/items/{a:str}", "/items/x", ("x",)),
        ("/{a}.{b}", "/archive.tar.gz", ("archive.tar", "gz")),
        ("/{a}-{b:int}", "/x-y-12", ("x-y", 12)),
        ("/v{a:int}", "/v2", (2,)),
        ("/a.c", "/abc", None),
        ("/files/{a:path}", "/files/", ("",)),
        ("/files/{a:path}", "/files", None),
        ("/files/{a:path}", "/files/x//y/", ("x//y/",)),
        ("/{a:path}/edit", "/x/y/edit", ("x/y",)),
        ("/files{a:path}", "/files", ("",)),
        ("/{a:int}", "/007", (7,)),
        ("/{a:int}", "/-7", None),
        ("/{a:int}", "/1_000", None),
        ("/{a:int}", "/\u0663", None),
        ("/{a:int}", "/ 7", None),
        ("/{a:float}", "/1.50", (1.5,)),
        ("/{a:float}", "/2", (2.0,)),
        ("/{a:float}", "/2.", None),
        ("/{a:float}", "/1e3", None),
        ("/{a:uuid}", "/" + "0" * 31 + "A", (uuid.UUID(int=10),)),
        ("/{a:uuid}", f"/{uuid.UUID(int=10)}", (uuid.UUID(int=10),)),
        ("/{a:uuid}", "/" + "0" * 31, None),
        ("/{a:uuid}", "/" + "0" * 33, None),
    ],
)
def test_what_a_pattern_takes(pattern: str, path: str, values: tuple[object, ...] | None) -> None:
    """Each kind of parameter takes exactly what its convertor accepts."""
    assert match(pattern, path) == values


@pytest.mark.parametrize("pattern", ["/items", "/{a:int}", "/{a:float}", "/{a:uuid}", "/{a:path}"])
def test_the_end_of_a_pattern_is_the_end_of_the_path(pattern: str) -> None:
    """A line feed at the end is a character like any other."""
    path = PathPattern.parse(pattern).build(
        {"a": uuid.UUID(int=1) if "uuid" in pattern else 1} if "{" in pattern else {}
    )
    assert match(pattern, path) is not None
    assert match(pattern, path + "\n") is None


def test_a_number_longer_than_python_converts_does_not_match() -> None:
    """A client cannot raise ``int()``'s ValueError."""
    digits = sys.get_int_max_str_digits()
    assert match("/{a:int}", "/" + "9" * digits) is not None
    assert match("/{a:int}", "/" + "9" * (digits + 1)) is None
    assert table(("/{a:int}", GET), ("/{b}", GET)).find("/" + "9" * (digits + 1), "GET")[0] == 1


# Patterns: writing


@pytest.mark.parametrize(
    ("pattern", "value", "path"),
    [
        ("/{a}", "x", "/x"),
        ("/{a}", 7, "/7"),
        ("/{a}.txt", "x", "/x.txt"),
        ("/{a:path}", "x/y", "/x/y"),
        ("/{a:path}", "", "/"),
        ("/{a:int}", "7", "/7"),
        ("/{a:float}", 0, "/0"),
        ("/{a:float}", 100.0, "/100"),
        ("/{a:float}", 1.25, "/1.25"),
        ("/{a:float}", 1e-7, "/0.0000001"),
        ("/{a:uuid}", uuid.UUID(int=1), "/00000000-0000-0000-0000-000000000001"),
        ("/{a}", "{a}", "/{a}"),
    ],
)
def test_build_writes_a_path(pattern: str, value: object, path: str) -> None:
    """Values are written as their convertor would read them."""
    assert PathPattern.parse(pattern).build({"a": value}) == path


@pytest.mark.parametrize(
    ("pattern", "value", "why"),
    [
        ("/{a}", "", "empty"),
        ("/{a}", "x/y", "'/'"),
        ("/{a:int}", -1, "negative"),
        ("/{a:int}", "x", "invalid literal"),
        ("/{a:int}", None, "NoneType"),
        ("/{a:float}", -1.0, "negative"),
        ("/{a:float}", float("nan"), "finite"),
        ("/{a:float}", float("inf"), "finite"),
    ],
)
def test_build_refuses_a_value_that_cannot_stand_there(
    pattern: str, value: object, why: str
) -> None:
    """The message names path, parameter, value and reason."""
    start = re.escape(f"path {pattern!r}, parameter 'a': {value!r} cannot stand there: ")
    with pytest.raises(ValueError, match=f"^{start}.*{why}"):
        PathPattern.parse(pattern).build({"a": value})


def test_build_names_what_is_missing_and_what_is_too_much() -> None:
    """A missing value is a KeyError, an unknown one a ValueError."""
    pattern = PathPattern.parse("/{a}/{b}")
    with pytest.raises(KeyError, match=r"path '/\{a\}/\{b\}' needs a value for b"):
        pattern.build({"a": 1})
    with pytest.raises(ValueError, match=r"has no parameter c\. Its parameters: a, b\."):
        pattern.build({"a": 1, "b": 2, "c": 3})
    with pytest.raises(ValueError, match=r"Its parameters: none\."):
        PathPattern.parse("/").build({"c": 3})


@given(
    text=st.text(st.characters(exclude_characters="/"), min_size=1),
    number=st.integers(min_value=0),
    real=st.floats(min_value=0, max_value=1e300),
    key=st.uuids(),
)
def test_what_build_writes_match_reads(text: str, number: int, real: float, key: uuid.UUID) -> None:
    """A path that was built leads back to its values (a float to 20 decimals)."""
    pattern = PathPattern.parse("/{text}/{number:int}/{real:float}/{key:uuid}")
    path = pattern.build({"text": text, "number": number, "real": real, "key": key})
    assert pattern.match(path) == (text, number, pytest.approx(real, rel=1e-15, abs=1e-19), key)


# The table: rules


def test_the_first_declared_entry_wins() -> None:
    """FastAPI's rule: a parameter declared earlier beats a literal declared later."""
    assert table(("/users/{id}", GET), ("/users/me", GET)).find("/users/me", "GET") == (0, ("me",))
    assert table(("/users/me", GET), ("/users/{id}", GET)).find("/users/me", "GET") == (0, ())


def test_an_entry_that_does_not_take_the_method_is_passed_over() -> None:
    """The first entry with both the path and the method answers."""
    users = table(("/users/{id}", GET), ("/users/me", POST), ("/users/{id}", POST))
    assert users.find("/users/me", "POST") == (1, ())
    assert users.find("/users/7", "POST") == (2, ("7",))
    assert users.find("/users/7", "GET") == (0, ("7",))


def test_the_first_entry_with_the_path_decides_the_405() -> None:
    """If no entry takes the method, ``~position`` says whose answer it is."""
    users = table(("/", GET), ("/users/{id}", POST), ("/users/me", GET), ("/users/{id:int}", GET))
    assert users.find("/users/me", "PUT") == (~1, ("me",))
    assert users.find("/users/7", "PUT") == (~1, ("7",))
    assert users.find("/", "PUT") == (~0, ())


def test_a_path_that_nobody_declared_is_no_match() -> None:
    """The answer is the constant itself, whose position is none of a table."""
    items = table(("/items", GET), ("/items/{id}", GET))
    for path in ("/", "", "/item", "/items/", "/items/7/", "//items", "items/7", "x/items/7", "*"):
        assert items.find(path, "GET") is NO_MATCH
    assert RouteTable([]).find("/", "GET") is NO_MATCH
    assert NO_MATCH[0] == ~sys.maxsize


def test_an_entry_without_methods_takes_every_method() -> None:
    """A mount is such an entry."""
    app = table(("/legacy/new", GET), ("/legacy/{path:path}", None), ("/legacy/{x}", POST))
    assert app.find("/legacy/new", "GET") == (0, ())
    assert app.find("/legacy/new", "BREW") == (1, ("new",))
    assert app.find("/legacy/old", "POST") == (1, ("old",))
    assert app.find("/legacy/a/b/c/d/e", "POST") == (1, ("a/b/c/d/e",))
    assert app.find("/legacy/", "GET") == (1, ("",))
    assert app.find("/legacy", "GET") is NO_MATCH


def test_an_entry_with_no_method_at_all_still_decides_a_405() -> None:
    """An empty set of methods is not the same as every method."""
    assert table(("/{a}", frozenset())).find("/x", "GET") == (~0, ("x",))
    assert table(("/x", frozenset())).find("/x", "GET") == (~0, ())


def test_a_value_the_convertor_refuses_leaves_the_path_to_later_entries() -> None:
    """``/{id:int}`` does not claim ``/seven``."""
    items = table(("/{id:int}", GET), ("/{key:uuid}", GET), ("/{name}", GET))
    assert items.find("/7", "GET") == (0, (7,))
    assert items.find(f"/{uuid.UUID(int=7)}", "GET") == (1, (uuid.UUID(int=7),))
    assert items.find("/seven", "GET") == (2, ("seven",))


def test_a_catch_all_declared_last_takes_only_what_is_left() -> None:
    """Neither a path nor a method that an earlier entry takes reaches it."""
    site = table(("/items/{id}", GET), ("/{page:path}", GET | POST))
    assert site.find("/items/7", "GET") == (0, ("7",))
    assert site.find("/items/7", "POST") == (1, ("items/7",))
    assert site.find("/items/7", "PUT") == (~0, ("7",))
    assert site.find("/a/b/c", "GET") == (1, ("a/b/c",))


def test_a_catch_all_declared_first_takes_everything() -> None:
    """Order is all that counts, not how special a pattern is."""
    site = table(("/{page:path}", GET), ("/items/{id}", GET), ("/items", GET))
    assert site.find("/items/7", "GET") == (0, ("items/7",))
    assert site.find("/items", "GET") == (0, ("items",))


def test_literal_segments_may_stand_anywhere() -> None:
    """Where two patterns cross, the earlier one wins, and no match is overlooked."""
    crossing = table(("/a/{x}/c", GET), ("/{x}/b/{y}", GET), ("/{x}/{y}/{z}", GET))
    assert crossing.find("/a/b/c", "GET") == (0, ("b",))
    assert crossing.find("/a/b/d", "GET") == (1, ("a", "d"))
    assert crossing.find("/a/d/d", "GET") == (2, ("a", "d", "d"))


def test_an_earlier_entry_of_another_shape_wins() -> None:
    """What kinds of path were declared before does not change the order."""
    literal = table(("/b/{x}/c", GET), ("/{x}/m/{y}", GET), ("/a/{x}/c", GET))
    assert literal.find("/a/m/c", "GET") == (1, ("a", "c"))
    mounts = table(("/b/{path:path}", None), ("/{path:path}", GET), ("/a/{path:path}", None))
    assert mounts.find("/a/x", "GET") == (1, ("a/x",))
    assert mounts.find("/a/x", "PUT") == (2, ("x",))


def test_empty_segments_never_match_a_parameter() -> None:
    """Two slashes in a row are not a value."""
    items = table(("/items/{a}", GET), ("/items/{a}/{b}", GET), ("//{a}", GET))
    assert items.find("/items/", "GET") is NO_MATCH
    assert items.find("/items//x", "GET") is NO_MATCH
    assert items.find("/items/x/", "GET") is NO_MATCH
    assert items.find("//x", "GET") == (2, ("x",))


@pytest.mark.parametrize("text", ["\n", "\0", "x\n", "\u00e9", "\U0001f600", "\ud800", "%2F", ".."])
def test_any_character_may_come(text: str) -> None:
    """A parameter takes any character but a slash; nothing raises."""
    items = table(("/{a}", GET), ("/n/{a:int}", GET), ("/{a}/{b}", GET), ("/" + text, POST))
    assert items.find("/" + text, "GET") == (0, (text,))
    assert items.find("/" + text, "POST") == (3, ())
    assert items.find("/n/" + text, "GET") == (2, ("n", text))
    assert items.find(text, text) is NO_MATCH


# The table against the plain way

FEW = ["a", "b", "{}", "{}"]
MANY = [*FEW, "{}", "", "{:int}", "{:float}", "{:path}", "{:path}", "{:uuid}"]
MANY += ["a{}", "{}-{}", "{:int}b", "{:path}b", "x.{:str}"]


@st.composite
def patterns(draw: st.DrawFn) -> str:
    """A declared path over so few different segments that patterns meet often."""
    few = st.lists(st.sampled_from(FEW), min_size=3, max_size=3)
    many = st.lists(st.sampled_from(MANY), max_size=4)
    path = "".join("/" + text for text in draw(few | many))
    names = iter("pqrstuvw")
    return re.sub(r"\{", lambda _: "{" + next(names), path)


METHODS = st.none() | st.frozensets(st.sampled_from(["GET", "POST", "PUT"]), max_size=2)
TABLES = st.lists(st.tuples(patterns().map(PathPattern.parse), METHODS), max_size=12)
ODD = ["1", "2.5", "a-b", "ab", "1b", "", "0" * 32, "x.y", "\n", "1\n"]
LONG = st.lists(st.sampled_from(["a", "b", *ODD]), max_size=6)
THREE = st.lists(st.sampled_from(["a", "b", "c"]), min_size=3, max_size=3)
PATHS = st.builds(
    lambda start, texts: start + "".join("/" + text for text in texts),
    st.sampled_from(["", "", "", "a"]),
    LONG | THREE,
)


def scan(entries: list[tuple[PathPattern, frozenset[str] | None]], path: str, method: str) -> Match:
    """The plain way: ask one entry after the other."""
    partial = NO_MATCH
    for position, (pattern, methods) in enumerate(entries):
        values = pattern.match(path)
        if values is None:
            continue
        if methods is None or method in methods:
            return position, values
        if partial is NO_MATCH:
            partial = ~position, values
    return partial


@settings(max_examples=400)
@given(
    entries=TABLES,
    paths=st.lists(PATHS | st.text("/a1{}\n", max_size=8), min_size=1, max_size=8),
)
def test_the_table_answers_as_a_plain_scan_does(
    entries: list[tuple[PathPattern, frozenset[str] | None]], paths: list[str]
) -> None:
    """Whatever is declared and asked, speed never changes an answer."""
    fast = RouteTable(entries)
    for path in [*paths, *(pattern.text for pattern, _ in entries)]:
        for method in ("GET", "POST", "PUT", "OTHER", ""):
            expected = scan(entries, path, method)
            found = fast.find(path, method)
            assert found == expected
            assert (found is NO_MATCH) == (expected is NO_MATCH)
            assert [type(value) for value in found[1]] == [type(value) for value in expected[1]]


@given(entries=TABLES, path=st.text(), method=st.text())
def test_no_text_makes_the_table_raise(
    entries: list[tuple[PathPattern, frozenset[str] | None]], path: str, method: str
) -> None:
    """Paths and methods come from strangers."""
    assert RouteTable(entries).find(path, method) == scan(entries, path, method)
