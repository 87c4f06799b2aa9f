"""Routes, routers, inclusions and mounts: who answers which path."""

from __future__ import annotations

from enum import Enum
from functools import partial
from typing import Annotated

import pytest
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import create_environ, run_wsgi_app

from tests.support import checked, client
from wsgibg import APIRouter, App, Depends, HTTPException, Path, Request
from wsgibg.datastructures import URLPath
from wsgibg.exceptions import RegistrationError
from wsgibg.responses import HTMLResponse, PlainTextResponse
from wsgibg.routing import APIRoute, Mount, NoMatchFound

VERBS = ["get", "put", "post", "delete", "options", "head", "patch", "trace"]


def hello():
    return "hello"


def route_of(app):
    """The only route of an app, as it is seen from outside."""
    [(route, _)] = app.flat()
    return route


def answering(text):
    """A handler that says which one it is."""

    def handler():
        return text

    return handler


# --- verbs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("kind", [App, APIRouter])
def test_each_verb_declares_its_method(verb, kind):
    """The decorated function is given back as it was."""
    router = kind()

    assert getattr(router, verb)("/")(hello) is hello
    assert route_of(router).methods == {verb.upper()}


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_answers_its_method_only(verb):
    """Any other method is not allowed."""
    app = App()
    getattr(app, verb)("/")(hello)
    browser = client(app)

    for other in VERBS:
        expected = 200 if other == verb else 405
        assert browser.open("/", method=other.upper()).status_code == expected


def test_api_route_declares_several_methods():
    """Methods are upper case, however they are written."""
    app = App()

    @app.api_route("/", methods=["get", "Post"])
    def both():
        return "both"

    browser = client(app)

    assert [browser.get("/").json, browser.post("/").json] == ["both", "both"]
    assert browser.put("/").status_code == 405


@pytest.mark.parametrize("methods", [None, []])
def test_a_route_answers_get_unless_it_says_otherwise(methods):
    """The default of FastAPI."""
    app = App()
    app.add_api_route("/", hello, methods=methods)

    assert client(app).get("/").json == "hello"


def test_add_api_route_takes_any_callable():
    """Partials and callable objects too; they have names of their own."""

    class Greeter:
        def __call__(self, name: str):
            return f"hello {name}"

    app = App()
    app.add_api_route("/object/{name}", Greeter())
    app.add_api_route("/partial", partial(Greeter(), name="you"), name="given")
    browser = client(app)

    assert browser.get("/object/me").json == "hello me"
    assert browser.get("/partial?name=us").json == "hello us"
    assert [route.name for route, _ in app.flat()] == ["Greeter", "given"]


def test_get_routes_do_not_answer_head():
    """FastAPI's rule; declare HEAD to have it."""
    app = App()
    app.get("/")(hello)

    answer = client(app).head("/")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")


# --- declarations that cannot work ---------------------------------------------------------


def test_an_unknown_option_is_refused_at_its_place():
    """The message names file, line, function and option."""
    app = App()

    with pytest.raises(
        RegistrationError, match=r"test_routing\.py:\d+ hello\(\): a route has no option 'stat'"
    ):
        app.get("/", stat=201)(hello)


def test_an_unknown_option_of_a_router_is_refused():
    """Nothing misspelt passes in silence."""
    with pytest.raises(TypeError, match=r"APIRouter.* no option 'prefx'"):
        APIRouter(prefx="/a")


def test_an_unknown_option_of_an_inclusion_is_refused():
    """Nothing misspelt passes in silence."""
    with pytest.raises(TypeError, match=r"include_router.* no option 'prefx'"):
        App().include_router(APIRouter(), prefx="/a")


def test_an_endpoint_that_cannot_be_called_is_refused():
    """The remedy is in the message."""
    with pytest.raises(RegistrationError, match=r"/: 7 cannot be called\. Pass a function\."):
        App().add_api_route("/", 7)


@pytest.mark.parametrize("path", ["items", "{item_id}"])
def test_a_path_begins_with_a_slash(path):
    """The message says how to write it."""
    with pytest.raises(RegistrationError, match=f"Write '/{path}'"):
        App().get(path)(hello)


