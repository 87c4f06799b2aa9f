"""Dependencies: their order, what is shared, scopes, overrides, and their errors."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from tests.support import client
from wsgibg import (
    App,
    BackgroundTasks,
    Depends,
    Header,
    HTTPException,
    Query,
    Request,
    Response,
    Security,
)
from wsgibg._paths import PathPattern
from wsgibg._plan import make_plan
from wsgibg._steps import Call, Read, Recall
from wsgibg.exceptions import DependencyScopeError, RegistrationError
from wsgibg.params import SecurityScopes


class Item(BaseModel):
    name: str


def plan_of(handler, *path_names, **options):
    path = "".join(f"/{{{name}}}" for name in path_names)
    return make_plan(handler, pattern=PathPattern.parse(path), **options)


def steps_of(handler, *path_names, **options):
    """One word for each step, in order."""
    plan = plan_of(handler, *path_names, **options)
    words = []
    for step in plan.steps:
        if isinstance(step, Read):
            words.append(f"{step.location} {step.field.name}")
        elif isinstance(step, Call):
            words.append(f"call {step.func.__name__}")
        else:
            words.append(type(step).__name__)
    return words


def ask(app, target="/", **request):
    return client(app).get(target, **request)


# --- order ---------------------------------------------------------------------------------


def leaf(q: int = 1):
    return q


def middle(h: Annotated[str, Header()] = "", below: int = Depends(leaf)):
    return below


def test_dependencies_come_before_the_values_of_their_caller():
    """Depth first; then path, query, header, cookie, body; then the request's own objects."""

    def handler(
        request: Request,
        item: Item,
        h: Annotated[str, Header()],
        q: int,
        item_id: int,
        below: int = Depends(middle),
    ):
        pass

    assert steps_of(handler, "item_id") == [
        "query q",
        "call leaf",
        "header h",
        "call middle",
        "path item_id",
        "query q",
        "header h",
        "body item",
        "Give",
        "call handler",
    ]


def test_dependencies_without_a_parameter_come_first():
    """Those of app, router and decorator, in order."""

    def other():
        pass

    def handler(below: int = Depends(leaf)):
        pass

    steps = steps_of(handler, dependencies=[Depends(other), Depends(middle)])

    assert steps[0] == "call other"
    assert steps[1:5] == ["query q", "call leaf", "header h", "call middle"]
    assert steps[5:] == ["Recall", "call handler"]


def test_a_plan_can_be_asked():
    """For its handler, its calls, what it reads and whether it waits."""

    async def handler(item_id: int, q: str = "", below: int = Depends(leaf)):
        pass

    plan = plan_of(handler, "item_id")

    assert plan.handler.func is handler
    assert [call.func for call in plan.calls()] == [leaf, handler]
    assert [read.field.name for read in plan.reads("query")] == ["q", "q"]
    assert (plan.asynchronous, plan.hops, plan.embed) == (True, False, False)
    assert plan.path_names == ("item_id",)


def test_a_step_that_may_suspend_makes_the_route_hop():
    """One `await` is enough."""

    async def other():
        pass

    async def handler():
        await other()

    assert plan_of(handler).hops
    assert not plan_of(other).hops


# --- sharing -------------------------------------------------------------------------------


def test_a_dependency_is_called_once_in_a_request():
    """However often it is used."""
    calls = []

    def shared():
        calls.append(1)
        return len(calls)

    def first(value: int = Depends(shared)):
        return value

    def second(value: int = Depends(shared)):
        return value

    app = App(dependencies=[Depends(shared)])

    @app.get("/")
    def handler(a: int = Depends(first), b: int = Depends(second), c: int = Depends(shared)):
        return [a, b, c]

    browser = client(app)

    assert browser.get("/").json == [1, 1, 1]
    assert browser.get("/").json == [2, 2, 2]


def test_use_cache_false_is_called_for_each_use():
    """And leaves the shared value to the others."""
    calls = []

    def counted():
        calls.append(1)
        return len(calls)

    app = App()

    @app.get("/")
    def handler(
        a: int = Depends(counted),
        b: int = Depends(counted, use_cache=False),
        c: int = Depends(counted),
        d: int = Depends(counted, use_cache=False),
    ):
        return [a, b, c, d]

    assert ask(app).json == [1, 2, 1, 3]


