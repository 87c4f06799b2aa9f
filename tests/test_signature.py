# ruff: noqa: UP037, UP045 (older ways of writing annotations are tested as well)
"""What a callable declares, and what is said of a declaration that cannot work."""

from __future__ import annotations

import functools
import re
import sys
import types
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated, Any, Literal, Optional

import pytest
from annotated_types import Ge
from pydantic import BaseModel, Json
from pydantic import Field as PydanticField
from typing_extensions import TypeAliasType

from tests.support import client
from wsgibg import (
    App,
    BackgroundTask,
    BackgroundTasks,
    Body,
    Cookie,
    Depends,
    Header,
    Path,
    Query,
    Request,
    Response,
)
from wsgibg._annotations import (
    is_json,
    is_scalar,
    is_scalar_sequence,
    is_sequence,
    is_upload,
    optional_class,
    unalias,
    unannotated,
)
from wsgibg._signature import context_of, kind_of, place_of, read_signature, return_annotation
from wsgibg.datastructures import UploadFile
from wsgibg.exceptions import RegistrationError


class Item(BaseModel):
    name: str


@dataclass
class Point:
    x: int


class Unknown:
    """A class that pydantic knows nothing about."""


class MyRequest(Request):
    """A user's own request class."""


# --- kinds ---------------------------------------------------------------------------------


def plain():
    return 1


async def coroutine():
    return 1


def generator():
    yield 1


async def asynchronous_generator():
    yield 1


FUNCTIONS = {
    "call": plain,
    "coroutine": coroutine,
    "generator": generator,
    "async_generator": asynchronous_generator,
}
EACH_KIND = pytest.mark.parametrize(("kind", "func"), FUNCTIONS.items(), ids=FUNCTIONS)


def wrapped(func):
    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        return func(*args, **kwargs)

    return wrapper


def made_callable(func):
    """An object whose `__call__` is the function."""
    return type("Callable", (), {"__call__": staticmethod(func)})()


def method_of(func):
    """A bound method; nobody calls it."""
    return types.MethodType(func, object())


@EACH_KIND
@pytest.mark.parametrize(
    "disguise",
    [
        lambda func: func,
        functools.partial,
        lambda func: functools.partial(functools.partial(func)),
        wrapped,
        lambda func: wrapped(functools.partial(func)),
        made_callable,
        lambda func: functools.partial(made_callable(func)),
        lambda func: made_callable(wrapped(func)),
        lambda func: made_callable(functools.partial(func)),
        method_of,
    ],
    ids=[
        "itself",
        "partial",
        "partial of partial",
        "wrapped",
        "wrapped partial",
        "callable object",
        "partial of an object",
        "object with a wrapped call",
        "object with a partial as call",
        "method",
    ],
)
def test_a_callable_is_what_it_leads_to(kind, func, disguise):
    """However it is wrapped, it is called as the function inside needs it."""
    assert kind_of(disguise(func)) == kind


def test_a_class_is_a_plain_call():
    """Even where its instances are callable and asynchronous."""

    class Late:
        async def __call__(self):
            return 1

    assert kind_of(Late) == "call"
    assert kind_of(Late()) == "coroutine"
    assert kind_of(len) == "call"


# --- places --------------------------------------------------------------------------------

HERE = f"{PurePath(__file__).name}:{plain.__code__.co_firstlineno}"


@pytest.mark.parametrize(
    "func", [plain, functools.partial(plain), wrapped(plain)], ids=["itself", "partial", "wrapped"]
)
def test_the_place_of_a_function_is_that_of_its_source(func):
    """File, line, name."""
    assert place_of(func).endswith(f"{HERE} plain()")


def test_classes_and_objects_have_a_place():
    """That of the class."""
    assert "test_signature.py:" in place_of(Item)
    assert place_of(Item).endswith(" Item()")
    assert place_of(made_callable(plain)) == "Callable()"


