# ruff: noqa: I002 (annotations are looked up where they stand: in local names)
"""Which route answers, compared with FastAPI: paths, methods, redirects, routers, mounts."""

import uuid
from typing import Annotated, Any

import pytest

from tests.parity.both import both, refused_by_both


def test_the_first_declared_route_that_matches_answers() -> None:
    """Not the most specific one; a wrong value in it is not a reason to look further."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.get("/users/{user_id}")
        def user(user_id: int) -> Any:
            return ["user", user_id]

        @app.get("/users/me")
        def me() -> Any:
            return "me"

        @app.post("/users/me")
        def post_me() -> Any:
            return "post me"

        @app.get("/files/{name}.{kind}")
        def file(name: str, kind: str) -> Any:
            return [name, kind]

        @app.get("/files/{path:path}")
        def path(path: str) -> Any:
            return ["path", path]

        @app.get("/twice")
        def once() -> Any:
            return 1

        @app.get("/twice")
        def again() -> Any:
            return 2

        @app.delete("/twice")
        def delete() -> Any:
            return 3

        return app

    pair = both(declare)
    for path in ("/users/1", "/users/me", "/users/", "/users", "/users/1/2", "/files/a.b.c"):
        pair.get(path)
    for path in (
        "/files/a",
        "/files/a/b.c",
        "/files/",
        "/files",
        "/twice",
        "/",
        "/none",
        "/users/%2F",
    ):
        pair.get(path)
        pair.post(path)
        pair.request("DELETE", path)
    pair.post("/users/me")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "OPTIONS", "DELETE", "TRACE"])
def test_a_method_that_no_route_takes_is_a_405(method: str) -> None:
    """With the methods of the first route whose path matches; HEAD has to be declared."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.api_route("/many", methods=["GET", "PUT", "delete"])
        def many() -> Any:
            return {"a": 1}

        @app.head("/head")
        def head() -> Any:
            return {"a": 1}

        @app.get("/head")
        def get() -> Any:
            return {"a": 1}

        @app.options("/options")
        def options() -> Any:
            return {"a": 1}

        @app.trace("/{parameter}")
        def trace(parameter: int) -> Any:
            return {"a": 1}

        return app

    pair = both(declare)
    for path in ("/many", "/head", "/options", "/5", "/x", "/many/"):
        pair.request(method, path)


@pytest.mark.parametrize("redirects", [True, False])
def test_the_other_slash_is_redirected_to(redirects: bool) -> None:
    """307, with the query, to what the client sees as the path; unless it is switched off."""

    def declare(ns: Any) -> Any:
        app = ns.App(redirect_slashes=redirects)

        @app.get("/with/")
        def with_slash() -> Any:
            return "with"

        @app.get("/without")
        def without() -> Any:
            return "without"

        @app.post("/only/{value}/")
        def only(value: str) -> Any:
            return value

        router = ns.APIRouter(prefix="/router")

        @router.get("/")
        def root() -> Any:
            return "root"

        @router.get("")
        def bare() -> Any:
            return "bare"

        app.include_router(router)
        app.include_router(router, prefix="/again", tags=["x"])
        return app

    pair = both(declare)
    for path in (
        "/with",
        "/with?a=1&b=%20",
        "/without/",
        "/without//",
        "/with//",
        "/only/x",
        "/only/caf%C3%A9",
        "/only/a%20b",
        "/router",
        "/router/",
        "/again/router",
        "//",
        "/",
        "/none/",
        "/only/%3F",
    ):
        pair.get(path)
        pair.post(path)
        pair.get(path, {"Host": "example.org:8080"})
        pair.get(path, root="/api")


CONVERTERS = {
    "str": ["a", "1", "a.b", "%20", "a%2Fb", "caf%C3%A9", ""],
    "int": ["1", "007", "-1", "1.5", "a", "99999999999999999999", "%D9%A1"],
    "float": ["1", "1.5", "-1.5", "1.", ".5", "1e3", "a"],
    "path": ["a", "a/b", "", "/", "a//b/", "a%2Fb", "%FF"],
    "uuid": [str(uuid.UUID(int=7)), "0" * 32, "x", str(uuid.UUID(int=7)).upper()],
}


@pytest.mark.parametrize("converter", CONVERTERS)
def test_converters_choose_and_convert(converter: str) -> None:
    """The converted value is validated like any other."""

    def declare(ns: Any) -> Any:
        app = ns.App()
        kinds = {
            "str": str,
            "int": int,
            "float": float,
            "any": Any,
            "uuid": uuid.UUID,
            "none": None,
        }
        for name, kind in kinds.items():

            def read(value: kind) -> Any:
                return repr(value)

            def untyped(value):
                return repr(value)

            def marked(value: Annotated[kind, ns.Path(description="d")]) -> Any:
                return repr(value)

            path = f"/{name}/{{value:{converter}}}"
            if name == "none":
                app.get(path)(untyped)
            else:
                app.get(path)(read)
                app.get("/marked" + path)(marked)

        @app.get("/mixed/{value:" + converter + "}/end")
        def mixed(value: str, value2: int = 2) -> Any:
            return [value, value2]

        return app

    pair = both(declare)
    for value in CONVERTERS[converter]:
        for name in ("str", "int", "float", "any", "uuid", "none", "marked/str", "marked/int"):
            pair.get(f"/{name}/{value}")
        pair.get(f"/mixed/{value}/end")


