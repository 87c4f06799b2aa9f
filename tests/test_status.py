"""The names of the status codes."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from wsgibg import status


@pytest.mark.parametrize("name", status.__all__)
def test_a_name_begins_with_its_code(name):
    """`HTTP_404_NOT_FOUND` is 404, an `int`."""
    assert getattr(status, name) == int(name.split("_")[1])
    assert type(getattr(status, name)) is int


def test_every_code_of_the_standard_library_has_a_name():
    """Python's own list of the registry is covered."""
    assert {int(code) for code in HTTPStatus} <= {getattr(status, one) for one in status.__all__}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("HTTP_413_REQUEST_ENTITY_TOO_LARGE", "HTTP_413_CONTENT_TOO_LARGE"),
        ("HTTP_414_REQUEST_URI_TOO_LONG", "HTTP_414_URI_TOO_LONG"),
        ("HTTP_416_REQUESTED_RANGE_NOT_SATISFIABLE", "HTTP_416_RANGE_NOT_SATISFIABLE"),
        ("HTTP_422_UNPROCESSABLE_ENTITY", "HTTP_422_UNPROCESSABLE_CONTENT"),
    ],
)
def test_a_name_that_was_changed_works_and_names_its_successor(old, new):
    """The registry's former names are still answered, with a warning."""
    with pytest.warns(DeprecationWarning, match=f"{old} .* use status.{new}"):
        assert getattr(status, old) == getattr(status, new)
    assert old in dir(status)


def test_an_unknown_name_is_an_attribute_error():
    """A misspelled name is not answered."""
    with pytest.raises(AttributeError, match=r"'wsgibg.status' has no attribute 'HTTP_999_NO'"):
        _ = status.HTTP_999_NO
