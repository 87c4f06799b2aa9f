# ruff: noqa: I002 (annotations are looked up where they stand: in local names)
"""Dependencies, compared with FastAPI's: what is called, how often, in which order, with what."""

import functools
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from tests.parity.both import both, refused_by_both


class Item(BaseModel):
    """A body."""

    name: str


def test_functions_classes_and_objects_are_called() -> None:
    """Whatever can be called, sync or async, plain or partial, bound or decorated."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        def plain(q: int = 1) -> Any:
            return ["plain", q]

        async def asynchronous(q: int = 1) -> Any:
            return ["async", q]

        class Page:
            def __init__(self, q: int = 1, size: int = 10) -> None:
                self.text = f"page {q} of {size}"

        class Adder:
            def __init__(self, base: int) -> None:
                self.base = base

            def __call__(self, q: int = 1) -> Any:
                return self.base + q

            async def later(self, q: int = 1) -> Any:
                return self.base * q

            @classmethod
            def made(cls, q: int = 1) -> Any:
                return [cls.__name__, q]

            @staticmethod
            def static(q: int = 1) -> Any:
                return ["static", q]

        class Awaited:
            async def __call__(self, q: int = 1) -> Any:
                return ["awaited", q]

        def decorated(func: Any) -> Any:
            @functools.wraps(func)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                return ["decorated", func(*args, **kwargs)]

            return wrapper

        def two(q: int, r: str) -> Any:
            return [q, r]

        def keywords(*, q: int = 1) -> Any:
            return ["keywords", q]

        def positional(q: int = 1, /) -> Any:
            return ["positional", q]

        adder = Adder(100)
        kinds = {
            "plain": plain,
            "async": asynchronous,
            "object": adder,
            "awaited": Awaited(),
            "method": adder.later,
            "classmethod": Adder.made,
            "static": Adder.static,
            "decorated": decorated(plain),
            "partial": functools.partial(two, r="r"),
            "async partial": functools.partial(asynchronous),
            "lambda": lambda q=1: ["lambda", q],
            "keywords": keywords,
            "str": str,
        }
        del positional  # FastAPI passes every argument by name

        def add(name: str, kind: Any) -> None:
            @app.get(f"/{name}")
            def read(value: Annotated[Any, ns.Depends(kind)]) -> Any:
                return value

        for name, kind in kinds.items():
            if name != "str":
                add(name, kind)

        @app.get("/class")
        def by_class(page: Page = ns.Depends()) -> Any:
            return page.text

        @app.get("/annotated")
        def annotated(page: Annotated[Page, ns.Depends()]) -> Any:
            return page.text

        return app

    pair = both(declare)
    names = ["plain", "async", "object", "awaited", "method", "classmethod", "static", "decorated"]
    for name in [*names, "partial", "async%20partial", "lambda", "keywords", "class", "annotated"]:
        for query in ("", "?q=3", "?q=x", "?q=3&r=s", "?size=x"):
            pair.get(f"/{name}{query}")


def test_a_shared_dependency_is_called_once_and_an_uncached_one_each_time() -> None:
    """Also below others, and above cached ones that are not called again."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        def leaf(q: int = 0) -> Any:
            ns.calls.append("leaf")
            return len(ns.calls)

        def branch(leaf_: Annotated[int, ns.Depends(leaf)]) -> Any:
            ns.calls.append("branch")
            return leaf_

        def fresh(leaf_: Annotated[int, ns.Depends(leaf, use_cache=False)]) -> Any:
            ns.calls.append("fresh")
            return leaf_

        @app.get("/cached")
        def cached(
            a: Annotated[int, ns.Depends(branch)],
            b: Annotated[int, ns.Depends(leaf)],
            c: Annotated[int, ns.Depends(branch)],
        ) -> Any:
            return [a, b, c]

        @app.get("/uncached")
        def uncached(
            a: Annotated[int, ns.Depends(leaf, use_cache=False)],
            b: Annotated[int, ns.Depends(leaf)],
            c: Annotated[int, ns.Depends(leaf, use_cache=False)],
            d: Annotated[int, ns.Depends(leaf)],
        ) -> Any:
            return [a, b, c, d]

        @app.get("/below")
        def below(
            a: Annotated[int, ns.Depends(fresh)],
            b: Annotated[int, ns.Depends(fresh)],
            c: Annotated[int, ns.Depends(fresh, use_cache=False)],
            d: Annotated[int, ns.Depends(leaf)],
        ) -> Any:
            return [a, b, c, d]

        return app

    pair = both(declare)
    for path in ("/cached", "/uncached", "/below"):
        assert pair.get(path).status == 200
        pair.get(f"{path}?q=x")