def test_an_uncached_leaf_of_a_shared_dependency_is_called_again():
    """FastAPI's rule: what is below is resolved before the cache is looked at."""
    calls = []

    def counted():
        calls.append("leaf")

    def shared(value: None = Depends(counted, use_cache=False)):
        calls.append("shared")

    app = App()

    @app.get("/")
    def handler(a: None = Depends(shared), b: None = Depends(shared)):
        return calls

    assert ask(app).json == ["leaf", "shared", "leaf"]


def test_a_shared_value_takes_no_second_step():
    """A `Recall` only remembers whose errors to tell."""

    def handler(a: int = Depends(leaf), b: int = Depends(leaf)):
        pass

    plan = plan_of(handler)

    assert [type(step) for step in plan.steps] == [Read, Call, Recall, Call]
    assert plan.steps[2] == Recall(slot=plan.steps[1].slot, reads=(0,))
    assert plan.handler.arguments == ((None, 1), (None, 1))


def test_what_cannot_be_hashed_is_known_by_its_identity():
    """A callable object may be a dependency although it compares by value."""
    calls = []

    class Checker:
        __hash__ = None

        def __eq__(self, other):
            return isinstance(other, Checker)

        def __call__(self):
            calls.append(self)

    first, second = Checker(), Checker()
    app = App()

    @app.get("/")
    def handler(a: None = Depends(first), b: None = Depends(first), c: None = Depends(second)):
        return len(calls)

    assert ask(app).json == 2


def test_methods_are_shared_by_their_object():
    """Two looks at one bound method are one dependency."""

    class Service:
        calls = 0

        def get(self):
            self.calls += 1
            return self.calls

    service = Service()
    app = App()

    @app.get("/")
    def handler(a: int = Depends(service.get), b: int = Depends(service.get)):
        return [a, b]

    assert ask(app).json == [1, 1]


# --- errors --------------------------------------------------------------------------------


def places(answer):
    assert answer.status_code == 422
    return [error["loc"] for error in answer.json["detail"]]


def test_every_error_is_collected_in_order():
    """Those of dependencies come first, as they are read first."""
    app = App()

    @app.get("/{item_id}")
    def handler(item_id: int, q: int, below: int = Depends(middle), h: int = Header()):
        pytest.fail("not to be called")

    assert places(ask(app, "/x?q=y")) == [
        ["query", "q"],
        ["path", "item_id"],
        ["query", "q"],
        ["header", "h"],
    ]


def test_an_error_of_a_shared_dependency_is_told_for_each_use():
    """FastAPI does so too."""
    app = App()

    def other(below: int = Depends(leaf)):
        pytest.fail("not to be called")

    @app.get("/")
    def handler(a: int = Depends(leaf), b: int = Depends(leaf), c: int = Depends(other)):
        pytest.fail("not to be called")

    assert places(ask(app, "/?q=x")) == [["query", "q"]] * 3


def test_what_does_not_need_a_wrong_value_is_called_all_the_same():
    """A dependency's own refusal wins over a 422 that would come later."""
    app = App()

    def user():
        raise HTTPException(401, "who are you?")

    @app.get("/")
    def handler(q: int = Depends(leaf), user: str = Depends(user)):
        pytest.fail("not to be called")

    assert ask(app, "/?q=x").status_code == 401


def test_no_call_runs_twice_when_a_later_value_is_wrong():
    """What was called before the wrong value keeps its result."""
    calls = []

    def counted(q: int):
        calls.append(q)
        return q

    def after(first: int = Depends(counted)):
        calls.append("after")

    app = App(dependencies=[Depends(counted)])

    @app.get("/")
    def handler(
        limit: int = Depends(leaf, use_cache=False),
        late: None = Depends(after),
        wrong: Annotated[int, Header()] = 0,
    ):
        pytest.fail("not to be called")

    assert places(ask(app, "/?q=3", headers={"Wrong": "x"})) == [["header", "wrong"]]
    assert calls == [3, "after"]


# --- scopes of yield dependencies ----------------------------------------------------------


def scoped(calls, name, **options):
    def dependency():
        calls.append(f"enter {name}")
        yield name
        calls.append(f"leave {name}")

    return Depends(dependency, **options)


