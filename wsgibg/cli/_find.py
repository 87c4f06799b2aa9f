"""From a method and a path to the route that is meant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import chain

import click

from wsgibg._compile import Compiled
from wsgibg._signature import place_of
from wsgibg.app import App
from wsgibg.exceptions import RegistrationError
from wsgibg.routing import APIRoute, Mount

__all__ = ["Found", "find"]

#: How many routes are named where none fits.
CLOSEST = 6


@dataclass(frozen=True, slots=True)
class Found:
    """A route that was asked for.

    Args:
        method: the method that was asked for.
        path: the path that was asked for.
        compiled: the route, ready to serve.
        shadowed_by: the title of an earlier route that answers the path instead; or nothing.
    """

    method: str
    path: str
    compiled: Compiled
    shadowed_by: str | None = None


# ------------------------------------------------------------------ the route
def find(app: App, target: str, method: str, path: str) -> Found:
    """Find the route that answers a method and a path.

    Args:
        app: the application.
        target: how the user calls it, for messages.
        method: the method, in upper case.
        path: a path as it is declared or as it is requested.

    Raises:
        click.ClickException: no route answers; the message says what the client gets instead.
    """
    path = path.partition("?")[0]
    try:
        compiled = app.compiled(method, path)
    except RegistrationError as error:
        raise click.ClickException(str(error)) from None
    routes = [route for route, _ in app.flat()]
    if compiled is None:
        raise click.ClickException(_no_route(app, routes, target, method, path))
    return Found(method, path, compiled, _shadow(routes, compiled, method, path))


def _shadow(
    routes: list[APIRoute | Mount], compiled: Compiled, method: str, path: str
) -> str | None:
    """The first route that takes a path without parameters, unless it is the compiled one."""
    if "{" in path:
        return None
    takers = (
        f"the application mounted at {route.path or '/'}"
        if isinstance(route, Mount)
        else route.title
        for route in _matching(routes, path)
        if isinstance(route, Mount) or method in route.methods
    )
    first = next(takers, compiled.title)
    return None if first == compiled.title else first


def _matching(routes: Iterable[APIRoute | Mount], path: str) -> list[APIRoute | Mount]:
    """The routes that take a path, by some method."""
    return [
        route
        for route in routes
        if route.pattern.match(path) is not None
        or (isinstance(route, APIRoute) and route.path == path)
    ]


def _no_route(app: App, routes: list[APIRoute | Mount], target: str, method: str, path: str) -> str:
    """Why nothing can be explained, and what to ask for instead."""
    matching = _matching(routes, path)
    mounts = [route for route in matching if isinstance(route, Mount)]
    if mounts:
        return _in_mount(mounts[0], path)
    allowed = [sorted(route.methods) for route in matching if isinstance(route, APIRoute)]
    if allowed:
        # Allow names the methods of the first route only, as in FastAPI.
        return (
            f"{method} {path} is answered with 405 (Method Not Allowed, Allow: "
            f"{', '.join(allowed[0])}). The path is declared for {', '.join(chain(*allowed))}."
            f" Try: wsgibg explain {target} {allowed[0][0]} {path}"
        )
    other = path.rstrip("/") if path.endswith("/") else path + "/"
    if app.redirect_slashes and path not in ("", "/") and _matching(routes, other):
        return (
            f"{method} {path} is answered with a redirect (307) to {other}."
            f" Try: wsgibg explain {target} {method} {other}"
        )
    said = f"No route of {target} answers {method} {path}: a client gets 404 (Not Found)."
    if not path.startswith("/"):
        said = f"No route of {target} answers {method} {path}. A path begins with a slash."
    return f"{said}\n{_closest(routes, method, path)}"


def _in_mount(mount: Mount, path: str) -> str:
    rest = path.split("/", mount.path.count("/") + 1)[-1]  # no parameter of its path has a slash
    return (
        f"{path} belongs to the application mounted at {mount.path or '/'}"
        f" ({type(mount.app).__name__}), which knows it as /{rest}."
        " If that is an App, explain it by its own MODULE:APP."
    )


def _closest(routes: list[APIRoute | Mount], method: str, path: str) -> str:
    """The routes that look most like what was asked for."""
    if not routes:
        return "The app has no routes."

    def likeness(route: APIRoute | Mount) -> tuple[float, bool]:
        like = SequenceMatcher(None, route.path, path).ratio()
        return -like, method not in getattr(route, "methods", (method,))

    closest = sorted(routes, key=likeness)[:CLOSEST]
    lines = [_line(route) for route in closest]
    methods = max(len(first) for first, _, _ in lines)
    paths = max(len(second) for _, second, _ in lines)
    heading = "Its routes:" if len(closest) == len(routes) else "The closest of its routes:"
    return "\n".join(
        [heading, *(f"  {one:<{methods}}  {two:<{paths}}  {three}" for one, two, three in lines)]
    )


def _line(route: APIRoute | Mount) -> tuple[str, str, str]:
    if isinstance(route, Mount):
        return "mount", route.path or "/", type(route.app).__name__
    return "|".join(sorted(route.methods)), route.path, place_of(route.endpoint).rpartition(" ")[2]