@pytest.mark.parametrize("prefix", ["items", "/items/", "/"])
def test_a_prefix_begins_with_a_slash_and_does_not_end_with_one(prefix):
    """Of routers and of inclusions alike."""
    with pytest.raises(RegistrationError, match="begins with a slash and does not end with one"):
        APIRouter(prefix=prefix)
    with pytest.raises(RegistrationError, match="begins with a slash and does not end with one"):
        App().include_router(APIRouter(), prefix=prefix)


def test_a_mount_begins_with_a_slash():
    """The message says how to write it."""
    with pytest.raises(RegistrationError, match="Write '/static'"):
        App().mount("static", App())


def test_a_wrong_route_is_not_kept():
    """What was refused is not there afterwards."""
    app = App()
    with pytest.raises(RegistrationError):
        app.get("/")(lambda *args: None)

    assert list(app.flat()) == []


# --- who answers ---------------------------------------------------------------------------


def test_the_first_route_that_matches_answers():
    """Declaration order decides, not how special a path is."""
    app = App()
    app.get("/users/{name}")(answering("any"))
    app.get("/users/me")(answering("me"))

    assert client(app).get("/users/me").json == "any"


def test_a_later_route_answers_where_the_method_does_not_fit():
    """A path may be declared again for another method, in another form even."""
    app = App()
    app.get("/users/{name}")(answering("get"))
    app.post("/users/me")(answering("post"))
    browser = client(app)

    assert browser.post("/users/me").json == "post"
    assert browser.get("/users/me").json == "get"


def test_an_unknown_path_is_not_found():
    """FastAPI's body."""
    app = App()
    app.get("/a")(hello)

    answer = client(app).get("/b")

    assert (answer.status_code, answer.json) == (404, {"detail": "Not Found"})


def test_a_wrong_method_is_answered_with_the_methods_of_the_first_match():
    """FastAPI's rule: the first route whose path fits decides."""
    app = App()
    app.api_route("/a", methods=["PUT", "DELETE"])(hello)
    app.patch("/a")(hello)

    answer = client(app).get("/a")

    assert (answer.status_code, answer.json) == (405, {"detail": "Method Not Allowed"})
    assert answer.headers["Allow"] == "DELETE, PUT"


def test_path_values_are_converted_by_the_pattern_and_then_by_the_type():
    """A convertor decides whether the route matches at all."""
    app = App()

    @app.get("/items/{item_id:int}")
    def read(item_id: str | int):
        return [item_id, type(item_id).__name__]

    @app.get("/files/{path:path}")
    def file(path: str):
        return path

    browser = client(app)

    assert browser.get("/items/7").json == [7, "int"]
    assert browser.get("/items/seven").status_code == 404
    assert browser.get("/files/a/b%20c.txt").json == "a/b c.txt"


# --- slashes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "asked", "location"),
    [
        ("/items", "/items/", "http://localhost/items"),
        ("/items/", "/items", "http://localhost/items/"),
        ("/items/", "/items?a=1&b=%20", "http://localhost/items/?a=1&b=%20"),
        ("/é", "/%C3%A9/", "http://localhost/%C3%A9"),
        ("/a b/{x}", "/a%20b/c/", "http://localhost/a%20b/c"),
    ],
)
def test_the_other_slash_is_redirected(declared, asked, location):
    """307 keeps method and body; the query stays."""
    app = App()
    app.post(declared)(hello)

    answer = client(app).post(asked)

    assert (answer.status_code, answer.headers["Location"]) == (307, location)
    assert "Content-Type" not in answer.headers


def test_a_redirect_is_followed_with_its_method():
    """POST stays POST."""
    app = App()
    app.post("/items/")(hello)

    assert client(app).post("/items", follow_redirects=True).json == "hello"


def test_the_redirect_asks_for_the_path_only():
    """As in FastAPI, the method is looked at when the other path is asked for."""
    app = App()
    app.post("/items/")(hello)

    assert client(app).get("/items").status_code == 307


def test_redirects_can_be_switched_off():
    """Then the other slash is another path."""
    app = App(redirect_slashes=False)
    app.get("/items/")(hello)

    assert client(app).get("/items").status_code == 404


def test_a_redirect_names_the_host_that_the_client_asked():
    """The Host header, and SERVER_NAME where there is none."""
    app = App()
    app.get("/items/")(hello)

    answer = client(app).get("/items", base_url="https://shop.example:8443")
    assert answer.headers["Location"] == "https://shop.example:8443/items/"

    environ = create_environ("/items", base_url="http://other.example:8080")
    del environ["HTTP_HOST"]
    _, _, headers = run_wsgi_app(checked(app), environ, buffered=True)
    assert headers["Location"] == "http://other.example:8080/items/"


