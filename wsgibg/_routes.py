"""One route as it was declared, frozen; and how it is seen from outside its router."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from wsgibg._match import PathPattern
from wsgibg._plan import make_plan
from wsgibg._returns import ModelOptions, Returns, response_model_of
from wsgibg._route_options import RouteOptions
from wsgibg._signature import context_of, place_of, return_annotation
from wsgibg._steps import Plan
from wsgibg.datastructures import URLPath
from wsgibg.exceptions import RegistrationError
from wsgibg.params import Depends
from wsgibg.responses import Response

__all__ = ["APIRoute", "Mount", "NoMatchFound", "WSGIApp", "mounted_path", "prefixed"]

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


def _joined(first: Sequence[Any] | None, second: Sequence[Any] | None) -> list[Any]:
    return [*(first or ()), *(second or ())]


def prefixed(route: APIRoute | Mount, prefix: str, outer: Mapping[str, Any]) -> Any:
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
    if "strict_content_type" in outer:
        options.setdefault("strict_content_type", outer["strict_content_type"])
    if "generate_unique_id_function" in outer:
        options.setdefault("generate_unique_id_function", outer["generate_unique_id_function"])
    return replace(route, path=prefix + route.path, options=cast(RouteOptions, options))


def mounted_path(mount: Mount, name: str, path_params: Mapping[str, Any]) -> URLPath | None:
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