def test_yield_dependencies_are_left_in_the_reverse_order():
    """Those of the function before the response, the request's before the tasks, then the rest."""
    calls = []
    app = App()

    def answer(tasks: BackgroundTasks):
        tasks.add_task(calls.append, "task")
        calls.append("handler")
        return "done"

    app.get(
        "/",
        dependencies=[
            scoped(calls, "tasks", scope="tasks"),
            scoped(calls, "request", scope="request"),
            scoped(calls, "second"),
            scoped(calls, "function", scope="function"),
        ],
    )(answer)

    def noting(environ, start_response):
        def start(status, headers, exc_info=None):
            calls.append("start")
            return start_response(status, headers, exc_info)

        return app(environ, start)

    ask(noting)

    assert calls == [
        "enter tasks",
        "enter request",
        "enter second",
        "enter function",
        "handler",
        "leave function",
        "start",
        "leave second",
        "leave request",
        "task",
        "leave tasks",
    ]


def test_dependency_scope_tasks_is_fastapi_s_order():
    """What says no scope is then left after the tasks."""
    calls = []
    app = App(dependency_scope="tasks", dependencies=[scoped(calls, "a")])

    @app.get("/")
    def handler(tasks: BackgroundTasks):
        tasks.add_task(calls.append, "task")

    ask(app)

    assert calls == ["enter a", "task", "leave a"]


def test_what_lives_longer_cannot_depend_on_what_lives_shorter():
    """The message names both, their scopes and the remedy."""

    def short():
        yield

    def long(value: Any = Depends(short, scope="function")):
        yield

    def handler(value: Any = Depends(long, scope="request")):
        pass

    with pytest.raises(
        DependencyScopeError,
        match=(
            r"test_plan\.py:\d+ handler\(\) via long: long\(\) has the scope 'request' and depends"
            r" on short\(\) with the scope 'function', which is left earlier\. Give both the same"
        ),
    ):
        App().get("/")(handler)


def test_a_scope_that_lives_longer_may_be_depended_on():
    """The other way round there is no harm."""
    calls = []

    def long():
        yield calls.append("enter")
        calls.append("leave")

    def short(value: Any = Depends(long, scope="request")):
        yield

    app = App()

    @app.get("/")
    def handler(value: Any = Depends(short, scope="function")):
        return None

    ask(app)

    assert calls == ["enter", "leave"]


def test_one_dependency_in_two_scopes_is_two():
    """Each is left at its own time."""
    calls = []

    def resource():
        calls.append("enter")
        yield len(calls)
        calls.append("leave")

    app = App()

    @app.get("/")
    def handler(
        a: int = Depends(resource, scope="function"), b: int = Depends(resource, scope="request")
    ):
        return [a, b]

    assert ask(app).json == [1, 2]
    assert calls == ["enter", "enter", "leave", "leave"]


# --- security scopes -----------------------------------------------------------------------


def user(scopes: SecurityScopes):
    return scopes.scopes


def test_scopes_are_gathered_on_the_way_down():
    """Each dependency sees those that are required of it, outermost first."""
    app = App()

    def active(user: list[str] = Security(user, scopes=["user"])):
        return user

    @app.get("/")
    def handler(
        a: list[str] = Security(active, scopes=["items", "user"]),
        b: list[str] = Security(user, scopes=["b"]),
        c: list[str] = Depends(user),
    ):
        return [a, b, c]

    assert ask(app).json == [["items", "user"], ["b"], []]


def test_other_scopes_are_another_call():
    """The same scopes share one."""
    calls = []
    app = App()

    def counted(scopes: SecurityScopes):
        calls.append(scopes.scope_str)

    @app.get("/")
    def handler(
        a: None = Security(counted, scopes=["x", "y"]),
        b: None = Security(counted, scopes=["y", "x"]),
        c: None = Security(counted, scopes=["x"]),
    ):
        return calls

    assert ask(app).json == ["x y", "x"]


def test_scopes_do_not_part_what_does_not_look_at_them():
    """Only dependencies that use scopes, or lead to one that does, are told apart."""
    calls = []
    app = App()

    def plain():
        calls.append("plain")

    def first(value: None = Depends(plain), user: list[str] = Depends(user)):
        return user

    def second(value: None = Depends(plain), user: list[str] = Depends(user)):
        return user

    @app.get("/")
    def handler(
        a: list[str] = Security(first, scopes=["x"]),
        b: list[str] = Security(second, scopes=["y"]),
    ):
        return [a, b, calls]

    assert ask(app).json == [["x"], ["y"], ["plain"]]