# --- SCRIPT_NAME, root_path ----------------------------------------------------------------


def urls_of(**options):
    app = App(**options)

    @app.get("/items/{item_id}/")
    def read(item_id: int, request: Request):
        return [str(request.url_for("read", item_id=item_id)), request.url.path]

    return app


def test_an_app_below_another_path_keeps_it_in_urls_and_redirects():
    """SCRIPT_NAME is what a dispatcher has taken off the path."""
    browser = client(DispatcherMiddleware(App(), {"/shop": urls_of()}))

    assert browser.get("/shop/items/7/").json == [
        "http://localhost/shop/items/7/",
        "/shop/items/7/",
    ]
    assert browser.get("/shop/items/7").headers["Location"] == "http://localhost/shop/items/7/"


def test_the_root_of_an_app_below_another_path_has_a_slash():
    """A dispatcher leaves an empty PATH_INFO where the client wrote no slash."""
    inner = App()
    inner.get("/")(hello)
    browser = client(DispatcherMiddleware(App(), {"/shop": inner}))

    answer = browser.get("/shop?x=1")

    assert (answer.status_code, answer.headers["Location"]) == (307, "http://localhost/shop/?x=1")
    assert browser.get("/shop/").json == "hello"


@pytest.mark.parametrize("asked", ["/items/7/", "/api/items/7/"])
def test_root_path_is_the_prefix_that_a_proxy_strips(asked):
    """As in FastAPI, URLs have it, whether the proxy has stripped it or not."""
    assert client(urls_of(root_path="/api")).get(asked).json == [
        "http://localhost/api/items/7/",
        "/api/items/7/",
    ]


def test_root_path_stands_in_redirects():
    """The client's next request goes through the proxy again."""
    answer = client(urls_of(root_path="/api")).get("/items/7")

    assert answer.headers["Location"] == "http://localhost/api/items/7/"


def test_what_a_dispatcher_has_taken_off_comes_before_root_path():
    """An app with a root_path may still be mounted elsewhere."""
    outer = App()
    outer.mount("/shop", urls_of(root_path="/api"))

    assert client(outer).get("/shop/items/7/").json[1] == "/shop/items/7/"


def test_root_path_is_a_prefix_of_whole_segments():
    """`/apiary` is not below `/api`."""
    app = App(root_path="/api")
    app.get("/apiary")(hello)
    app.get("/")(answering("root"))
    browser = client(app)

    assert browser.get("/apiary").json == "hello"
    assert browser.get("/api/").json == "root"
    assert browser.get("/api").headers["Location"] == "http://localhost/api/"


# --- inclusion -----------------------------------------------------------------------------


def test_prefixes_are_put_together():
    """That of the inclusion comes before that of the router."""
    app, outer, inner = App(), APIRouter(prefix="/outer"), APIRouter(prefix="/inner")
    inner.get("/leaf")(hello)
    outer.include_router(inner, prefix="/between")
    app.include_router(outer, prefix="/app")

    assert client(app).get("/app/outer/between/inner/leaf").json == "hello"


def test_a_router_s_own_prefix_is_there_before_it_is_included():
    """`url_path_for` of a router tells the path that the router knows."""
    router = APIRouter(prefix="/users")
    router.get("/{user_id}")(lambda user_id: user_id)

    assert route_of(router).path == "/users/{user_id}"


def test_parameters_of_a_prefix_reach_handlers_and_dependencies():
    """The prefix of an inclusion may hold path parameters."""
    app, router = App(), APIRouter()

    def tenant(tenant_id: int):
        return tenant_id * 10

    @router.get("/{item_id}")
    def read(tenant_id: int, item_id: int, tenant: int = Depends(tenant)):
        return [tenant_id, item_id, tenant]

    app.include_router(router, prefix="/tenants/{tenant_id}")
    browser = client(app)

    assert browser.get("/tenants/3/4").json == [3, 4, 30]
    answer = browser.get("/tenants/x/4")
    assert [error["loc"] for error in answer.json["detail"]] == [["path", "tenant_id"]] * 2


