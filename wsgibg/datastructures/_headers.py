"""Header fields: names that differ in case only are the same name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

# RFC 9110, sections 5.1 and 5.5: a name is a token, a value holds no control character but the
# tab. A line break in either would end the field and begin another one.
_is_name = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_is_value = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch

# The two fields that WSGI passes without its prefix (PEP 3333, "environ variables").
_UNPREFIXED = {"CONTENT_TYPE": "content-type", "CONTENT_LENGTH": "content-length"}


def check_header(name: object, value: object) -> None:
    """Refuse a header field that would break the response.

    Args:
        name: the field's name.
        value: the field's value.

    Raises:
        TypeError: one of the two is not a ``str``.
        ValueError: the name is not a token, or the value holds a line break, another control
            character or a character beyond latin-1.
    """
    if not isinstance(name, str) or not _is_name(name):
        error = ValueError if isinstance(name, str) else TypeError
        raise error(f"A header cannot be called {name!r}: use letters, digits and hyphens.")
    if not isinstance(value, str):
        raise TypeError(
            f"The value of the header {name!r} is {value!r}, which is not a str: convert it first."
        )
    if not _is_value(value):
        raise ValueError(
            f"The value of the header {name!r} is {value!r}: line breaks, control characters and "
            "characters beyond latin-1 are not allowed. Quote or encode it first."
        )


class Headers(Mapping[str, str]):
    """Header fields to read, by name without regard to case; a name may occur several times.

    Names come back in lower case, as in Starlette.

    Args:
        headers: names and values.
        raw: the same as pairs of bytes, as ASGI servers have them.

    Example:
        >>> headers = Headers({"Content-Type": "text/plain"})
        >>> headers["content-type"], headers.keys()
        ('text/plain', ['content-type'])
    """

    __slots__ = ("_list",)

    _list: list[tuple[str, str]]

    def __init__(
        self,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        raw: Iterable[tuple[bytes, bytes]] | None = None,
    ) -> None:
        if headers is not None and raw is not None:
            raise TypeError(f"{type(self).__name__}() takes either 'headers' or 'raw', not both.")
        if raw is not None:
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw]
        self._list = _pairs_of(headers)

    @staticmethod
    def from_environ(environ: Mapping[str, Any]) -> EnvironHeaders:
        """The request's fields, read from a WSGI environ when they are asked for."""
        return EnvironHeaders(environ)

    def _pairs(self) -> list[tuple[str, str]]:
        """The fields with the names as they were spelled."""
        return self._list

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        """A copy of the fields as pairs of bytes, names in lower case, as ASGI has them."""
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.items()]

    def keys(self) -> list[str]:  # type: ignore[override]
        """Every name in lower case; one that occurs twice is listed twice."""
        return [name.lower() for name, _ in self._pairs()]

    def values(self) -> list[str]:  # type: ignore[override]
        """Every value."""
        return [value for _, value in self._pairs()]

    def items(self) -> list[tuple[str, str]]:  # type: ignore[override]
        """Every name in lower case with its value."""
        return [(name.lower(), value) for name, value in self._pairs()]

    def items_raw(self) -> list[tuple[str, str]]:
        """A copy of the fields as WSGI sends them, with every name as it was spelled."""
        return self._pairs().copy()

    def getlist(self, key: str) -> list[str]:
        """Every value of one name, in order."""
        wanted = key.lower()
        return [value for name, value in self._pairs() if name.lower() == wanted]

    def mutablecopy(self) -> MutableHeaders:
        """A copy that can be changed."""
        return MutableHeaders.over(self._pairs().copy())

    def __getitem__(self, key: str) -> str:
        wanted = key.lower()
        for name, value in self._pairs():
            if name.lower() == wanted:
                return value
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.lower() in self.keys()

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self._pairs())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and sorted(self.items()) == sorted(other.items())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        items = self.items()
        unique = dict(items)
        return f"{type(self).__name__}({unique if len(unique) == len(items) else items!r})"


def _pairs_of(
    headers: Mapping[str, str] | Iterable[tuple[str, str]] | None,
) -> list[tuple[str, str]]:
    if isinstance(headers, Headers):
        return headers.items_raw()
    return list(headers.items() if isinstance(headers, Mapping) else headers or ())


