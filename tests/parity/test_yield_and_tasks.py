# ruff: noqa: I002 (annotations are looked up where they stand: in local names)
"""Dependencies with ``yield`` and background tasks, in FastAPI's order.

Our app is made with ``App(dependency_scope="tasks", after_task_error="stop")`` here.
"""

from contextlib import suppress
from typing import Annotated, Any

import pytest

from tests.parity.both import Ask, both

BEHAVIOURS = ["return", "http", "crash", "own", "response", "invalid", "teapot"]


SWALLOWED = ("FastAPIError", "UnboundLocalError")


class OwnError(Exception):
    """What a handler knows of."""


def resource(ns: Any, name: str, *, how: str = "raise", asynchronous: bool = False) -> Any:
    """A dependency that notes how it is entered and left.

    Args:
        ns: the framework.
        name: what it notes.
        how: what it does with an error: ``"raise"`` it again, ``"swallow"`` it, raise an
            ``"http"`` exception or a ``"crash"`` instead; ``"late"`` raises on success.
        asynchronous: whether it is ``async def``.
    """

    def left(error: BaseException) -> None:
        # Swallowed in function scope, an error becomes an UnboundLocalError in FastAPI.
        kind = "swallowed" if type(error).__name__ in SWALLOWED else type(error).__name__
        ns.calls.append([name, "failed", kind])
        if how == "raise":
            raise error
        if how == "http":
            raise ns.HTTPException(418, name)
        if how == "crash":
            raise KeyError(name)

    def plain() -> Any:
        ns.calls.append([name, "enter"])
        try:
            yield name
        except Exception as error:
            left(error)
        else:
            ns.calls.append([name, "success"])
            if how == "late":
                raise ns.HTTPException(503, name)
        finally:
            ns.calls.append([name, "leave"])

    async def awaited() -> Any:
        ns.calls.append([name, "enter"])
        try:
            yield name
        except Exception as error:
            left(error)
        else:
            ns.calls.append([name, "success"])
            if how == "late":
                raise ns.HTTPException(503, name)
        finally:
            ns.calls.append([name, "leave"])

    return awaited if asynchronous else plain


def behave(ns: Any, behaviour: str) -> Any:
    """What a handler does."""
    ns.calls.append("handler")
    if behaviour == "http":
        raise ns.HTTPException(404, "gone", headers={"X-Gone": "1"})
    if behaviour == "crash":
        raise ZeroDivisionError
    if behaviour == "own":
        raise OwnError
    if behaviour == "response":
        return ns.PlainTextResponse("text", status_code=202)
    if behaviour == "teapot":
        return ns.JSONResponse({"detail": "teapot"}, status_code=418)
    return {"behaviour": behaviour}


def handle_own(ns: Any, app: Any) -> None:
    """Answer `OwnError`."""

    @app.exception_handler(OwnError)
    def own(request: Any, exc: Any) -> Any:
        ns.calls.append("own handler")
        return ns.JSONResponse({"own": True}, status_code=409)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["def", "async def"])
@pytest.mark.parametrize("scope", [None, "function", "request"])
@pytest.mark.parametrize("how", ["raise", "http", "crash", "late"])
def test_exits_come_in_the_same_order_and_see_the_same_errors(
    how: str, scope: Any, asynchronous: bool
) -> None:
    """Last in, first out; what one raises, the next one sees."""

    def declare(ns: Any) -> Any:
        app = ns.App()
        handle_own(ns, app)
        first = resource(ns, "first", asynchronous=not asynchronous)
        second = resource(ns, "second", how=how, asynchronous=asynchronous)
        third = resource(ns, "third")

        @app.get("/{behaviour}", dependencies=[ns.Depends(first)])
        def read(
            behaviour: str,
            b: Annotated[str, ns.Depends(second, scope=scope)],
            c: Annotated[str, ns.Depends(third, scope=scope)],
            q: int = 0,
        ) -> Any:
            return behave(ns, behaviour)

        return app

    pair = both(declare)
    for behaviour in BEHAVIOURS:
        pair.get(f"/{behaviour}")
        pair.get(f"/{behaviour}?q=x")