def test_paths_are_decoded_once() -> None:
    """Percent signs, plus signs, dots, bytes that are no UTF-8."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.get("/exact/é x")
        def exact() -> Any:
            return "exact"

        @app.get("/{value}")
        def one(value: str) -> Any:
            return ["one", value]

        @app.get("/{value}/{rest:path}")
        def more(value: str, rest: str) -> Any:
            return ["more", value, rest]

        return app

    pair = both(declare)
    for path in (
        "/exact/%C3%A9%20x",
        "/exact/%c3%a9+x",
        "/%2525",
        "/+",
        "/%2B",
        "/..",
        "/a/../b",
        "/./a",
        "/%2E%2E/a",
        "/%FF",
        "/%C3",
        "/%00",
        "/a;b=1",
        "/a:b@c",
        "//a",
        "/a//b",
        "/a/",
        "/%0A",
        "/x%0A",
        "/%F0%9F%98%80",
        "/%ED%A0%80",
    ):
        pair.get(path)


def test_included_routers_bring_prefix_tags_and_defaults() -> None:
    """Nested, twice, with routes declared after the inclusion."""

    def declare(ns: Any) -> Any:
        app = ns.App()
        inner = ns.APIRouter(prefix="/inner/{inner}")
        outer = ns.APIRouter(prefix="/outer", default_response_class=ns.PlainTextResponse)

        @inner.get("/a/{own}")
        def read(own: int, inner: int, top: str = "none") -> Any:
            return f"{own} {inner} {top}"

        @outer.get("")
        def bare() -> Any:
            return "bare"

        outer.include_router(inner)
        outer.include_router(inner, prefix="/second")

        @app.get("/outer/inner/first/a/1")
        def first() -> Any:
            return "first"

        app.include_router(outer)
        app.include_router(outer, prefix="/{top}", default_response_class=ns.HTMLResponse)

        @inner.post("/late")
        def late(inner: str) -> Any:
            return inner

        @outer.get("/late")
        def outer_late() -> Any:
            return "late"

        return app

    pair = both(declare)
    for path in (
        "/outer",
        "/outer/inner/first/a/1",
        "/outer/inner/2/a/1",
        "/outer/inner/x/a/y",
        "/outer/second/inner/2/a/1",
        "/t/outer/second/inner/2/a/1",
        "/t/outer",
        "/outer/late",
        "/t/outer/late",
        "/outer/inner/1/late",
    ):
        pair.get(path)
        pair.post(path)


def test_mounted_apps_answer_below_their_path() -> None:
    """With their own handlers of errors; ``root_path`` says where they are."""

    def declare(ns: Any) -> Any:
        app, sub, subsub = ns.App(), ns.App(), ns.App()

        for name, each in (("app", app), ("sub", sub), ("subsub", subsub)):

            @each.get("/")
            def root(request: ns.Request, name: str = name) -> Any:
                return [name, str(request.url), request.url.path]

            @each.get("/items/{item_id}")
            def read(item_id: int, request: ns.Request, name: str = name) -> Any:
                return [name, item_id, str(request.url), request.path_params]

            @each.get("/slash/")
            def slash() -> Any:
                return {}

            @each.exception_handler(404)
            def missing(request: Any, exc: Any, name: str = name) -> Any:
                return ns.JSONResponse({"missing in": name}, status_code=404)

        sub.mount("/subsub", subsub)

        @app.get("/sub/first")
        def first() -> Any:
            return "first"

        app.mount("/sub", sub)

        @app.get("/sub/late")
        def late() -> Any:
            return "never"

        return app

    pair = both(declare)
    for path in (
        "/",
        "/items/1",
        "/sub/items/1",
        "/sub/items/x",
        "/sub/",
        "/sub",
        "/sub/first",
        "/sub/late",
        "/sub/subsub/items/3?q=1",
        "/sub/subsub/none",
        "/sub/slash",
        "/sub/subsub/slash",
        "/subx",
        "/sub//items/1",
    ):
        pair.get(path)
        pair.get(path, root="/api/v1")
    pair.post("/sub/items/1")


def test_a_path_that_a_server_has_taken_off_is_part_of_urls() -> None:
    """``root_path`` of the request; the app's own is only a default for the documentation."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.get("/a/{b}")
        def read(request: ns.Request, b: str) -> Any:
            return [str(request.url), str(request.base_url), request.url.path, b]

        @app.get("/named/{b}", name="by name")
        def named(request: ns.Request, b: str) -> Any:
            return [str(request.url_for("by name", b="x y")), str(request.url_for("read", b=b))]

        return app

    pair = both(declare)
    for root in ("", "/api", "/api/v1"):
        pair.get("/a/1?q=2", root=root)
        pair.get("/named/1", root=root)
        pair.get("/named/1", {"Host": "example.org"}, root=root)


WRONG = {
    "prefix without a slash": lambda ns, app: ns.APIRouter(prefix="items"),
    "prefix with a slash at its end": lambda ns, app: ns.APIRouter(prefix="/items/"),
    "inclusion in itself": lambda ns, app: app.include_router(app.router),
    "nothing at all": lambda ns, app: app.include_router(_bare(ns)),
    "two parameters of one name": lambda ns, app: app.get("/{a}/{a}")(lambda a: None),
    "an unknown converter": lambda ns, app: app.get("/{a:color}")(lambda a: None),
}


def _bare(ns: Any) -> Any:
    router = ns.APIRouter()
    router.get("")(lambda: None)
    return router


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_path_that_cannot_work_is_refused(wrong: Any) -> None:
    """When it is declared."""

    def declare(ns: Any) -> Any:
        app = ns.App()
        wrong(ns, app)
        return app

    assert refused_by_both(declare)