class EnvironHeaders(Headers):
    """A request's header fields, read from its WSGI environ.

    A server joins fields of the same name with commas, and writes hyphens as underscores, so
    ``X-Tag`` and ``X_Tag`` are one name here.

    Args:
        environ: the request's WSGI environ.
    """

    __slots__ = ("_environ",)

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._environ = environ

    def _pairs(self) -> list[tuple[str, str]]:
        # Looked up once: an environ's header fields do not change.
        try:
            return self._list
        except AttributeError:
            self._list = list(_environ_fields(self._environ))
            return self._list

    def __getitem__(self, key: str) -> str:
        value = self._environ.get(_environ_key(key))
        if value or (value == "" and not key.lower().startswith("content-")):
            return str(value)
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        try:
            self[key]  # type: ignore[index]
        except (KeyError, AttributeError):
            return False
        return True


def _environ_key(name: str) -> str:
    key = name.upper().replace("-", "_")
    return key if key in _UNPREFIXED else f"HTTP_{key}"


def _environ_fields(environ: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in environ.items():
        if key.startswith("HTTP_") and key[5:] not in _UNPREFIXED:
            yield key[5:].replace("_", "-").lower(), value
        elif key in _UNPREFIXED and value:  # servers pass "" for a field that was not sent
            yield _UNPREFIXED[key], value


class MutableHeaders(Headers):
    """Header fields to read and change, such as those of a response.

    What is set is checked at once, so that no value can smuggle in a field of its own. The
    spelling of a name is kept for the wire.

    Example:
        >>> headers = MutableHeaders({"X-Request-Id": "7"})
        >>> headers.append("Set-Cookie", "a=1")
        >>> headers["x-request-id"] = "8"
        >>> headers
        MutableHeaders({'x-request-id': '8', 'set-cookie': 'a=1'})
    """

    __slots__ = ()

    def __init__(
        self,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        raw: Iterable[tuple[bytes, bytes]] | None = None,
    ) -> None:
        super().__init__(headers, raw)
        for name, value in self._list:
            check_header(name, value)

    @classmethod
    def over(cls, pairs: list[tuple[str, str]]) -> Self:
        """Change a list of (name, value) pairs in place; what it holds already is trusted."""
        self = cls.__new__(cls)
        self._list = pairs
        return self

    def __setitem__(self, key: str, value: str) -> None:
        """Set a field: the first of its name changes its value, any others go."""
        check_header(key, value)
        places = self._places(key)
        if not places:
            self._list.append((key, value))
            return
        self._list[places[0]] = (key, value)
        for place in reversed(places[1:]):
            del self._list[place]

    def __delitem__(self, key: str) -> None:
        """Remove every field of a name; there need not be one."""
        for place in reversed(self._places(key)):
            del self._list[place]

    def _places(self, key: str) -> list[int]:
        wanted = key.lower()
        return [place for place, (name, _) in enumerate(self._list) if name.lower() == wanted]

    def append(self, key: str, value: str) -> None:
        """Add a field beside those of the same name."""
        check_header(key, value)
        self._list.append((key, value))

    def extend(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Add several fields, as ``append`` does."""
        for key, value in pairs:
            self.append(key, value)

    def setdefault(self, key: str, value: str) -> str:
        """Set a field unless there is one; return the value that holds."""
        if key not in self:
            self.append(key, value)
        return self[key]

    def update(self, other: Mapping[str, str]) -> None:
        """Set every field of a mapping."""
        for key, value in other.items():
            self[key] = value

    def add_vary_header(self, vary: str) -> None:
        """Name one more request header that the response depends on."""
        self["Vary"] = ", ".join([*self.getlist("vary"), vary])

    def __ior__(self, other: Mapping[str, str]) -> Self:
        if not isinstance(other, Mapping):
            raise TypeError(f"Headers are updated from a mapping, not from {other!r}.")
        self.update(other)
        return self

    def __or__(self, other: Mapping[str, str]) -> MutableHeaders:
        new = self.mutablecopy()
        new |= other
        return new
