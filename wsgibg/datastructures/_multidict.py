"""Mappings in which a key may have several values, such as the query of a URL."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from operator import itemgetter
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

K = TypeVar("K")
V_co = TypeVar("V_co", covariant=True)


class ImmutableMultiDict(Mapping[K, V_co]):
    """A mapping that remembers every value of a key; ``[key]`` is the last one.

    Args:
        items: another such mapping, any mapping, or pairs.
        kwargs: more pairs.

    Example:
        >>> items = ImmutableMultiDict([("tag", "a"), ("tag", "b")])
        >>> items["tag"], items.getlist("tag"), len(items)
        ('b', ['a', 'b'], 1)
    """

    __slots__ = ("_dict", "_list")

    _list: list[tuple[K, V_co]]
    _dict: dict[K, V_co]

    def __init__(
        self,
        items: Mapping[K, V_co] | Iterable[tuple[K, V_co]] = (),
        /,
        **kwargs: Any,
    ) -> None:
        pairs: list[Any] = [*_pairs_of(items), *kwargs.items()]
        self._list = pairs
        self._dict = dict(pairs)

    def getlist(self, key: object) -> list[V_co]:
        """Every value of a key, in order."""
        return [value for name, value in self._list if name == key]

    def keys(self) -> KeysView[K]:
        """Every key, once."""
        return self._dict.keys()

    def values(self) -> ValuesView[V_co]:
        """The last value of every key."""
        return self._dict.values()

    def items(self) -> ItemsView[K, V_co]:
        """Every key with its last value."""
        return self._dict.items()

    def multi_items(self) -> list[tuple[K, V_co]]:
        """Every pair, in order."""
        return list(self._list)

    def __getitem__(self, key: K) -> V_co:
        return self._dict[key]

    def __contains__(self, key: object) -> bool:
        return key in self._dict

    def __iter__(self) -> Iterator[K]:
        return iter(self._dict)

    def __len__(self) -> int:
        return len(self._dict)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return False
        by_key = itemgetter(0)
        return bool(sorted(self._list, key=by_key) == sorted(other._list, key=by_key))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._list!r})"


def _pairs_of(items: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(items, ImmutableMultiDict):
        return items._list
    return items.items() if isinstance(items, Mapping) else items


class MultiDict(ImmutableMultiDict[Any, Any]):
    """The same, to change."""

    __slots__ = ()

    def __setitem__(self, key: Any, value: Any) -> None:
        self.setlist(key, [value])

    def __delitem__(self, key: Any) -> None:
        del self._dict[key]
        self._forget(key)

    def _forget(self, *keys: Any) -> None:
        self._list = [(name, value) for name, value in self._list if name not in keys]

    def pop(self, key: Any, default: Any = None) -> Any:
        """Remove a key; return its last value, or the default."""
        self._forget(key)
        return self._dict.pop(key, default)

    def popitem(self) -> tuple[Any, Any]:
        """Remove the key that came last; return it with its last value."""
        key, value = self._dict.popitem()
        self._forget(key)
        return key, value

    def poplist(self, key: Any) -> list[Any]:
        """Remove a key; return all its values."""
        values = self.getlist(key)
        self.pop(key)
        return values

    def clear(self) -> None:
        """Remove everything."""
        self._dict.clear()
        self._list.clear()

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """Set a key unless it is there; return its last value."""
        if key not in self:
            self.append(key, default)
        return self[key]

    def setlist(self, key: Any, values: Iterable[Any]) -> None:
        """Give a key these values instead of those it has; none removes it."""
        pairs = [(key, value) for value in values]
        self._forget(key)
        self._list += pairs
        if pairs:
            self._dict[key] = pairs[-1][1]
        else:
            self._dict.pop(key, None)

    def append(self, key: Any, value: Any) -> None:
        """Add a value beside those of the same key."""
        self._list.append((key, value))
        self._dict[key] = value

    def update(
        self, items: Mapping[Any, Any] | Iterable[tuple[Any, Any]] = (), /, **kwargs: Any
    ) -> None:
        """Replace the values of every key that is given."""
        new = MultiDict(items, **kwargs)
        self._forget(*new)
        self._list += new._list
        self._dict.update(new._dict)


class QueryParams(ImmutableMultiDict[str, str]):
    """The parameters of a URL's query.

    Args:
        items: the query as a string (or bytes), a mapping or pairs.
        kwargs: more pairs.

    Example:
        >>> query = QueryParams("q=tea&tag=a&tag=b&empty=")
        >>> query["q"], query.getlist("tag"), query["empty"], str(query)
        ('tea', ['a', 'b'], '', 'q=tea&tag=a&tag=b&empty=')
    """

    __slots__ = ()

    def __init__(
        self,
        items: Mapping[Any, Any] | Iterable[tuple[Any, Any]] | str | bytes = (),
        /,
        **kwargs: Any,
    ) -> None:
        if isinstance(items, bytes):
            items = items.decode("latin-1")
        if isinstance(items, str):
            items = parse_qsl(items, keep_blank_values=True)
        pairs = [*_pairs_of(items), *kwargs.items()]
        super().__init__([(str(key), str(value)) for key, value in pairs])

    def __str__(self) -> str:
        return urlencode(self._list)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"
