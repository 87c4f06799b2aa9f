"""Path patterns read as Starlette reads them."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.routing import compile_path, replace_params

from wsgibg._paths import PathPattern

SEGMENTS = ["a", "b.c", "{}", "{:str}", "{:int}", "{:float}", "{:path}", "{:uuid}", ""]
SEGMENTS += ["a{}", "{}-{}", "{:int}b", "{:path}b", "{}.{:float}", "(a)*", "{1}", "{", "}", "{ x}"]


@st.composite
def patterns(draw: st.DrawFn) -> str:
    """A declared path with every kind of parameter, and with what only looks like one."""
    texts = draw(st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=4))
    names = iter("pqrstuvw")
    return re.sub(r"\{(?=[:}])", lambda _: "{" + next(names), "".join("/" + text for text in texts))


TEXTS = st.sampled_from(
    [
        "a",
        "b.c",
        "1",
        "12.5",
        "2.",
        "-1",
        "a-b",
        "1b",
        "",
        "0" * 32,
        str(uuid.UUID(int=3)),
        "\u0661",
    ]
)
PATHS = st.lists(TEXTS, max_size=5).map(lambda texts: "".join("/" + text for text in texts))


def starlette_match(pattern: str, path: str) -> tuple[object, ...] | None:
    """The values that Starlette finds."""
    regex, _, convertors = compile_path(pattern)
    found = regex.match(path)
    if found is None:
        return None
    return tuple(convertors[name].convert(text) for name, text in found.groupdict().items())


@settings(max_examples=400)
@given(pattern=patterns(), paths=st.lists(PATHS | st.text("/a1.-{}\n", max_size=8), min_size=1))
def test_patterns_match_what_starlette_matches(pattern: str, paths: list[str]) -> None:
    """The same paths match, with the same values, but for a line feed at the very end."""
    ours = PathPattern.parse(pattern)
    for path in [*paths, pattern]:
        expected = starlette_match(pattern, path)
        found = ours.match(path)
        if path.endswith("\n") and found is None:
            continue  # on purpose: Starlette's "$" also matches before a last line feed
        assert found == expected


@given(pattern=patterns())
def test_patterns_are_shown_as_starlette_shows_them(pattern: str) -> None:
    """The names and the path without convertors are the same."""
    _, path_format, convertors = compile_path(pattern)
    ours = PathPattern.parse(pattern)
    assert ours.openapi_path == path_format
    assert ours.names == tuple(convertors)


VALUES: st.SearchStrategy[Any] = (
    st.text("a/b", max_size=3)
    | st.integers(-3, 10**6)
    | st.floats(-1, 1e18)
    | st.sampled_from([float("nan"), float("inf"), uuid.UUID(int=3), True])
)


@given(kind=st.sampled_from(["str", "path", "int", "float", "uuid"]), value=VALUES)
def test_paths_are_written_as_starlette_writes_them(kind: str, value: object) -> None:
    """The same text, or a refusal where Starlette refuses."""
    pattern = f"/x/{{p:{kind}}}.y"
    _, path_format, convertors = compile_path(pattern)
    try:
        expected, _ = replace_params(path_format, convertors, {"p": value})  # type: ignore[dict-item]
    except (AssertionError, TypeError, ValueError, OverflowError):
        with pytest.raises(ValueError, match="parameter 'p'"):
            PathPattern.parse(pattern).build({"p": value})
    else:
        assert PathPattern.parse(pattern).build({"p": value}) == expected


@pytest.mark.parametrize("pattern", ["/{a}/{a}", "/{a:nothing}"])
def test_patterns_that_starlette_refuses_are_refused(pattern: str) -> None:
    """A name twice, a convertor that does not exist."""
    with pytest.raises((AssertionError, ValueError)):
        compile_path(pattern)
    with pytest.raises(RuntimeError):
        PathPattern.parse(pattern)