def test_the_errors_of_a_shared_dependency_are_told_once_per_use() -> None:
    """Its siblings still run; what depends on it does not."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        def leaf(q: int, r: int) -> Any:
            ns.calls.append("leaf")
            return q + r

        def branch(leaf_: Annotated[int, ns.Depends(leaf)], s: int) -> Any:
            ns.calls.append("branch")
            return leaf_ + s

        def sibling(t: int = 0) -> Any:
            ns.calls.append("sibling")
            return t

        @app.get("/")
        def read(
            a: Annotated[int, ns.Depends(leaf)],
            b: Annotated[int, ns.Depends(branch)],
            c: Annotated[int, ns.Depends(sibling)],
            d: Annotated[int, ns.Depends(branch)],
            e: Annotated[int, ns.Depends(leaf, use_cache=False)],
            u: int = 0,
        ) -> Any:
            ns.calls.append("handler")
            return [a, b, c, d, e, u]

        return app

    pair = both(declare)
    for query in ("q=1&r=2&s=3", "q=1", "q=x&r=y&s=z", "q=1&r=2", "q=1&r=2&s=3&t=x", "u=x", ""):
        pair.get(f"/?{query}")


def test_dependencies_of_app_router_inclusion_and_decorator_come_in_this_order() -> None:
    """Outer ones first, each once where it is shared, before the handler's own."""

    def declare(ns: Any) -> Any:
        def noted(name: str) -> Any:
            def dependency(q: int = 0) -> None:
                ns.calls.append([name, q])

            return ns.Depends(dependency)

        shared = noted("shared")
        app = ns.App(dependencies=[noted("app"), shared])
        inner = ns.APIRouter(prefix="/inner", dependencies=[noted("inner")])
        router = ns.APIRouter(dependencies=[noted("router"), shared])

        @inner.get("/", dependencies=[noted("decorator"), noted("second")])
        def read(own: Annotated[None, noted("own")], again: Annotated[None, shared]) -> Any:
            ns.calls.append("handler")
            return {}

        router.include_router(inner, dependencies=[noted("inner inclusion")])
        app.include_router(router, prefix="/outer", dependencies=[noted("inclusion")])

        @app.get("/own", dependencies=[noted("decorator")])
        def own() -> Any:
            return {}

        return app

    pair = both(declare)
    assert len(pair.get("/outer/inner/").calls) == 10
    pair.get("/outer/inner/?q=x")
    pair.get("/own")
    pair.get("/own?q=x")


