"""What the user declared: routes, and the routers that hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, Unpack, cast

from wsgibg._match import PathPattern
from wsgibg._plan import make_plan
from wsgibg._returns import ModelOptions, Returns, response_model_of
from wsgibg._route_options import IncludeOptions, RouteOptions, RouterOptions
from wsgibg._signature import context_of, place_of, return_annotation
from wsgibg._steps import Plan
from wsgibg.datastructures import URLPath
from wsgibg.exceptions import RegistrationError
from wsgibg.params import Depends
from wsgibg.responses import Response

__all__ = ["APIRoute", "APIRouter", "IncludeOptions", "Mount", "NoMatchFound", "RouteOptions"]

F = TypeVar("F", bound=Callable[..., Any])
WSGIApp = Callable[..., Any]


class NoMatchFound(LookupError):
    """No route has this name and these path parameters."""


#: The default of ``response_model``: the return annotation counts.
UNSET: Any = object()

_KNOWN = RouteOptions.__optional_keys__


@dataclass(frozen=True, eq=False)
class APIRoute:
    """One handler at one path; frozen once it is declared.

    Args:
        path: the path, with ``{parameters}``.
        endpoint: the handler.
        methods: the HTTP methods it answers.
        options: see `RouteOptions`.
        pattern: the path, parsed.
    """

    path: str
    endpoint: Callable[..., Any]
    methods: frozenset[str]
    options: RouteOptions = field(default_factory=RouteOptions)
    pattern: PathPattern = field(init=False)

    def __post_init__(self) -> None:
        if not callable(self.endpoint):
            msg = f"{self.path}: {self.endpoint!r} cannot be called. Pass a function."
            raise RegistrationError(msg)
        for option in self.options:
            if option not in _KNOWN:
                msg = f"{place_of(self.endpoint)}: a route has no option {option!r}."
                raise RegistrationError(msg)
        object.__setattr__(self, "pattern", PathPattern.parse(self.path))

    @property
    def name(self) -> str:
        """The name that `url_path_for` knows it by: the handler's own, unless one is given."""
        given = self.options.get("name")
        own = getattr(self.endpoint, "__name__", None) or type(self.endpoint).__name__
        return given or own

    @property
    def title(self) -> str:
        """Its methods and path: ``GET /items``."""
        return f"{'|'.join(sorted(self.methods))} {self.path}"

    @property
    def dependencies(self) -> list[Depends]:
        """The dependencies of its decorator (and of what it was included by)."""
        return list(self.options.get("dependencies") or ())

    def plan(self, **options: Any) -> Plan:
        """Flatten the handler and what it depends on; see `make_plan`."""
        return make_plan(
            self.endpoint,
            pattern=self.pattern,
            dependencies=self.dependencies,
            **options,
        )

    def returns(self, default: type[Response] | None = None) -> Returns:
        """What becomes of the handler's result.

        Args:
            default: the response class of the app or router.
        """
        options = self.options
        model = options.get("response_model", UNSET)
        if model is UNSET:
            model = response_model_of(return_annotation(self.endpoint))
        shape = ModelOptions(
            include=options.get("response_model_include"),
            exclude=options.get("response_model_exclude"),
            by_alias=options.get("response_model_by_alias", True),
            exclude_unset=options.get("response_model_exclude_unset", False),
            exclude_defaults=options.get("response_model_exclude_defaults", False),
            exclude_none=options.get("response_model_exclude_none", False),
        )
        response_class = options.get("response_class", default)
        status = options.get("status_code")
        context = context_of(self.endpoint, self.title)
        code = None if status is None else int(status)
        return Returns(model, shape, code, response_class, context)


@dataclass(frozen=True, eq=False)
class Mount:
    """Any WSGI application below a path.

    Args:
        path: the path without a slash at its end.
        app: the application.
        name: the name that `url_path_for` knows it by.
    """

    path: str
    app: WSGIApp
    name: str | None = None
    pattern: PathPattern = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", PathPattern.parse(self.path + "/{path:path}"))


@dataclass(frozen=True, eq=False)
class Inclusion:
    """A router inside another, under a prefix and with options for all its routes."""

    router: APIRouter
    prefix: str
    options: IncludeOptions


def _joined(first: Sequence[Any] | None, second: Sequence[Any] | None) -> list[Any]:
    return [*(first or ()), *(second or ())]


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
        verbs = frozenset(method.upper() for method in methods or ["GET"])
        route = APIRoute(self.prefix + path, endpoint, verbs, options)
        self._check(_prefixed(route, "", self._options))
        self.routes.append(route)

    def _open(self) -> None:
        """Whether routes may still be declared; an `App` says no after its first request."""

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
                outer = _prefixed(each, self.prefix + prefix, options)
                self._check(_prefixed(outer, "", self._options))
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
                    merged = _prefixed(route, each.prefix, each.options)
                    yield _prefixed(merged, "", own), inner or outer or default
            else:
                yield _prefixed(each, "", own), default

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
                found = _mounted_path(route, name, path_params)
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


def _prefixed(route: APIRoute | Mount, prefix: str, outer: Mapping[str, Any]) -> Any:
    """A route as it is seen from outside the router that holds it."""
    if isinstance(route, Mount):
        return replace(route, path=prefix + route.path) if prefix else route
    if not prefix and not outer:
        return route
    options: dict[str, Any] = dict(route.options)
    for key in ("tags", "dependencies", "callbacks"):
        if outer.get(key):
            options[key] = _joined(outer[key], options.get(key))
    if outer.get("responses"):
        options["responses"] = {**outer["responses"], **(options.get("responses") or {})}
    if outer.get("deprecated") is not None and options.get("deprecated") is None:
        options["deprecated"] = outer["deprecated"]
    if outer.get("include_in_schema") is False:
        options["include_in_schema"] = False
    if "generate_unique_id_function" in outer:
        options.setdefault("generate_unique_id_function", outer["generate_unique_id_function"])
    return replace(route, path=prefix + route.path, options=cast(RouteOptions, options))


def _mounted_path(mount: Mount, name: str, path_params: Mapping[str, Any]) -> URLPath | None:
    """The path of a mount itself (``path=...``), or of a route of the app that is mounted."""
    given = dict(path_params)
    if name == mount.name and set(given) == set(mount.pattern.names):
        return URLPath(mount.pattern.build({**given, "path": str(given["path"]).lstrip("/")}))
    own, _, rest = name.partition(":") if mount.name is not None else (None, "", name)
    find = getattr(mount.app, "url_path_for", None)
    if own != mount.name or not rest or find is None:
        return None
    try:
        # The parameters of the mount's own path, all but the rest that it leaves to its app.
        prefix = {each: given.pop(each) for each in mount.pattern.names[:-1]}
        start = mount.pattern.build({**prefix, "path": ""}).rstrip("/")
        return URLPath(start + str(find(rest, **given)))
    except LookupError:
        return None
