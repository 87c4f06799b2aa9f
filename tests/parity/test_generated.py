"""Declarations and requests that nobody thought of, on FastAPI and on us."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

import wsgibg.exceptions
from tests.parity.both import Ask, Pair, fastapi_names, our_names
from tests.parity.declarations import (
    Declared,
    Node,
    Param,
    Request,
    Use,
    declared,
    declares,
    requests,
)


def compare(declared: Declared, asked: Sequence[Request]) -> list[str]:
    """Make the declaration on both, send the requests to both, and compare what comes back.

    Returns:
        The statuses, for hypothesis's statistics.
    """
    declare = declares(declared)
    try:
        declare(fastapi_names())
    except Exception:
        refused_by_us(declare)
        return ["refused"]
    pair = Pair(declare)
    outcomes = []
    for each in asked:
        for names in (pair.their_names, pair.our_names):
            names.fails = dict(each.fails)
        outcomes.append(str(pair.ask(each.ask).status))
    return outcomes


def refused_by_us(declare: Any) -> None:
    """What FastAPI refuses we refuse as well, with an error of our own."""
    try:
        declare(our_names())
    except wsgibg.exceptions.RegistrationError:
        return
    raise AssertionError("FastAPI refuses this declaration, and we take it.")


JSON = (("Content-Type", "application/json"),)
FOUND: dict[str, tuple[Declared, bytes]] = {
    "use_cache=False means nothing where there is no parameter": (
        Declared((Node(),), Node(), outer=((Use(0, cached=False),), (), (), (Use(0),))),
        b"{}",
    ),
    "the handler's body parameter decides on embedding, not that of a dependency": (
        Declared(
            (Node((Param("q", "list[int]"),)),),
            Node((Param("q", "int", "Body", (("alias", "other"), ("embed", True))),)),
            outer=((Use(0),), (), (), ()),
        ),
        b"{}",
    ),
    "a null is missing where a value is required, also where null is a value": (
        Declared((), Node((Param("q", "Item | None"),))),
        b"null",
    ),
    "of a union, what json.loads makes of the body is validated": (
        Declared((), Node((Param("q", "date | str", "Body"),))),
        b'"2024-02-29"',
    ),
    "a decimal has the digits that json.loads leaves of it": (
        Declared((), Node((Param("q", "Decimal", "Body"),))),
        b"1.0",
    ),
    "defaults of query parameters are validated": (
        Declared((), Node((Param("q", "int", "", (), "x"), Param("r", "str", "", (), 3)))),
        b"",
    ),
}


@pytest.mark.parametrize(("declared", "content"), FOUND.values(), ids=FOUND)
def test_what_was_found_once_stays_found(declared: Declared, content: bytes) -> None:
    """Differences that generated requests have shown."""
    compare(declared, [Request(Ask("POST", "/r", JSON, content))])


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_any_declaration_answers_any_request_as_fastapi_does(data: st.DataObject) -> None:
    """Status, headers, body, calls in order, exits and tasks."""
    drawn = data.draw(declared())
    asked = data.draw(st.lists(requests(drawn), min_size=2, max_size=5))
    for outcome in compare(drawn, asked):
        event(f"answered {outcome}")