@pytest.mark.parametrize("scope", [None, "function", "request"])
def test_a_swallowed_error_is_a_500(scope: Any) -> None:
    """There is no response to send (for function scope, FastAPI stumbles over that itself)."""

    def declare(ns: Any) -> Any:
        app = ns.App()
        handle_own(ns, app)
        swallow = resource(ns, "swallow", how="swallow")

        @app.get("/{behaviour}")
        def read(behaviour: str, b: Annotated[str, ns.Depends(swallow, scope=scope)]) -> Any:
            return behave(ns, behaviour)

        return app

    pair = both(declare)
    for behaviour in BEHAVIOURS:
        pair.get(f"/{behaviour}")


def test_dependencies_below_each_other_are_left_from_the_inside() -> None:
    """In whichever scope; entered once where shared."""

    def declare(ns: Any) -> Any:
        app = ns.App()
        base = resource(ns, "base")

        def middle(base: Annotated[str, ns.Depends(base)]) -> Any:
            ns.calls.append("enter middle")
            try:
                yield base + " middle"
            finally:
                ns.calls.append("leave middle")

        async def top(
            middle: Annotated[str, ns.Depends(middle)], base: Annotated[str, ns.Depends(base)]
        ) -> Any:
            ns.calls.append("enter top")
            try:
                yield middle + base
            finally:
                ns.calls.append("leave top")

        @app.get("/{behaviour}")
        async def read(
            behaviour: str,
            top: Annotated[str, ns.Depends(top, scope="function")],
            again: Annotated[str, ns.Depends(base, scope="function")],
            fresh: Annotated[str, ns.Depends(base, use_cache=False)],
            same: Annotated[str, ns.Depends(base)],
        ) -> Any:
            return [top, again, fresh, same, behave(ns, behaviour)]

        return app

    pair = both(declare)
    for behaviour in ("return", "http", "crash"):
        pair.get(f"/{behaviour}")


def test_what_goes_wrong_before_the_yield_leaves_the_others() -> None:
    """An exception on the way in is an error of the request."""

    def declare(ns: Any) -> Any:
        app = ns.App()
        first = resource(ns, "first")

        def failing(kind: str = "http") -> Any:
            ns.calls.append("failing")
            if kind == "http":
                raise ns.HTTPException(403, "no")
            if kind == "crash":
                raise KeyError(kind)
            if kind == "nothing":
                return
            yield kind
            if kind == "twice":
                with suppress(GeneratorExit):
                    yield kind

        @app.get("/")
        def read(
            a: Annotated[Any, ns.Depends(first)], b: Annotated[Any, ns.Depends(failing)]
        ) -> Any:
            return [a, b]

        return app

    pair = both(declare)
    for kind in ("http", "crash", "fine"):
        pair.get(f"/?kind={kind}")
    theirs, ours = pair.answers(Ask("GET", "/?kind=nothing"))
    assert (ours.status, len(ours.calls)) == (theirs.status, len(theirs.calls))


def test_a_dependency_may_answer_an_error_by_its_own_exception() -> None:
    """And an invalid request never reaches generators that need what is invalid."""

    def declare(ns: Any) -> Any:
        app = ns.App()
        outer = resource(ns, "outer", how="http")
        inner = resource(ns, "inner")

        def needy(q: int) -> Any:
            ns.calls.append("needy")
            yield q
            ns.calls.append("needy left")

        @app.get("/")
        def read(
            a: Annotated[Any, ns.Depends(outer)],
            b: Annotated[Any, ns.Depends(needy)],
            c: Annotated[Any, ns.Depends(inner)],
        ) -> Any:
            return [a, b, c]

        return app

    pair = both(declare)
    pair.get("/?q=1")
    pair.get("/?q=x")