def test_a_401_of_a_dependency_wins_over_a_422_that_would_come_later() -> None:
    """Calls and reads go on in order; the first error that is raised ends them."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        def user(token: Annotated[str, ns.Header()] = "") -> str:
            ns.calls.append("user")
            if token == "crash":
                raise ValueError(token)
            if token != "good":
                raise ns.HTTPException(401, "who are you?", headers={"WWW-Authenticate": "Bearer"})
            return token

        def page(q: int) -> int:
            ns.calls.append("page")
            return q

        @app.post("/first")
        def first(
            user: Annotated[str, ns.Depends(user)],
            page: Annotated[int, ns.Depends(page)],
            item: Item,
        ) -> Any:
            return [user, page, item]

        @app.post("/last")
        def last(
            item: Item,
            page: Annotated[int, ns.Depends(page)],
            user: Annotated[str, ns.Depends(user)],
        ) -> Any:
            return [user, page, item]

        @app.post("/decorated/{number}", dependencies=[ns.Depends(user)])
        def decorated(number: int, item: Item) -> Any:
            return [number, item]

        @app.post("/below")
        def below(
            item: Item, x: Annotated[Any, ns.Depends(lambda user=ns.Depends(user): user)]
        ) -> Any:
            return [item, x]

        return app

    pair = both(declare)
    json = {"Content-Type": "application/json"}
    for path in ("/first", "/last", "/decorated/1", "/decorated/x", "/below"):
        for query in ("", "?q=1", "?q=x"):
            for token in ("good", "bad", "crash"):
                for content in (b'{"name": "n"}', b"{}", b"{", b"", b"[]"):
                    headers = {**json, "Token": token}
                    pair.post(path + query, headers, content=content)


def test_request_response_and_scopes_are_given_by_type() -> None:
    """In handlers and dependencies, whatever the parameter is called."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        def dependency(incoming: ns.Request, outgoing: ns.Response) -> Any:
            outgoing.headers["X-Dependency"] = incoming.headers.get("x-in", "none")
            outgoing.set_cookie("seen", "yes", httponly=True)
            return incoming.url.path

        @app.get("/{name}")
        def read(
            a: ns.Request,
            name: str,
            b: ns.Response,
            path: Annotated[str, ns.Depends(dependency)],
        ) -> Any:
            b.status_code = 299
            b.headers["x-handler"] = a.query_params.get("q", "none")
            return [path, a.path_params, a.method, str(a.url), a.headers.get("x-in")]

        return app

    pair = both(declare)
    pair.get("/me?q=1", {"X-In": "in"})
    pair.get("/you")


def test_scopes_are_gathered_from_outside_inwards() -> None:
    """And other scopes are another call."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        def leaf(scopes: ns.SecurityScopes) -> Any:
            ns.calls.append(["leaf", *scopes.scopes])
            return [scopes.scopes, scopes.scope_str]

        def middle(
            leaf_: Annotated[Any, ns.Security(leaf, scopes=["middle", "outer"])],
            scopes: ns.SecurityScopes,
        ) -> Any:
            ns.calls.append(["middle", *scopes.scopes])
            return [leaf_, scopes.scopes]

        def careless(leaf_: Annotated[Any, ns.Depends(leaf)]) -> Any:
            ns.calls.append("careless")
            return leaf_

        def plain() -> Any:
            ns.calls.append("plain")
            return "plain"

        @app.get("/")
        def read(
            a: Annotated[Any, ns.Security(middle, scopes=["outer"])],
            b: Annotated[Any, ns.Security(middle, scopes=["other"])],
            c: Annotated[Any, ns.Security(middle, scopes=["outer"])],
            d: Annotated[Any, ns.Depends(middle)],
            e: Annotated[Any, ns.Security(leaf, scopes=["middle", "outer"])],
            f: Annotated[Any, ns.Security(leaf, scopes=["outer", "middle"])],
            g: Annotated[Any, ns.Security(leaf)],
            h: Annotated[Any, ns.Security(plain, scopes=["x"])],
            i: Annotated[Any, ns.Security(plain, scopes=["y"])],
            j: Annotated[Any, ns.Depends(plain)],
            k: Annotated[Any, ns.Security(careless, scopes=["z", "z"])],
            m: Annotated[Any, ns.Depends(careless)],
            own: ns.SecurityScopes,
        ) -> Any:
            return [a, b, c, d, e, f, g, h, i, j, k, m, own.scopes]

        router = ns.APIRouter(dependencies=[ns.Security(middle, scopes=["router"])])

        @router.get("/router", dependencies=[ns.Security(leaf, scopes=["decorator"])])
        def routed(a: Annotated[Any, ns.Depends(middle)]) -> Any:
            return a

        app.include_router(router, dependencies=[ns.Security(careless, scopes=["inclusion"])])
        return app

    pair = both(declare)
    pair.get("/")
    pair.get("/router")


def test_overrides_replace_dependencies_until_they_are_taken_back() -> None:
    """They may ask for parameters and dependencies of their own."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        def leaf(q: int = 0) -> Any:
            ns.calls.append("leaf")
            return ["leaf", q]

        def branch(leaf_: Annotated[Any, ns.Depends(leaf)]) -> Any:
            ns.calls.append("branch")
            return ["branch", leaf_]

        def generator() -> Any:
            ns.calls.append("enter")
            yield "generated"
            ns.calls.append("exit")

        def other(p: int, leaf_: Annotated[Any, ns.Depends(leaf)]) -> Any:
            ns.calls.append("other")
            return ["other", p, leaf_]

        def fake(r: str = "r") -> Any:
            ns.calls.append("fake")
            return ["fake", r]

        async def fake_generator(scopes: ns.SecurityScopes) -> Any:
            ns.calls.append("fake enter")
            yield ["fake", scopes.scopes]
            ns.calls.append("fake exit")

        @app.get("/")
        def read(
            a: Annotated[Any, ns.Depends(branch)],
            b: Annotated[Any, ns.Depends(leaf)],
            c: Annotated[Any, ns.Security(generator, scopes=["s"])],
        ) -> Any:
            return [a, b, c]

        ns.app = app
        ns.all = {"leaf": leaf, "branch": branch, "generator": generator}
        ns.fakes = {"other": other, "fake": fake, "generator": fake_generator}
        return app

    pair = both(declare)
    changes: list[dict[str, str]] = [
        {},
        {"leaf": "fake"},
        {"branch": "other"},
        {"branch": "other", "leaf": "fake"},
        {"generator": "fake"},
        {"generator": "generator", "leaf": "fake"},
        {},
    ]
    for change in changes:
        for ns in (pair.their_names, pair.our_names):
            ns.app.dependency_overrides = {
                ns.all[old]: ns.fakes[new] for old, new in change.items()
            }
        for query in ("", "?p=1", "?p=x&q=y", "?p=1&q=2&r=3"):
            pair.get(f"/{query}")