def test_what_has_no_source_has_a_name():
    """Builtins, and functions that were made from text."""
    namespace = {}
    exec("def made(): pass", namespace)

    assert place_of(len) == "len()"
    assert place_of(namespace["made"]) == "made()"
    assert context_of(len, "GET /") == {"path": "GET /", "function": "len"}
    assert context_of(plain, "GET /")["line"] == plain.__code__.co_firstlineno


# --- annotations ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "annotation",
    [int, str, bytes, Any, int | None, Optional[str], Literal["a"], Annotated[int, 1], object, ...],
    ids=str,
)
def test_scalars_come_from_the_query(annotation):
    """One string in a URL can hold them."""
    assert is_scalar(annotation)
    assert not is_sequence(annotation)


@pytest.mark.parametrize(
    "annotation",
    [Item, Point, dict, dict[str, int], Mapping[str, int], list, Item | None, Optional[Item]],
    ids=str,
)
def test_structures_come_from_the_body(annotation):
    """One string cannot hold them."""
    assert not is_scalar(annotation)


@pytest.mark.parametrize(
    "annotation",
    [list, list[int], set[str], tuple[int, ...], frozenset[str], deque[int], Sequence[str]],
    ids=str,
)
def test_sequences_of_scalars_may_be_repeated_keys(annotation):
    """Optional ones and unions with a scalar as well."""
    assert is_scalar_sequence(annotation)
    assert is_scalar_sequence(annotation | None)
    assert is_sequence(Annotated[annotation, 1])


@pytest.mark.parametrize(
    "annotation", [list[Item], int, int | None, list[Item] | None, str], ids=str
)
def test_other_types_are_no_repeated_keys(annotation):
    """A structure inside, or no sequence at all."""
    assert not is_scalar_sequence(annotation)


def test_annotations_are_looked_through():
    """Markers, unions with None, uploads, JSON."""
    assert unannotated(Annotated[int, 1]) is int
    assert optional_class(Item | None) is Item
    assert optional_class(int | str) == int | str
    assert is_upload(UploadFile)
    assert is_upload(list[UploadFile] | None)
    assert not is_upload(list)
    assert is_json(Json[list[int]])
    assert not is_json(list[int])


# --- reading -------------------------------------------------------------------------------


def read(func, **options):
    """Each parameter's marker by its name."""
    found = read_signature(func, injectable=(Request, Response, BackgroundTasks), **options)
    return {each.name: each for each in found}


def test_parameters_without_marker_go_by_name_and_type():
    """FastAPI's rule: path by name, scalars from the query, structures from the body."""

    def handler(item_id: int, q: str, item: Item, limit: int = 5):
        pass

    found = read(handler, path_names=["item_id"])

    assert [type(each.field.info).__name__ for each in found.values()] == [
        "Path",
        "Query",
        "Body",
        "Query",
    ]
    assert [each.field.required for each in found.values()] == [True, True, True, False]


def test_the_request_s_own_objects_go_by_class():
    """Subclasses and optional ones too."""

    def handler(
        a: Request, b: Optional[BackgroundTasks], c: MyRequest | None, d: Annotated[Response, 1]
    ):
        pass

    kinds = [each.gives for each in read(handler).values()]

    assert kinds == [Request, BackgroundTasks, MyRequest, Response]


def test_a_dependency_may_be_left_to_its_annotation():
    """`Depends()` calls the class it stands at."""

    def handler(a: Item = Depends(), b: Annotated[Item, Depends()] = None, c: int = Depends(plain)):
        pass

    found = read(handler)

    assert [each.depends.dependency for each in found.values()] == [Item, Item, plain]


def test_a_pep_563_annotation_is_evaluated_where_the_function_is():
    """This file has the future import, so all of its annotations are text."""

    def handler(item: Item, request: "Request"):
        pass

    assert handler.__annotations__["item"] == "Item"
    found = read(handler)

    assert found["item"].base is Item
    assert found["request"].gives is Request


def test_names_that_only_type_checkers_see_do_no_harm_where_no_value_is_read():
    """The annotation of a dependency's parameter may be unknown at run time."""

    def handler(
        session: Session = Depends(plain),  # noqa: F821 (that is the test)
        request: Request = None,
    ) -> Response:
        pass

    found = read(handler)

    assert found["session"].depends.dependency is plain
    assert found["request"].gives is Request
    assert return_annotation(handler) is Response


