"""What the user declared: routes, and the routers that hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, Unpack

from wsgibg._route_options import IncludeOptions, RouteOptions, RouterOptions
from wsgibg._routes import APIRoute, Mount, NoMatchFound, WSGIApp, mounted_path, prefixed
from wsgibg.datastructures import URLPath
from wsgibg.exceptions import RegistrationError
from wsgibg.responses import Response

__all__ = ["APIRoute", "APIRouter", "IncludeOptions", "Mount", "NoMatchFound", "RouteOptions"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, eq=False)
class Inclusion:
    """A router inside another, under a prefix and with options for all its routes."""

    router: APIRouter
    prefix: str
    options: IncludeOptions


class APIRouter:
    """A set of routes, to be included in an app or in another router.

    Args:
        prefix: stands before every path; begins with a slash and does not end with one.
        options: see `RouterOptions`; they hold for every route.

    Example:
        >>> from wsgibg import APIRouter, App
        >>> router = APIRouter(prefix="/users", tags=["users"])
        >>> @router.get("/{user_id}")
        ... def read_user(user_id: int) -> dict[str, int]:
        ...     return {"id": user_id}
        >>> app = App()
        >>> app.include_router(router)
        >>> app.url_path_for("read_user", user_id=7)
        '/users/7'
    """

    def __init__(self, **options: Unpack[RouterOptions]) -> None:
        _check_options("APIRouter()", options, RouterOptions.__optional_keys__)
        self.prefix: str = options.pop("prefix", "")
        _check_prefix(self.prefix)
        self.redirect_slashes: bool = options.pop("redirect_slashes", True)
        self._options = options
        self._closed = False
        self.routes: list[APIRoute | Mount | Inclusion] = []

    # -------------------------------------------------------------- declaring
    def add_api_route(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        methods: Sequence[str] | None = None,
        **options: Unpack[RouteOptions],
    ) -> None:
        """Have a handler answer a path.

        Args:
            path: the path, with ``{parameters}``.
            endpoint: the handler, ``def`` or ``async def``.
            methods: the HTTP methods, by default GET.
            options: see `RouteOptions`.

        Raises:
            RegistrationError: the declaration cannot work.
        """
        self._open()
        if isinstance(methods, str):
            msg = f"{path}: methods={methods!r} is a string. Write methods=[{methods!r}]."
            raise RegistrationError(msg)
        verbs = frozenset(method.upper() for method in methods or ["GET"])
        route = APIRoute(self.prefix + path, endpoint, verbs, options)
        self._check(prefixed(route, "", self._options))
        self.routes.append(route)

    def _open(self) -> None:
        """Refuse a declaration that an app has not waited for."""
        if self._closed:
            msg = (
                "The app has served its first request, so a route or handler that is declared now"
                " would not be there for all. Declare everything before the app is served."
            )
            raise RegistrationError(msg)

    def close(self) -> None:
        """Take no more declarations, nor let the routers that are included in this one."""
        self._closed = True
        for each in self.routes:
            if isinstance(each, Inclusion):
                each.router.close()

    def _check(self, route: APIRoute) -> None:
        """Refuse a wrong declaration at once."""
        route.plan(lenient=True)  # a prefix may bring path parameters that are not known yet
        route.returns()

    def api_route(
        self,
        path: str,
        *,
        methods: Sequence[str] | None = None,
        **options: Unpack[RouteOptions],
    ) -> Callable[[F], F]:
        """`add_api_route` as a decorator."""
        if not isinstance(path, str):
            msg = f"{path!r} stands where a path belongs. Write @app.get('/path') above it."
            raise RegistrationError(msg)

        def decorate(endpoint: F) -> F:
            self.add_api_route(path, endpoint, methods=methods, **options)
            return endpoint

        return decorate

    def get(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Have the decorated handler answer GET requests for a path; see `RouteOptions`."""
        return self.api_route(path, methods=["GET"], **options)

    def put(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Have the decorated handler answer PUT requests for a path; see `RouteOptions`."""
        return self.api_route(path, methods=["PUT"], **options)

    def post(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Have the decorated handler answer POST requests for a path; see `RouteOptions`."""
        return self.api_route(path, methods=["POST"], **options)

    def delete(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Have the decorated handler answer DELETE requests for a path; see `RouteOptions`."""
        return self.api_route(path, methods=["DELETE"], **options)

    def options(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Have the decorated handler answer OPTIONS requests for a path; see `RouteOptions`."""
        return self.api_route(path, methods=["OPTIONS"], **options)

    def head(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Have the decorated handler answer HEAD requests for a path; see `RouteOptions`."""
        return self.api_route(path, methods=["HEAD"], **options)

    def patch(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Have the decorated handler answer PATCH requests for a path; see `RouteOptions`."""
        return self.api_route(path, methods=["PATCH"], **options)

    def trace(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Have the decorated handler answer TRACE requests for a path; see `RouteOptions`."""
        return self.api_route(path, methods=["TRACE"], **options)

    def mount(self, path: str, app: WSGIApp, name: str | None = None) -> None:
        """Hand every request below a path to another WSGI application.

        Args:
            path: a path with a slash in front; the rest is the other application's
                ``PATH_INFO``, this its ``SCRIPT_NAME``.
            app: the application.
            name: its name for `url_path_for`.
        """
        self._open()
        path = self.prefix + path.rstrip("/")
        if path and not path.startswith("/"):
            msg = f"mount({path!r}): a path begins with a slash. Write {'/' + path!r}."
            raise RegistrationError(msg)
        self.routes.append(Mount(path, app, name))

    def include_router(self, router: APIRouter, **options: Unpack[IncludeOptions]) -> None:
        """Take in the routes of another router, those declared later included.

        Args:
            router: the other router.
            options: what holds for its routes besides its own options; see `IncludeOptions`.

        Raises:
            RegistrationError: the router contains this one, a path would be empty, or a
                dependency of the inclusion cannot work.
        """
        self._open()
        _check_options("include_router()", options, IncludeOptions.__optional_keys__)
        prefix = options.pop("prefix", "")
        _check_prefix(prefix)
        if router is self or router.contains(self):
            msg = "include_router(): a router cannot be included in itself."
            raise RegistrationError(msg)
        if not prefix and any(not each.path for each, _ in router.flat()):
            msg = "include_router(): prefix and path cannot both be empty. Give one of them."
            raise RegistrationError(msg)
        for each, _ in router.flat():
            if isinstance(each, APIRoute):
                outer = prefixed(each, self.prefix + prefix, options)
                self._check(prefixed(outer, "", self._options))
        self.routes.append(Inclusion(router, self.prefix + prefix, options))

    def contains(self, other: APIRouter) -> bool:
        """Whether another router is included in this one, directly or not."""
        return any(
            isinstance(each, Inclusion) and (each.router is other or each.router.contains(other))
            for each in self.routes
        )

    # -------------------------------------------------------------- flattening
    def flat(self) -> Iterator[tuple[APIRoute | Mount, type[Response] | None]]:
        """Every route in order of declaration, with the response class that it gets by default.

        The options of a router, of what it is included by, and of the route are joined:
        dependencies and tags of the outer ones come first (FastAPI's order).
        """
        own = self._options
        default = own.get("default_response_class")
        for each in self.routes:
            if isinstance(each, Inclusion):
                for route, inner in each.router.flat():
                    outer = each.options.get("default_response_class")
                    merged = prefixed(route, each.prefix, each.options)
                    yield prefixed(merged, "", own), inner or outer or default
            else:
                yield prefixed(each, "", own), default

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """The path of a route, by its name.

        Args:
            name: the route's name: its handler's, unless one was given.
            path_params: a value for each parameter of its path.

        Raises:
            NoMatchFound: no route has this name and these parameters.
        """
        for route, _ in self.flat():
            if isinstance(route, APIRoute) and route.name == name:
                if set(route.pattern.names) == set(path_params):
                    return URLPath(route.pattern.build(path_params))
            elif isinstance(route, Mount):
                found = mounted_path(route, name, path_params)
                if found is not None:
                    return found
        given = ", ".join(path_params) or "none"
        msg = f"No route is named {name!r} with the path parameters {given}."
        raise NoMatchFound(msg)


def _check_options(what: str, options: Mapping[str, Any], known: frozenset[str]) -> None:
    for name in options:
        if name not in known:
            msg = f"{what} has no option {name!r}. Its options: {', '.join(sorted(known))}."
            raise TypeError(msg)


def _check_prefix(prefix: str) -> None:
    if prefix and (not prefix.startswith("/") or prefix.endswith("/")):
        msg = f"prefix={prefix!r}: a prefix begins with a slash and does not end with one."
        raise RegistrationError(msg)
