"""The peers: one module each, found by name.

A peer's module holds `PEERS`, a tuple of `Peer`. Importing it imports the framework it is about;
where that is not installed, the peer is left out of the run and a note says so.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

MODULES = ("bare", "wsgibg", "falcon", "bottle", "flask", "starlette", "fastapi")

Application = Callable[..., Any]
"""A WSGI or an ASGI application."""

Interface = Literal["wsgi", "asgi"]


@dataclass(frozen=True)
class Peer:
    """One row of the tables.

    Attributes:
        name: what `--peers` selects it by.
        interface: how it is called.
        sites: what builds the application of each site it takes part in; a site whose size is
            measured (W6) gets the number of routes.
        lists_errors: whether its 422 lists the validation errors, as FastAPI's does.
        check: raises `RuntimeError` where the peer is not installed as it should be.

    """

    name: str
    interface: Interface
    sites: Mapping[str, Callable[..., Application]]
    lists_errors: bool = False
    check: Callable[[], None] | None = None

    def build(self, site: str, size: int | None) -> Application:
        """Return the application for a site, `size` routes large where that matters."""
        builder = self.sites[site]
        return builder() if size is None else builder(size)


def load(names: Iterable[str], note: Callable[[str], None]) -> list[Peer]:
    """Return the peers that the names select; `fastapi` also selects `fastapi-def`.

    Args:
        names: peers' names; none means all.
        note: told of each peer that is left out because it cannot be imported.

    Raises:
        ValueError: a name selects no peer.
        RuntimeError: a selected peer is not installed as it should be.

    """
    wanted, missing, found = tuple(names), set[str](), []
    for module_name in MODULES:
        try:
            module = importlib.import_module(f"{__name__}.{module_name}")
        except ImportError as error:
            missing.add(module_name)
            note(f"{module_name} is left out: {error}")
        else:
            found.extend(module.PEERS)
    for name in wanted:
        if name.partition("-")[0] not in missing and not any(_selects(name, p) for p in found):
            known = ", ".join(peer.name for peer in found)
            raise ValueError(f"there is no peer {name!r}; there are {known}")
    chosen = [p for p in found if not wanted or any(_selects(name, p) for name in wanted)]
    for peer in chosen:
        if peer.check is not None:
            peer.check()
    return chosen


def _selects(name: str, peer: Peer) -> bool:
    return peer.name == name or peer.name.startswith(f"{name}-")