# ------------------------------------------------------------------ tasks
@pytest.mark.parametrize("scope", [None, "function"])
def test_tasks_run_between_the_response_and_the_exits(scope: Any) -> None:
    """In the order in which they were added, wherever they were."""

    def declare(ns: Any) -> Any:
        app = ns.App()
        handle_own(ns, app)
        enter = resource(ns, "resource")

        def note(text: str, *, more: str = "") -> None:
            ns.calls.append(["task", text, more])

        async def note_later(text: str) -> None:
            ns.calls.append(["async task", text])

        def early(tasks: ns.BackgroundTasks) -> None:
            tasks.add_task(note, "early")

        def sub(tasks: ns.BackgroundTasks, q: int = 0) -> Any:
            tasks.add_task(note_later, "sub")
            return tasks

        class Adder:
            def __init__(
                self, tasks: ns.BackgroundTasks, sub: Annotated[Any, ns.Depends(sub)]
            ) -> None:
                tasks.add_task(note, "adder", more=str(sub is tasks))

        @app.get("/{behaviour}", dependencies=[ns.Depends(early)])
        def read(
            behaviour: str,
            background: ns.BackgroundTasks,
            adder: Annotated[Adder, ns.Depends()],
            resource: Annotated[str, ns.Depends(enter, scope=scope)],
            sub: Annotated[Any, ns.Depends(sub)],
        ) -> Any:
            background.add_task(note, "handler", more=resource)
            background.add_task(note_later, "handler")
            background.add_task(background.add_task, note, "from a task")
            return behave(ns, behaviour)

        return app

    pair = both(declare)
    for behaviour in BEHAVIOURS:
        pair.get(f"/{behaviour}")
        pair.get(f"/{behaviour}?q=x")


def test_a_failing_task_ends_the_pass() -> None:
    """With ``after_task_error="stop"``, as in FastAPI; the client has its answer."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        def note(text: str) -> None:
            ns.calls.append(text)

        def fail() -> None:
            ns.calls.append("fail")
            raise ValueError

        @app.get("/")
        def read(background: ns.BackgroundTasks) -> Any:
            background.add_task(note, "first")
            background.add_task(fail)
            background.add_task(note, "never")
            return {}

        return app

    assert both(declare).get("/").calls == ["first", "fail"]


def test_a_response_may_bring_its_own_tasks() -> None:
    """Of both frameworks' ways to say it, those that FastAPI does not lose."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        def note(text: str) -> None:
            ns.calls.append(text)

        @app.get("/")
        def read() -> Any:
            tasks = ns.BackgroundTasks()
            tasks.add_task(note, "one")
            tasks.add_task(note, "two")
            return ns.JSONResponse({"a": 1}, background=tasks)

        @app.get("/injected")
        def injected(background: ns.BackgroundTasks) -> Any:
            background.add_task(note, "injected")
            return ns.HTMLResponse("<p>", status_code=201)

        @app.exception_handler(OwnError)
        def own(request: Any, exc: Any) -> Any:
            tasks = ns.BackgroundTasks()
            tasks.add_task(note, "of the handler of errors")
            return ns.PlainTextResponse("own", background=tasks)

        @app.get("/error")
        def error() -> Any:
            raise OwnError

        return app

    pair = both(declare)
    for path in ("/", "/injected", "/error"):
        assert pair.get(path).calls


def test_the_status_of_a_returned_response_does_not_matter_to_tasks() -> None:
    """A returned 500, a redirect, a 204 and HEAD all run them."""

    def declare(ns: Any) -> Any:
        app = ns.App()

        @app.api_route("/{code}", methods=["GET", "HEAD"])
        def read(code: int, background: ns.BackgroundTasks) -> Any:
            background.add_task(ns.calls.append, code)
            if code == 307:
                return ns.RedirectResponse("/elsewhere")
            return ns.Response(b"" if code == 204 else b"x", status_code=code)

        return app

    pair = both(declare)
    for code in (200, 500, 404, 307):
        assert pair.get(f"/{code}").calls == [code]
        assert pair.request("HEAD", f"/{code}").calls == [code]
    assert pair.get("/204").calls == [204]
