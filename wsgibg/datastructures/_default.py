"""A default value that can be told apart from the same value given by the user."""

from __future__ import annotations

from typing import Any, TypeVar, cast

T = TypeVar("T")


class DefaultPlaceholder:
    """A default value in its wrapping; true or false as the value is.

    Args:
        value: the default.
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value: Any = value

    def __bool__(self) -> bool:
        return bool(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DefaultPlaceholder) and other.value == self.value

    __hash__: None  # type: ignore[assignment]  # the value may be of any kind

    def __repr__(self) -> str:
        return f"Default({self.value!r})"


def Default(value: T) -> T:  # noqa: N802, FastAPI's name
    """Wrap a parameter's default, typed as the value itself.

    Args:
        value: the default.

    Returns:
        A ``DefaultPlaceholder``, whatever the type says, so that ``isinstance`` tells whether the
        parameter was given.

    Example:
        >>> isinstance(Default(200), DefaultPlaceholder), isinstance(200, DefaultPlaceholder)
        (True, False)
    """
    return cast(T, DefaultPlaceholder(value))
