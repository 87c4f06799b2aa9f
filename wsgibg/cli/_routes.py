"""The routes of an application, laid out for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wsgibg._steps import Call, Plan, Read
from wsgibg.app import App
from wsgibg.cli._nature import carrier_of, kind_of
from wsgibg.embedding import WrappedApp
from wsgibg.routing import APIRoute

__all__ = ["Line", "lines", "show_routes"]

#: Where a value is read from, in one word, in the order in which they are listed.
_LOCATIONS = ("path", "query", "header", "cookie", "body")


class Line(NamedTuple):
    """One route, or one application that is mounted.

    Args:
        methods: its methods, or ``mount``.
        path: the path, with those of the mounts around it.
        name: what `url_path_for` knows it by.
        needs: what it reads and calls, in a few words each.
    """

    methods: str
    path: str
    name: str
    needs: tuple[str, ...]


def lines(app: App, below: str = "") -> Iterator[Line]:
    """Every route in the order in which it is tried; those of mounted apps after their mount.

    Args:
        app: the application.
        below: the path at which it is mounted.

    Raises:
        RegistrationError: a route cannot be compiled.
    """
    for route, _ in app.flat():
        if isinstance(route, APIRoute):
            plan = route.plan(default_scope=app.dependency_scope)
            methods = "|".join(sorted(route.methods))
            yield Line(methods, below + route.path or "/", route.name, needs(plan))
            continue
        path = below + route.path
        inner = route.app
        what = kind_of(inner)
        own = isinstance(inner, App)
        yield Line("mount", path or "/", route.name or "", (what if own else f"foreign: {what}",))
        if isinstance(inner, App):
            yield from lines(inner, path)


def needs(plan: Plan) -> tuple[str, ...]:
    """What a handler is given, by where it comes from; then the dependencies that are called."""
    found: dict[str, list[str]] = {location: [] for location in _LOCATIONS}
    called = []
    for step in plan.steps:
        if isinstance(step, Read):
            name = step.field.alias
            found[step.location].append(name if step.field.required else f"{name}?")
        elif isinstance(step, Call) and step is not plan.handler:
            called.append(step.label.rpartition(" ")[2])
    read = [f"{where} {', '.join(names)}" for where, names in found.items() if names]
    return (*read, *called)


def show_routes(app: Any, target: str, console: Console) -> None:
    """Print the routes of an application.

    Args:
        app: any WSGI application; the routes of a foreign one are not known.
        target: how the user calls it.
        console: where to; its width decides how the table is folded.

    Raises:
        RegistrationError: a route cannot be compiled.
    """
    console.print(f"{target}: {kind_of(app)}; {_carrier(app)}.")
    inner = app.app if isinstance(app, WrappedApp) else app
    if not isinstance(inner, App):
        console.print(
            f"It is foreign: its routes are declared in {kind_of(inner).partition('.')[0]}'s own"
            " way, and are not known here."
        )
        return
    rows = list(lines(inner))
    if not rows:
        console.print("It has no routes.")
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    for title in ("method", "path", "name", "needs"):
        table.add_column(title, overflow="fold", no_wrap=title == "method")
    for row in rows:
        words = Text("; ".join(row.needs))
        table.add_row(row.methods, Text(row.path, "cyan"), Text(row.name), words)
    console.print()
    console.print(table)
    if any(text.endswith("?") for row in rows for text in ",".join(row.needs).split(",")):
        console.print(Text("? may be left out", "dim"))


def _carrier(app: Any) -> str:
    carrier = carrier_of(app)
    if carrier is None:
        return "it has no background tasks of wsgibg's"
    return f"its tasks run in {type(carrier.tasks.executor).__name__}"