def test_a_router_does_not_know_its_prefix_yet():
    """A parameter that is marked as one of the path may come with the inclusion."""
    app, router = App(), APIRouter()

    @router.get("/")
    def read(tenant_id: Annotated[int, Path(ge=1)]):
        return tenant_id

    app.include_router(router, prefix="/{tenant_id}")

    assert client(app).get("/7/").json == 7
    assert client(app).get("/0/").status_code == 422


def test_dependencies_run_from_the_outside_in():
    """App, inclusion, router, route: FastAPI's order."""
    calls = []

    def noting(name):
        return Depends(lambda: calls.append(name))

    router = APIRouter(dependencies=[noting("router")])

    @router.get("/", dependencies=[noting("route")])
    def handler(own: None = noting("parameter")):
        calls.append("handler")

    app = App(dependencies=[noting("app")])
    app.include_router(router, prefix="/r", dependencies=[noting("inclusion")])

    client(app).get("/r/")

    assert calls == ["app", "inclusion", "router", "route", "parameter", "handler"]


def test_options_of_all_levels_are_joined():
    """Tags and callbacks add up, the route's responses win over those around it."""

    class Tag(Enum):
        ROUTE = "route"

    router = APIRouter(tags=["router"], responses={404: {"description": "router"}})
    router.get("/", tags=[Tag.ROUTE], responses={404: {"description": "route"}})(hello)
    app = App(responses={500: {"description": "app"}}, callbacks=["app"])
    app.include_router(
        router,
        prefix="/r",
        tags=["inclusion"],
        responses={418: {"description": "inclusion"}},
        callbacks=["inclusion"],
        deprecated=True,
        include_in_schema=False,
        generate_unique_id_function=hello,
    )

    options = route_of(app).options

    assert options["tags"] == ["inclusion", "router", Tag.ROUTE]
    assert options["callbacks"] == ["app", "inclusion"]
    assert options["responses"] == {
        500: {"description": "app"},
        418: {"description": "inclusion"},
        404: {"description": "route"},
    }
    assert options["deprecated"] is True
    assert options["include_in_schema"] is False
    assert options["generate_unique_id_function"] is hello


def test_an_inner_option_is_kept():
    """What a route says of itself holds against what is around it."""
    app = App(deprecated=True, generate_unique_id_function=hello)
    app.get("/", deprecated=False, generate_unique_id_function=answering)(hello)

    options = route_of(app).options

    assert options["deprecated"] is False
    assert options["generate_unique_id_function"] is answering


def test_the_nearest_response_class_counts():
    """Route, then router, then inclusion, then app."""
    app = App(default_response_class=PlainTextResponse)
    own = APIRouter(default_response_class=HTMLResponse)
    bare = APIRouter()
    for router in (own, bare):
        router.get("/")(hello)
    own.get("/route", response_class=PlainTextResponse)(hello)
    app.include_router(own, prefix="/own", default_response_class=PlainTextResponse)
    app.include_router(bare, prefix="/inclusion", default_response_class=HTMLResponse)
    app.include_router(bare, prefix="/app")
    browser = client(app)

    def mimetype(path):
        return browser.get(path).mimetype

    assert mimetype("/own/") == "text/html"
    assert mimetype("/own/route") == "text/plain"
    assert mimetype("/inclusion/") == "text/html"
    assert mimetype("/app/") == "text/plain"


def test_inclusion_is_live():
    """Routes that are declared after the inclusion are there as well."""
    app, outer, inner = App(), APIRouter(), APIRouter()
    app.include_router(outer, prefix="/outer")
    outer.include_router(inner, prefix="/inner")
    inner.get("/late")(hello)

    assert client(app).get("/outer/inner/late").json == "hello"


def test_included_routes_stand_where_they_were_included():
    """The order of declaration is that of the flattened routes."""
    app, router = App(), APIRouter()
    app.get("/before")(answering("app"))
    app.include_router(router)
    app.get("/after")(answering("app"))
    router.get("/before")(answering("router"))
    router.get("/after")(answering("router"))
    browser = client(app)

    assert browser.get("/before").json == "app"
    assert browser.get("/after").json == "router"


def test_a_router_may_be_included_twice():
    """Under two prefixes, with options of their own."""
    calls = []
    app, router = App(), APIRouter()
    router.get("/")(hello)
    app.include_router(router, prefix="/v1")
    app.include_router(router, prefix="/v2", dependencies=[Depends(lambda: calls.append("v2"))])
    browser = client(app)

    assert browser.get("/v1/").json == "hello"
    assert calls == []
    assert browser.get("/v2/").json == "hello"
    assert calls == ["v2"]
    assert app.url_path_for("hello") == "/v1/"


