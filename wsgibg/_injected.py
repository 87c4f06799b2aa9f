"""How a parameter's default says that its value is given when the call is made."""

from __future__ import annotations

from typing import Any, Final, final

__all__ = ["Declared", "Injected", "is_injected"]


class Declared:
    """The base of every marker (`Depends`, `Query`, …): as a default it is no value."""

    __slots__ = ()


@final
class _Injected:
    """The class of `Injected`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Injected"

    def __reduce__(self) -> str:
        return "Injected"  # copied or unpickled, it is still the one that there is


#: Default of a task parameter that is resolved when the task runs, so that the call may leave
#: it out: ``def send(to: str, mailer: Annotated[Mailer, Depends(get_mailer)] = Injected)``.
Injected: Final[Any] = _Injected()


def is_injected(default: Any) -> bool:
    """Whether a default stands for a value that is given when the call is made."""
    return default is Injected or isinstance(default, Declared)
