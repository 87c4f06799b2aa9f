"""``app.dependency_overrides``: a dictionary that says when it has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

__all__ = ["Overridable", "Overrides"]


class Overrides(dict[Any, Any]):
    """``app.dependency_overrides``: a dictionary that has routes compiled anew when it changes."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        self._changed()

    def __delitem__(self, key: Any) -> None:
        super().__delitem__(key)
        self._changed()

    def clear(self) -> None:
        """Forget every override."""
        super().clear()
        self._changed()

    def pop(self, key: Any, *default: Any) -> Any:
        """Forget one override and return it."""
        found = super().pop(key, *default)
        self._changed()
        return found

    def popitem(self) -> tuple[Any, Any]:
        """Forget the override that came last and return it."""
        found = super().popitem()
        self._changed()
        return found

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """Add an override where there is none, and return the one that counts."""
        found = super().setdefault(key, default)
        self._changed()
        return found

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Add overrides."""
        super().update(*args, **kwargs)
        self._changed()

    def __ior__(self, others: Any) -> Self:  # type: ignore[misc]
        self.update(others)
        return self

    def replace(self, others: dict[Any, Any]) -> None:
        """Forget every override and take others."""
        super().clear()
        self.update(others)


class Overridable:
    """An application whose dependencies can be replaced."""

    _overrides: Overrides

    @property
    def dependency_overrides(self) -> dict[Any, Any]:
        """Replacements of dependencies, for tests: ``app.dependency_overrides[get_db] = fake``."""
        return self._overrides

    @dependency_overrides.setter
    def dependency_overrides(self, overrides: Mapping[Any, Any] | None) -> None:
        self._overrides.replace(dict(overrides or {}))