def test_a_wrapped_function_has_the_parameters_inside():
    """As `functools.wraps` promises."""

    def handler(item: Item, q: int = 1):
        pass

    assert list(read(wrapped(handler))) == ["item", "q"]


def test_a_partial_has_what_is_left():
    """Arguments that are given by name have a default now."""

    def handler(a: int, b: int, c: int):
        pass

    found = read(functools.partial(handler, 1, c=3))

    assert list(found) == ["b", "c"]
    assert found["c"].field.info.default == 3


def test_a_class_has_the_parameters_of_its_init():
    """And an object those of its call."""

    class Pages:
        def __init__(self, size: int = 10) -> None:
            self.size = size

        def __call__(self, number: int):
            pass

    assert list(read(Pages)) == ["size"]
    assert list(read(Pages())) == ["number"]


def test_return_annotations():
    """Nothing, something, and text."""

    def handler() -> list[Item]:
        pass

    assert return_annotation(handler) == list[Item]
    assert return_annotation(plain) is None


@pytest.mark.skipif(sys.version_info < (3, 12), reason="PEP 695 came with Python 3.12")
def test_type_aliases_stand_for_what_they_name():
    """`type X = ...` may hold markers and name other aliases."""
    namespace = dict(globals())
    exec(
        "type Number = Annotated[int, Query(ge=1)]\n"
        "type Alias = Number\n"
        "type Dependency = Annotated[int, Depends(plain)]\n"
        "type Asked = Request | None\n"
        "def handler(n: Alias, d: Dependency, r: Asked): pass\n",
        namespace,
    )

    found = read(namespace["handler"])

    assert found["n"].field.info.metadata
    assert found["d"].depends.dependency is plain
    assert found["r"].gives is Request
    assert found["n"].base is int
    assert unalias(namespace["Alias"]) == namespace["Number"].__value__


Paged = TypeAliasType("Paged", Annotated[int, Query(ge=1)])
Later = TypeAliasType("Later", Paged)


def test_type_aliases_of_typing_extensions_do_as_well():
    """They are what `type X = ...` makes, for older interpreters."""

    def handler(number: Later):
        pass

    number = read(handler)["number"]

    assert unalias(Later) is Paged.__value__
    assert number.base is int
    assert number.field.info.metadata == [Ge(1)]


# --- refusals ------------------------------------------------------------------------------


def starred(*args):
    pass


def two_markers(q: Annotated[int, Query()] = Query(1)):
    pass


def two_kinds(q: Annotated[int, Query()] = Depends(plain)):
    pass


def default_inside(q: Annotated[int, Query(1)]):
    pass


def factory_and_depends(q: int = Depends(7)):
    pass


def path_as_query(item_id: Annotated[int, Query()]):
    pass


def structured_path(item_id: Item):
    pass


def default_of_path(item_id: Annotated[int, Path()] = 1):
    pass


def not_in_the_path(other: Annotated[int, Path()]):
    pass


def query_of_structures(q: Annotated[list[Item], Query()]):
    pass


def marked_request(request: Annotated[Request, Query()]):
    pass


def single_task(task: BackgroundTask):
    pass


def pydantic_s_own(q: int = PydanticField(1)):
    pass


def upload(file: UploadFile):
    pass


def unknown_type(thing: Unknown):
    pass


def unknown_name(thing: Nobody):  # noqa: F821 (that is the test)
    pass