def test_a_router_that_contains_itself_is_refused():
    """Directly, or around a corner."""
    first, second, third = APIRouter(), APIRouter(), APIRouter()
    first.include_router(second, prefix="/a")
    second.include_router(third, prefix="/b")

    with pytest.raises(RegistrationError, match="cannot be included in itself"):
        first.include_router(first)
    with pytest.raises(RegistrationError, match="cannot be included in itself"):
        third.include_router(first)


def test_a_path_that_would_be_empty_is_refused():
    """FastAPI's rule: prefix and path cannot both be empty."""
    router = APIRouter()
    router.get("")(hello)

    with pytest.raises(RegistrationError, match="prefix and path cannot both be empty"):
        App().include_router(router)

    app = App()
    app.include_router(router, prefix="/users")
    assert client(app).get("/users").json == "hello"


def test_a_route_is_frozen():
    """What was declared does not change; an inclusion makes a copy."""
    app, router = App(), APIRouter()
    router.get("/")(hello)
    app.include_router(router, prefix="/r", tags=["outer"])

    assert route_of(app).options == {"tags": ["outer"]}
    assert route_of(router).options == {}
    with pytest.raises(AttributeError):
        route_of(router).path = "/other"


# --- url_path_for --------------------------------------------------------------------------


def named():
    app, users = App(), APIRouter(prefix="/users")
    app.get("/")(hello)
    app.get("/named", name="other")(hello)
    users.get("/{user_id}", name="user")(lambda user_id: user_id)
    users.get("/{user_id}/files/{path:path}", name="user")(lambda user_id, path: path)
    app.include_router(users, prefix="/api")
    return app


@pytest.mark.parametrize(
    ("name", "values", "path"),
    [
        ("hello", {}, "/"),
        ("other", {}, "/named"),
        ("user", {"user_id": 7}, "/api/users/7"),
        ("user", {"user_id": 7, "path": "a/b"}, "/api/users/7/files/a/b"),
    ],
)
def test_paths_are_written_by_name(name, values, path):
    """The first route with this name and these parameters."""
    found = named().url_path_for(name, **values)

    assert found == path
    assert isinstance(found, URLPath)


@pytest.mark.parametrize(
    ("name", "values"), [("nobody", {}), ("user", {"id": 7}), ("hello", {"x": 1})]
)
def test_a_name_that_fits_nothing_is_an_error(name, values):
    """It says what was asked for."""
    with pytest.raises(NoMatchFound, match=f"No route is named '{name}'"):
        named().url_path_for(name, **values)


def test_mounted_routes_are_named_through_their_mount():
    """`mount:route` is a route of the mounted app, `mount` with `path` a file below it."""
    inner, app = named(), App()
    app.mount("/shop", inner, name="shop")

    assert app.url_path_for("shop", path="/a.css") == "/shop/a.css"
    assert app.url_path_for("shop:user", user_id=7) == "/shop/api/users/7"
    with pytest.raises(NoMatchFound):
        app.url_path_for("shop:nobody")
    with pytest.raises(NoMatchFound):
        app.url_path_for("user", user_id=7)


def test_routes_of_a_mount_without_a_name_have_their_own_names():
    """Starlette's rule; an app that cannot be asked has none."""
    app = App()
    app.mount("/wsgi", lambda environ, start_response: [])
    app.mount("/shop", named())

    assert app.url_path_for("user", user_id=7) == "/shop/api/users/7"


def test_a_mounted_app_that_cannot_be_asked_has_no_named_routes():
    """A bare WSGI application knows no `url_path_for`."""
    app = App()
    app.mount("/wsgi", lambda environ, start_response: [], name="wsgi")

    assert app.url_path_for("wsgi", path="x") == "/wsgi/x"
    with pytest.raises(NoMatchFound):
        app.url_path_for("wsgi:x")


def test_the_path_of_a_mount_may_hold_parameters():
    """They are written like those of a route."""
    app = App()
    app.mount("/{tenant}/shop", named(), name="shop")

    assert app.url_path_for("shop", tenant="me", path="a.css") == "/me/shop/a.css"
    assert app.url_path_for("shop:user", tenant="me", user_id=7) == "/me/shop/api/users/7"
    with pytest.raises(NoMatchFound):
        app.url_path_for("shop:user", user_id=7)


