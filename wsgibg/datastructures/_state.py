"""A bag of attributes for what an application wants to keep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class State:
    """Attributes (or items) of any name; behind ``request.state`` and ``app.state``.

    Args:
        state: the dictionary that holds the values; it is used, not copied.

    Example:
        >>> state = State()
        >>> state.user = "ada"
        >>> state["user"], list(state)
        ('ada', ['user'])
    """

    __slots__ = ("_state",)

    _state: dict[str, Any]

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        object.__setattr__(self, "_state", {} if state is None else state)

    def __getattr__(self, name: str) -> Any:
        # The slot itself is empty while an instance is being copied or unpickled.
        if name != "_state" and name in self._state:
            return self._state[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        self._state[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self._state:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        del self._state[name]

    def __getitem__(self, key: str) -> Any:
        return self._state[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._state[key] = value

    def __delitem__(self, key: str) -> None:
        del self._state[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._state)

    def __len__(self) -> int:
        return len(self._state)

    def __getstate__(self) -> dict[str, Any]:
        return self._state

    def __setstate__(self, state: dict[str, Any]) -> None:
        object.__setattr__(self, "_state", state)