REFUSED = {
    starred: ("args", "*args cannot be filled from a request. Declare each parameter."),
    two_markers: ("q", "a marker in Annotated and another as the default: keep one."),
    two_kinds: ("q", "a marker in Annotated and Depends() as the default: keep one."),
    default_inside: ("q", "Query() in Annotated cannot have a default."),
    factory_and_depends: ("q", "Depends(7) cannot be called. Pass a function."),
    path_as_query: ("item_id", "it is in the path, so Query() cannot mark it."),
    structured_path: ("item_id", "a part of the path is one string"),
    default_of_path: ("item_id", "path parameters cannot have a default value"),
    not_in_the_path: ("other", "the path has no {other}. Name it there, or use Query()."),
    query_of_structures: ("q", "a query string cannot hold list["),
    marked_request: ("request", "Request is given by its annotation alone. Drop the marker."),
    single_task: ("task", "a single BackgroundTask is not given. Use BackgroundTasks"),
    pydantic_s_own: ("q", "Field() does not say where the value is. Use Query() or Body()."),
    upload: ("file", "uploaded files are not supported yet. Read `await request.form()`."),
    unknown_type: ("thing", "is not a type that pydantic can validate"),
    unknown_name: ("thing", "names something that cannot be found"),
}


@pytest.mark.parametrize("func", REFUSED, ids=lambda func: func.__name__)
def test_what_cannot_work_is_refused_where_it_is_declared(func):
    """The message names file, line, function and parameter, and says what to do."""
    name, reason = REFUSED[func]
    app = App()

    with pytest.raises(RegistrationError) as caught:
        app.get("/{item_id}")(func)

    place = f"test_signature.py:{func.__code__.co_firstlineno} {func.__name__}()"
    message = str(caught.value)
    assert f"{place}, parameter {name!r}: " in message
    assert reason in message
    assert "via" not in message


@pytest.mark.parametrize("func", REFUSED, ids=lambda func: func.__name__)
def test_a_dependency_s_mistake_names_the_way_to_it(func):
    """From the handler down, one dependency after the other, with the place of the last."""

    def middle(value: Any = Depends(func)):
        pass

    def handler(value: Any = Depends(middle)):
        pass

    with pytest.raises(RegistrationError) as caught:
        App().get("/{item_id}")(handler)

    name, reason = REFUSED[func]
    place = f"test_signature.py:{handler.__code__.co_firstlineno} handler()"
    line = func.__code__.co_firstlineno
    way = rf"parameter '{name}' via middle -> {func.__name__} \(.*\.py:{line}\): "
    assert re.search(f"{re.escape(place)}, {way}", str(caught.value))
    assert reason in str(caught.value)


def test_a_callable_without_a_signature_is_refused():
    """Some builtins do not tell their parameters."""

    def handler(value: Any = Depends(dict)):
        pass

    with pytest.raises(
        RegistrationError,
        match=r"handler\(\) via dict: its parameters cannot be read \(.*\)\. Wrap it in a def\.",
    ):
        App().get("/")(handler)


def test_a_return_annotation_that_pydantic_does_not_know_is_refused():
    """The remedy is a response model, or none."""

    def handler() -> Unknown:
        pass

    with pytest.raises(
        RegistrationError, match=r"handler\(\), its return annotation or response_model: .*Unknown"
    ):
        App().get("/")(handler)
    App().get("/", response_model=None)(handler)


@pytest.mark.parametrize("kind", ["generator", "async_generator"])
def test_a_handler_that_yields_is_refused(kind):
    """The remedy is a streaming response."""
    with pytest.raises(RegistrationError, match=r"Return StreamingResponse\(the_generator\(\)\)"):
        App().get("/")(FUNCTIONS[kind])


def test_a_marker_for_another_place_may_have_any_type():
    """Header and cookie models, embedded bodies."""

    def handler(
        a: Annotated[list[str], Header()],
        b: Annotated[str, Cookie()],
        c: Annotated[int, Body()],
    ):
        pass

    found = read(handler)

    assert [each.field.alias for each in found.values()] == ["a", "b", "c"]


def test_typing_s_generators_as_return_types_of_dependencies_do_no_harm():
    """What a dependency returns is not a response model."""

    def sync() -> Iterator[int]:
        yield 1

    async def late() -> AsyncIterator[int]:
        yield 2

    app = App()

    @app.get("/")
    def handler(a: int = Depends(sync), b: int = Depends(late)):
        return [a, b]

    assert client(app).get("/").json == [1, 2]