# --- mounts --------------------------------------------------------------------------------


def show(environ, start_response):
    """A bare WSGI app that tells how its path was split."""
    body = f"{environ['SCRIPT_NAME']}|{environ['PATH_INFO']}|{environ['REQUEST_METHOD']}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


@pytest.mark.parametrize(
    ("mounted", "asked", "script_name", "path_info"),
    [
        ("/sub", "/sub/", "/sub", "/"),
        ("/sub", "/sub/a/b", "/sub", "/a/b"),
        ("/sub/", "/sub/a", "/sub", "/a"),
        ("/a/b", "/a/b/c/", "/a/b", "/c/"),
        ("", "/a", "", "/a"),
        ("/", "/a/b", "", "/a/b"),
        ("/{tenant}", "/me/a", "/me", "/a"),
        ("/v{major:int}", "/v2/a", "/v2", "/a"),
        ("/{tenant}/{shop:int}", "/me/7/", "/me/7", "/"),
        ("/sub", "/sub/%C3%A9", "/sub", "/Ã©"),
        ("/é", "/%C3%A9/x", "/Ã©", "/x"),
    ],
)
def test_any_wsgi_app_can_be_mounted(mounted, asked, script_name, path_info):
    """It sees its own path in SCRIPT_NAME and the rest in PATH_INFO (PEP 3333)."""
    app = App()
    app.mount(mounted, show)

    assert client(app).delete(asked).text == f"{script_name}|{path_info}|DELETE"


def test_a_mount_without_its_slash_is_redirected():
    """The mounted app begins at the slash."""
    app = App()
    app.mount("/sub", show)

    answer = client(app).get("/sub?x=1")

    assert (answer.status_code, answer.headers["Location"]) == (307, "http://localhost/sub/?x=1")


def test_a_redirect_below_a_mount_keeps_its_path():
    """SCRIPT_NAME is UTF-8 handed on as Latin-1, and becomes UTF-8 again in the URL."""
    app, inner = App(), App()
    inner.get("/ü/")(hello)
    app.mount("/é", inner)

    answer = client(app).get("/é/ü")

    assert answer.headers["Location"] == "http://localhost/%C3%A9/%C3%BC/"


def test_mounts_and_routes_stand_in_one_order():
    """A mount takes every method, so nothing below it is reached later."""
    app = App()
    app.get("/sub/first")(hello)
    app.mount("/sub", show)
    app.get("/sub/last")(hello)
    browser = client(app)

    assert browser.get("/sub/first").json == "hello"
    assert browser.get("/sub/last").text == "/sub|/last|GET"
    assert browser.post("/sub/first").text == "/sub|/first|POST"


def test_mounts_nest_and_come_with_a_router():
    """SCRIPT_NAME grows; a router's prefix stands before it."""
    app, middle, router = App(), App(), APIRouter(prefix="/router")
    middle.mount("/inner", show)
    router.mount("/middle", middle, name="middle")
    app.include_router(router, prefix="/app", tags=["x"])
    browser = client(app)

    assert browser.get("/app/router/middle/inner/x").text == "/app/router/middle/inner|/x|GET"
    assert browser.get("/app/router/middle/nothing").json == {"detail": "Not Found"}
    assert app.url_path_for("middle", path="x") == "/app/router/middle/x"


def test_a_mounted_app_answers_for_itself():
    """Its own handlers, not those of the app around it."""
    outer, inner = App(), App()
    outer.add_exception_handler(404, lambda request, exc: PlainTextResponse("outer"))

    @inner.get("/fail")
    def fail():
        raise HTTPException(404, "inner")

    outer.mount("/inner", inner)
    browser = client(outer)

    assert browser.get("/inner/fail").json == {"detail": "inner"}
    assert browser.get("/nowhere").text == "outer"


def test_a_mount_does_not_change_the_environ_of_its_caller():
    """What stands around the app sees the path as it came."""
    app = App()
    app.mount("/sub", show)
    environ = create_environ("/sub/x")

    run_wsgi_app(checked(app), environ, buffered=True)

    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("", "/sub/x")


def test_mounts_and_routes_can_be_told_apart():
    """`flat()` gives both, in order."""
    app = App()
    app.mount("/sub", show)
    app.get("/")(hello)

    assert [type(route) for route, _ in app.flat()] == [Mount, APIRoute]
