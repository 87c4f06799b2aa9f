"""The application: a WSGI callable made of routes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import copy_context
from threading import RLock
from typing import Any, TypeVar, Unpack, cast
from urllib.parse import quote

from wsgibg._calling import Calling
from wsgibg._compile import Compiled
from wsgibg._forwarding import HasTasks, check_options
from wsgibg._injector import Injector
from wsgibg._match import NO_MATCH, RouteTable
from wsgibg._overrides import Overridable, Overrides
from wsgibg._recovery import recover
from wsgibg._route_options import RouterOptions
from wsgibg._scope import RequestScope
from wsgibg.background import source_var
from wsgibg.datastructures import URL, State
from wsgibg.encoders import dump_json
from wsgibg.exception_handlers import ExceptionHandlers
from wsgibg.exceptions import HTTPException, RegistrationError
from wsgibg.executors import Executor
from wsgibg.executors.inline import InlineExecutor
from wsgibg.manager import AfterTaskError, TaskHook, TaskManager
from wsgibg.params import Scope
from wsgibg.responses import RedirectResponse, Response, status_line
from wsgibg.routing import APIRoute, APIRouter, Mount

__all__ = ["App", "AppOptions"]

F = TypeVar("F", bound=Callable[..., Any])
Entry = Callable[[dict[str, Any], Callable[..., Any], tuple[Any, ...]], Any]


class AppOptions(RouterOptions, total=False):
    """The options of an `App`: FastAPI's, and those of the background tasks.

    ``title`` and the others that FastAPI has for its OpenAPI document are taken, for a port.
    ``debug``: send tracebacks to the client. ``root_path``: the path a proxy strips.
    ``exception_handlers``: handlers by class or status. ``executor``: where background tasks
    run, by default in the response's ``close()``. ``executors``: further ones, by name.
    ``tasks``: a `TaskManager` instead of these. ``dependency_scope``: when ``yield``
    dependencies are left that do not say it; ``"tasks"`` is FastAPI's order.
    ``after_task_error``: ``"continue"`` or ``"stop"`` when a task fails. ``async_inline``:
    whether async code that cannot suspend runs in the server's thread.
    ``strict``: what is only warned of raises, for tests.
    ``max_content_length``: the largest request body, in bytes; a larger one is answered 413.
    """

    debug: bool
    title: str
    summary: str | None
    description: str
    version: str
    openapi_url: str | None
    openapi_tags: list[dict[str, Any]] | None
    docs_url: str | None
    redoc_url: str | None
    swagger_ui_oauth2_redirect_url: str | None
    swagger_ui_init_oauth: dict[str, Any] | None
    swagger_ui_parameters: dict[str, Any] | None
    openapi_external_docs: dict[str, Any] | None
    separate_input_output_schemas: bool
    terms_of_service: str | None
    contact: dict[str, Any] | None
    license_info: dict[str, Any] | None
    servers: list[dict[str, Any]] | None
    root_path_in_servers: bool
    webhooks: APIRouter | None
    root_path: str
    exception_handlers: Mapping[int | type[Exception], Callable[..., Any]] | None
    executor: Executor | None
    executors: Mapping[str, Executor] | None
    tasks: TaskManager | None
    dependency_scope: Scope
    after_task_error: AfterTaskError
    async_inline: bool
    strict: bool
    max_content_length: int | None


#: What a port from FastAPI may still pass, and what to do instead for now.
_LATER = {
    "lifespan": "open resources on first use, or when the module is imported",
    "on_startup": "open resources on first use, or when the module is imported",
    "on_shutdown": "close resources in your server's exit hook",
    "middleware": "wrap the app in WSGI middleware",
}
#: The same for methods and attributes.
_ABSENT = {
    **dict.fromkeys(("add_middleware", "middleware"), _LATER["middleware"]),
    **dict.fromkeys(("on_event", "add_event_handler"), _LATER["on_startup"]),
    **dict.fromkeys(
        ("websocket", "websocket_route", "add_api_websocket_route"), "WSGI has no WebSockets"
    ),
    **dict.fromkeys(("openapi", "setup"), "the OpenAPI document is not there yet"),
}


class App(APIRouter, Calling, HasTasks, Overridable):
    """A WSGI application with typed handlers, dependencies and background tasks.

    Args:
        options: see `AppOptions`.

    Example:
        >>> from wsgibg import App, BackgroundTasks
        >>> app = App()
        >>> @app.post("/notify/{email}")
        ... def notify(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
        ...     background_tasks.add_task(print, "mail to", email)
        ...     return {"message": "accepted"}
    """

    def __init__(self, **options: Unpack[AppOptions]) -> None:
        for name in options:
            if name not in AppOptions.__optional_keys__:
                hint = f" It is not there yet: {_LATER[name]}." if name in _LATER else ""
                msg = f"App() has no option {name!r}.{hint}"
                raise TypeError(msg)
        own = {
            key: value for key, value in options.items() if key in RouterOptions.__optional_keys__
        }
        super().__init__(**cast(RouterOptions, own))
        self.debug: bool = options.get("debug", False)
        self.title: str = options.get("title", "wsgibg")
        # As an environ has it (PEP 3333): UTF-8 handed on as Latin-1.
        self.root_path: str = options.get("root_path", "").rstrip("/").encode().decode("latin-1")
        self.state: State = State()
        self.handlers: ExceptionHandlers = ExceptionHandlers(options.get("exception_handlers"))
        self.strict: bool = options.get("strict", False)
        check_options(options.get("tasks"), self.strict)
        self.dependency_scope: Scope = options.get("dependency_scope", "request")
        if self.dependency_scope not in ("function", "request", "tasks"):
            msg = (
                f'dependency_scope={self.dependency_scope!r}: use "function", "request" or "tasks".'
            )
            raise ValueError(msg)
        self.async_inline: bool = options.get("async_inline", True)
        self.max_content_length: int | None = options.get("max_content_length")
        self._overrides = Overrides(self._forget_plans)
        self.injector: Injector = Injector(self, self._overrides, self.dependency_scope)
        self.tasks: TaskManager = options.get("tasks") or TaskManager(
            options.get("executor") or InlineExecutor(),
            executors=options.get("executors"),
            after_task_error=options.get("after_task_error", "continue"),
            async_inline=options.get("async_inline", True),
        )
        self.tasks.injector = self.tasks.injector or self.injector
        self.tasks.strict = self.tasks.strict or self.strict
        self._building = RLock()
        self._served: tuple[APIRoute | Mount, ...] = ()
        self._classes: tuple[type[Response] | None, ...] = ()
        self._entries: list[Entry] = []
        self._find: Callable[[str, str], tuple[int, tuple[Any, ...]]] = self._first_find
        self.tasks.hooks.add_app(self._forget_plans)

    # -------------------------------------------------------------- declaring
    @property
    def router(self) -> APIRouter:
        """The app itself: it is the router of its routes."""
        return self

    def exception_handler(self, key: int | type[Exception]) -> Callable[[F], F]:
        """Have the decorated function answer exceptions of a class, or of an HTTP status.

        Args:
            key: an exception class, or a status code. `Exception` and 500 answer what nobody
                else does; the error is logged all the same.
        """

        def decorate(handler: F) -> F:
            self.add_exception_handler(key, handler)
            return handler

        return decorate

    def add_exception_handler(
        self, key: int | type[Exception], handler: Callable[..., Any]
    ) -> None:
        """Have a function answer exceptions of a class, or of an HTTP status."""
        self._open()
        self.handlers.add(key, handler)

    def on_task(self, hook: TaskHook) -> TaskHook:
        """Have a function called with each `TaskEvent`; see `TaskManager.on_task`."""
        return self.tasks.on_task(hook)

    def _check(self, route: APIRoute) -> None:
        route.plan(default_scope=self.dependency_scope)
        route.returns()

    # -------------------------------------------------------------- serving
    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Answer a request (PEP 3333)."""
        if self.root_path:
            environ = _below(environ, self.root_path)
        path: str = environ.get("PATH_INFO", "")
        if not path.isascii():
            # PEP 3333 hands UTF-8 on as Latin-1; broken UTF-8 becomes U+FFFD, as in FastAPI.
            path = path.encode("latin-1", "replace").decode("utf-8", "replace")
        position, values = self._find(path, environ["REQUEST_METHOD"])
        if position >= 0:
            return self._entries[position](environ, start_response, values)
        return self._unmatched(environ, start_response, path, position)

    def _unmatched(
        self, environ: dict[str, Any], start_response: Callable[..., Any], path: str, position: int
    ) -> Any:
        """Answer a request that no route takes: 405, a redirect to the other slash, or 404."""
        if position != NO_MATCH[0]:
            route = self._served[~position]
            methods = route.methods if isinstance(route, APIRoute) else ()
            error = HTTPException(405, headers={"Allow": ", ".join(sorted(methods))})
            return self._refuse(environ, start_response, error)
        if self.redirect_slashes and path != "/":
            other = path.rstrip("/") if path.endswith("/") else path + "/"
            if self._find(other, environ["REQUEST_METHOD"]) is not NO_MATCH:
                return self._redirect(environ, start_response, other)
        return self._refuse(environ, start_response, HTTPException(404))

    def _refuse(
        self, environ: dict[str, Any], start_response: Callable[..., Any], error: Exception
    ) -> Any:
        """Answer a request that has no route to fail in."""
        if (
            isinstance(error, HTTPException)
            and self.handlers.is_default(error)
            and environ["REQUEST_METHOD"] != "HEAD"
        ):
            # PERF: without a scope and a response, 1 µs instead of 12.
            body = dump_json({"detail": error.detail})
            length = ("Content-Length", str(len(body)))
            headers = [*(error.headers or {}).items(), length, ("Content-Type", "application/json")]
            start_response(status_line(error.status_code), headers)
            return (body,)
        scope = RequestScope()
        scope.environ = environ
        scope.owner = self
        context = scope.context = copy_context()
        context.run(source_var.set, scope)
        return scope.drive(recover(scope, error, start_response))

    def _redirect(
        self, environ: dict[str, Any], start_response: Callable[..., Any], path: str
    ) -> Any:
        query = environ.get("QUERY_STRING", "")
        url = str(URL.root_of(environ)).rstrip("/") + quote(path)
        return RedirectResponse(f"{url}?{query}" if query else url)(environ, start_response)

    # -------------------------------------------------------------- building
    def _first_find(self, path: str, method: str) -> tuple[int, tuple[Any, ...]]:
        """Flatten the routes at the first request; `include_router` is live until then."""
        with self._building:
            if not self._closed:
                flat = list(self.flat())
                table = RouteTable(
                    [
                        (route.pattern, route.methods if isinstance(route, APIRoute) else None)
                        for route, _ in flat
                    ]
                )
                self._classes = tuple(default for _, default in flat)
                served = tuple(route for route, _ in flat)
                self._entries = [self._lazy(position, served) for position in range(len(served))]
                self._served = served
                self.close()
                self._find = table.find
        return self._find(path, method)

    def _forget_plans(self) -> None:
        """Have each route compiled anew when it is next called, and each task planned anew."""
        self.injector.forget()
        with self._building:
            # Replaced, not cleared: a request that is just compiling writes into the old list.
            served = self._served
            self._entries = [self._lazy(position, served) for position in range(len(served))]

    def _lazy(self, position: int, served: tuple[APIRoute | Mount, ...]) -> Entry:
        """An entry that compiles its route at its first request, and makes way for it."""

        def first(
            environ: dict[str, Any], start_response: Callable[..., Any], values: tuple[Any, ...]
        ) -> Any:
            entries, route = self._entries, served[position]
            if isinstance(route, Mount):
                entry = _mount_entry(route)
            else:
                try:
                    entry = self._compiled(route, self._classes[position]).entry()
                except RegistrationError as error:  # an override that cannot work
                    return self._refuse(environ, start_response, error)
            if entries[position] is first:
                entries[position] = entry
            return entry(environ, start_response, values)

        return first

    def _compiled(self, route: APIRoute, default: type[Response] | None) -> Compiled:
        plan = route.plan(overrides=dict(self._overrides), default_scope=self.dependency_scope)
        return Compiled(
            plan,
            route.returns(default),
            self,
            route.title,
            async_inline=self.async_inline,
            max_content_length=self.max_content_length,
            strict_content_type=route.options.get("strict_content_type", True),
            head="HEAD" in route.methods,
        )

    def compiled(self, method: str, path: str) -> Compiled | None:
        """The compiled route that answers a method and a path; for ``wsgibg explain``.

        Args:
            method: the HTTP method.
            path: a path as it is declared (``/items/{item_id}``) or as it is requested.
        """
        position, _ = self._find(path, method)
        declared = [
            at
            for at, route in enumerate(self._served)
            if isinstance(route, APIRoute) and route.path == path and method in route.methods
        ]
        at = declared[0] if declared else position
        if at < 0:
            return None
        route = self._served[at]
        return self._compiled(route, self._classes[at]) if isinstance(route, APIRoute) else None


def _absent(app: App, name: str) -> Any:
    """Say of what FastAPI has, and this has not, what to do instead."""
    hint = f" {_ABSENT[name][0].upper()}{_ABSENT[name][1:]}." if name in _ABSENT else ""
    msg = f"{type(app).__name__!r} object has no attribute {name!r}.{hint}"
    raise AttributeError(msg)


# Not in the class's body, where type checkers would take any name for an attribute.
App.__getattr__ = _absent  # type: ignore[attr-defined]


def _below(environ: dict[str, Any], root_path: str) -> dict[str, Any]:
    """The environ with ``root_path`` as SCRIPT_NAME, unless the server or a mount gave one.

    A proxy may strip it from the path or not, as in FastAPI.
    """
    if environ.get("SCRIPT_NAME"):
        return environ
    path = environ.get("PATH_INFO", "")
    if path == root_path or path.startswith(root_path + "/"):
        path = path[len(root_path) :]
    return {**environ, "SCRIPT_NAME": root_path, "PATH_INFO": path}


def _mount_entry(mount: Mount) -> Entry:
    """Hand a request on with its path split in two (PEP 3333, ``SCRIPT_NAME``)."""
    app, slashes = mount.app, mount.path.count("/")

    def enter(
        environ: dict[str, Any], start_response: Callable[..., Any], values: tuple[Any, ...]
    ) -> Any:
        del values
        path = environ["PATH_INFO"]
        at = -1
        for _ in range(slashes + 1):  # a parameter of the mount's path holds no slash
            at = path.index("/", at + 1)
        script_name = environ.get("SCRIPT_NAME", "") + path[:at]
        return app({**environ, "SCRIPT_NAME": script_name, "PATH_INFO": path[at:]}, start_response)

    return enter