def test_an_override_of_a_callable_that_no_one_uses_changes_nothing() -> None:
    """And ``clear`` brings the originals back."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        def own() -> str:
            return "own"

        @app.get("/")
        def read(a: Annotated[Any, ns.Depends(own)]) -> Any:
            return a

        app.dependency_overrides[int] = lambda: "int"
        app.dependency_overrides[own] = lambda: "other"
        ns.app = app
        return app

    pair = both(declare)
    assert pair.get("/").json() == "other"
    for ns in (pair.their_names, pair.our_names):
        ns.app.dependency_overrides.clear()
    assert pair.get("/").json() == "own"


def test_a_dependency_in_the_place_of_a_request_object_counts() -> None:
    """``Annotated[Response, Depends(f)]`` is what ``f`` returns."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        def make() -> Any:
            return ns.PlainTextResponse("made", headers={"X-Made": "1"})

        @app.get("/")
        def read(response: Annotated[ns.Response, ns.Depends(make)]) -> Any:
            return response

        return app

    both(declare).get("/")


WRONG: dict[str, Any] = {
    "a request-scoped generator on a function-scoped one": ("request", "function", True),
    "the default on a function-scoped one": (None, "function", True),
    "function on request": ("function", "request", False),
    "both of function scope": ("function", "function", False),
    "both of request scope": ("request", None, False),
}


@pytest.mark.parametrize("plain", [False, True], ids=["generator", "plain"])
@pytest.mark.parametrize(("outer", "inner", "refused"), WRONG.values(), ids=WRONG)
def test_a_generator_cannot_depend_on_what_is_left_earlier(
    outer: Any, inner: Any, refused: bool, plain: bool
) -> None:
    """It is refused at registration, but only where the outer one is a generator."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        def below() -> Any:
            ns.calls.append("enter below")
            yield "below"
            ns.calls.append("leave below")

        def generator(value: Annotated[Any, ns.Depends(below, scope=inner)]) -> Any:
            ns.calls.append("enter")
            yield value
            ns.calls.append("leave")

        def function(value: Annotated[Any, ns.Depends(below, scope=inner)]) -> Any:
            return value

        @app.get("/")
        def read(value: Any = ns.Depends(function if plain else generator, scope=outer)) -> Any:
            return value

        return app

    if refused and not plain:
        assert "scope" in refused_by_both(declare)
    else:
        both(declare).get("/")