def test_scopes_further_down_part_a_dependency_too():
    """What leads to a `Security` with scopes is called for each of its own."""
    calls = []
    app = App()

    def plain():
        calls.append("plain")

    def leading(
        a: None = Depends(plain), b: None = Depends(plain), c: None = Security(plain, scopes=["z"])
    ):
        calls.append("leading")

    def first(value: None = Depends(leading)):
        pass

    def second(value: None = Depends(leading)):
        pass

    def neither(a: None = Depends(plain), b: None = Depends(plain)):
        pass

    @app.get("/")
    def handler(
        a: None = Security(first, scopes=["x"]),
        b: None = Security(second, scopes=["y"]),
        c: None = Depends(neither),
    ):
        return calls

    assert ask(app).json.count("leading") == 2


def test_a_security_scheme_is_told_apart_by_scopes():
    """It is known by its `scheme_name`, as FastAPI's are."""

    class Scheme:
        scheme_name = "token"
        calls = 0

        def __call__(self):
            self.calls += 1
            return self.calls

    scheme = Scheme()
    app = App()

    def first(value: int = Depends(scheme)):
        return value

    def second(value: int = Depends(scheme)):
        return value

    @app.get("/")
    def handler(a: int = Security(first, scopes=["x"]), b: int = Security(second, scopes=["y"])):
        return [a, b]

    assert ask(app).json == [1, 2]


def test_dependencies_in_a_circle_are_refused():
    """Two functions that depend on each other would never end."""

    def first(value: Any = None):
        pass

    def second(value: Any = Depends(first)):
        pass

    first.__defaults__ = (Depends(second),)

    with pytest.raises(
        RegistrationError, match=r"first\(\) via second -> first: it depends on itself"
    ):
        App().get("/")(first)


# --- given objects -------------------------------------------------------------------------


class Tasks(BackgroundTasks):
    """A collector of one's own."""


def test_objects_are_the_same_everywhere_in_a_request():
    """One request, one response, one collector."""
    app = App()

    def below(request: Request, response: Response, tasks: BackgroundTasks):
        return [request, response, tasks]

    @app.get("/")
    def handler(
        request: Request,
        response: Response,
        tasks: BackgroundTasks,
        again: BackgroundTasks | None = None,
        below: list = Depends(below),
    ):
        return [
            below[0] is request,
            below[1] is response,
            below[2] is tasks,
            again is tasks,
        ]

    assert ask(app).json == [True] * 4


def test_a_subclass_of_the_collector_is_built():
    """The annotation says which."""
    app = App()

    @app.get("/")
    def handler(tasks: Tasks):
        return type(tasks).__name__

    assert ask(app).json == "Tasks"


def test_a_collector_that_a_dependency_made_is_adopted():
    """Its tasks run with the request's, whatever the annotation of the parameter says."""
    ran = []
    app = App()

    def made() -> BackgroundTasks:
        tasks = BackgroundTasks()
        tasks.add_task(ran.append, "made")
        return tasks

    @app.get("/")
    def handler(own: BackgroundTasks, tasks: BackgroundTasks = Depends(made)):
        own.add_task(ran.append, "own")

    ask(app)

    assert sorted(ran) == ["made", "own"]


# --- positions -----------------------------------------------------------------------------


def test_arguments_are_passed_by_position_where_that_is_the_same():
    """And by name where it is not: after keyword-only, in partials and methods."""

    def handler(a: int, b: int = 2, *, c: int = 3):
        pass

    names = [name for name, _ in plan_of(handler).handler.arguments]

    assert names == [None, None, "c"]


def test_positional_only_parameters_are_filled():
    """Python's `/` in a handler."""
    app = App()

    @app.get("/")
    def handler(a: int, /, b: int):
        return [a, b]

    assert ask(app, "/?a=1&b=2").json == [1, 2]


def test_several_body_values_are_keys():
    """One is the body itself, unless it says `embed`."""

    def one(item: Item, q: Annotated[str, Query()] = ""):
        pass

    def two(item: Item, other: Item):
        pass

    assert not plan_of(one).embed
    assert plan_of(two).embed
