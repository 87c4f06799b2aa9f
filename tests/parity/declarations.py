"""Declarations and requests as data, drawn by hypothesis and made into apps.

They are small frozen objects with a readable ``repr``: what a failing test prints can be pasted
into an ``@example``.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from urllib.parse import quote_plus
from uuid import UUID

from hypothesis import strategies as st
from pydantic import BaseModel, Field, StringConstraints

from tests.parity.both import Ask

__all__ = [
    "Declared",
    "Give",
    "Node",
    "Param",
    "Request",
    "Use",
    "declared",
    "declares",
    "requests",
]


class Colour(Enum):
    """An enum."""

    RED = "red"
    BLUE = "blue"


class Item(BaseModel):
    """A model."""

    name: str
    price: float = Field(default=1, gt=0)
    tags: list[str] = []


@dataclass(frozen=True)
class Kind:
    """A type, what may be sent for it, its constraints and defaults."""

    annotation: Any
    values: tuple[str, ...]
    constraints: tuple[dict[str, Any], ...] = ({},)
    defaults: tuple[Any, ...] = (None,)


NUMBERS = ("1", "42", "-3", "1.5", "x", "", " 7", "1e2", "nan")
TEXTS = ("a", "ab", "abc", "", "A", "%", "a b", "é", "1")
KINDS: dict[str, Kind] = {
    "int": Kind(int, NUMBERS, ({}, {"gt": 0}, {"le": 10, "multiple_of": 2}), (1, -5, None, "x")),
    "float": Kind(float, NUMBERS, ({}, {"lt": 2}, {"allow_inf_nan": False}), (1, 2.5)),
    "str": Kind(str, TEXTS, ({}, {"min_length": 2}, {"pattern": "^a"}), ("a", "", None, 3)),
    "bool": Kind(bool, ("1", "0", "yes", "off", "maybe", ""), ({},), (True, False)),
    "date": Kind(datetime.date, ("2024-02-29", "2024-02-30", "0"), ({},), ("2024-01-01",)),
    "UUID": Kind(UUID, ("3fa85f64-5717-4562-b3fc-2c963f66afa6", "0" * 32, "x")),
    "Decimal": Kind(Decimal, NUMBERS, ({}, {"max_digits": 2}), (Decimal("1.0"), 1)),
    "Colour": Kind(Colour, ("red", "RED", "blue", ""), ({},), (Colour.RED, "blue", "green")),
    "Literal": Kind(Literal["a", "b", 1], ("a", "c", "1"), ({},), ("a", "z")),
    "int | None": Kind(int | None, NUMBERS, ({}, {"ge": 2}), (None, 1)),
    "int | str": Kind(int | str, (*NUMBERS, *TEXTS), ({},), ("a", 1)),
    "date | str": Kind(datetime.date | str, ("2024-02-29", "a"), ({},), ("2024-02-29",)),
    "list[int]": Kind(list[int], NUMBERS, ({}, {"max_length": 1}), ((), (1, 2), ("x",), None)),
    "set[str]": Kind(set[str], TEXTS, ({}, {"min_length": 2}), (("a",), None)),
    "list | None": Kind(list[str] | None, TEXTS, ({},), (None, ("a",))),
    "stripped": Kind(
        Annotated[str, StringConstraints(strip_whitespace=True)], TEXTS, ({},), (" ",)
    ),
    "Any": Kind(Any, TEXTS, ({},), (1, "a", None)),
    "Item": Kind(Item, ("{}",), ({},), (None,)),
    "Item | None": Kind(Item | None, ("{}",), ({},), (None,)),
    "list[Item]": Kind(list[Item], ("[]",), ({},), ((),)),
    "dict": Kind(dict[str, int], ("{}",), ({},), (None,)),
}
STRUCTURES = ("Item", "Item | None", "list[Item]", "dict")
SEVERAL = ("list[int]", "set[str]", "list | None")
SCALARS = tuple(name for name in KINDS if name not in STRUCTURES and name not in SEVERAL)
PLACES = ("Query", "Header", "Cookie", "Body", "")
REQUIRED = "<required>"


# ------------------------------------------------------------------ data
@dataclass(frozen=True)
class Param:
    """A parameter that is read.

    Args:
        name: its name; ``p1`` and ``p2`` are in the path.
        kind: a key of `KINDS`.
        place: the name of its marker; empty where it has none.
        constraints: the marker's options.
        default: its default, or `REQUIRED`.
        old: whether the marker is the default, and not in ``Annotated``.
    """

    name: str
    kind: str = "int"
    place: str = ""
    constraints: tuple[tuple[str, Any], ...] = ()
    default: Any = REQUIRED
    old: bool = False

    def key(self) -> str:
        """The name in the request."""
        return dict(self.constraints).get("alias") or self.name


@dataclass(frozen=True)
class Use:
    """A dependency as a parameter: the number of its node, and how it is asked for."""

    node: int
    cached: bool = True
    scope: str | None = None
    scopes: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Give:
    """A parameter that a request gives by type."""

    what: str


@dataclass(frozen=True)
class Node:
    """A dependency, or the handler.

    Args:
        items: its parameters in order.
        form: how it is written.
        by_name: whether its parameters stand behind a star.
    """

    items: tuple[Param | Use | Give, ...] = ()
    form: str = "def"
    by_name: bool = False


@dataclass(frozen=True)
class Declared:
    """An app with one route.

    Args:
        nodes: the dependencies; each uses earlier ones only.
        handler: what they serve.
        path: the names in the path.
        outer: the nodes that app, inclusion, router and decorator ask for.
    """

    nodes: tuple[Node, ...]
    handler: Node
    path: tuple[str, ...] = ()
    outer: tuple[tuple[Use, ...], ...] = ((), (), (), ())

    def params(self) -> list[Param]:
        """Every parameter that is read, in whichever node."""
        nodes = [*self.nodes, self.handler]
        return [each for node in nodes for each in node.items if isinstance(each, Param)]


@dataclass(frozen=True)
class Request:
    """A request, and which callables are to fail in it."""

    ask: Ask
    fails: tuple[tuple[str, str], ...] = ()


# ------------------------------------------------------------------ making
@dataclass
class _Maker:
    """Makes a declaration with the names of one framework."""

    ns: Any
    declared: Declared
    made: dict[int, Any] = field(default_factory=dict)

    def app(self) -> Any:
        ns, at_app, at_inclusion = self.ns, *self.declared.outer[:2]
        app = ns.App(dependencies=[self.use(each) for each in at_app])
        router = ns.APIRouter(dependencies=[self.use(each) for each in self.declared.outer[2]])
        path = "/r" + "".join(f"/{{{name}}}" for name in self.declared.path)
        handler = self.callable("handler", self.declared.handler)
        decorate = router.post(path, dependencies=[self.use(e) for e in self.declared.outer[3]])
        decorate(handler)
        app.include_router(router, dependencies=[self.use(each) for each in at_inclusion])
        return app

    def use(self, use: Use) -> Any:
        if use.node not in self.made:
            node = self.declared.nodes[use.node]
            self.made[use.node] = self.callable(f"n{use.node}", node)
        func = self.made[use.node]
        if use.scopes is not None:
            return self.ns.Security(func, scopes=list(use.scopes), use_cache=use.cached)
        return self.ns.Depends(func, use_cache=use.cached, scope=use.scope)

    def callable(self, name: str, node: Node) -> Any:
        """A function, class or object with the node's parameters; it notes what it is given."""
        names: dict[str, Any] = {"noted": self.noted(name), "failing": self.failing(name)}
        needed, optional, passed = [], [], []
        for position, item in enumerate(node.items):
            param = item.name if isinstance(item, Param) else f"v{position}"
            annotation, default = self.declaration(item)
            names[f"a_{param}"] = annotation
            passed.append(param)
            if default is None:
                needed.append(f"{param}: a_{param}")
            else:
                names[f"d_{param}"] = default[0]
                optional.append(f"{param}: a_{param} = d_{param}")
        star = ["*"] if node.by_name and passed else []
        source = _FORMS[node.form].format(
            params=", ".join([*star, *needed, *optional]),
            own="".join(f", {text}" for text in [*star, *needed, *optional]),
            passed=", ".join(f"{each!r}: {each}" for each in passed),
        )
        exec(compile(source, f"<{name}>", "exec", dont_inherit=True), names)
        return names["made"]

    def declaration(self, item: Param | Use | Give) -> tuple[Any, tuple[Any] | None]:
        """An annotation, and the default where there is one."""
        ns = self.ns
        if isinstance(item, Use):
            return Annotated[Any, self.use(item)], None
        if isinstance(item, Give):
            return getattr(ns, item.what), None
        annotation = KINDS[item.kind].annotation
        default: tuple[Any] | None = (item.default,) if item.default != REQUIRED else None
        if default is not None and isinstance(item.default, tuple):
            default = (list(item.default),)
        if not item.place:
            return annotation, default
        marker = getattr(ns, item.place)
        options = dict(item.constraints)
        if item.old:
            return annotation, (
                marker(**options) if default is None else marker(*default, **options),
            )
        return Annotated[annotation, marker(**options)], default

    def noted(self, name: str) -> Callable[[dict[str, Any]], Any]:
        ns = self.ns

        def noted(values: dict[str, Any]) -> Any:
            shown = {key: self.shown(name, value) for key, value in values.items()}
            ns.calls.append([name, shown])
            return [name, len(ns.calls), shown]

        return noted

    def shown(self, name: str, value: Any) -> Any:
        ns = self.ns
        if isinstance(value, ns.Request):
            return value.url.path
        if isinstance(value, ns.Response):
            value.headers.append("x-called", name)
            return "response"
        if isinstance(value, ns.BackgroundTasks):
            value.add_task(ns.calls.append, ["task", name])
            return "tasks"
        if isinstance(value, ns.SecurityScopes):
            return value.scopes
        return repr(value)

    def failing(self, name: str) -> Callable[[str], None]:
        ns = self.ns

        def failing(moment: str) -> None:
            how = ns.fails.get(name)
            if moment == "leave" or how is None:
                ns.calls.append([name, moment])
            if how == moment == "leave":
                raise ValueError(name)
            if moment == "enter" and how == "http":
                raise ns.HTTPException(401, name, headers={"X-Name": name})
            if moment == "enter" and how == "crash":
                raise KeyError(name)

        return failing


_FORMS = {
    "def": "def made({params}):\n failing('enter')\n return noted({{{passed}}})",
    "async def": "async def made({params}):\n failing('enter')\n return noted({{{passed}}})",
    "generator": "def made({params}):\n failing('enter')\n try:\n  yield noted({{{passed}}})\n"
    " finally:\n  failing('leave')",
    "async generator": "async def made({params}):\n failing('enter')\n"
    " try:\n  yield noted({{{passed}}})\n finally:\n  failing('leave')",
    "object": "class Made:\n def __call__(self{own}):\n  failing('enter')\n"
    "  return noted({{{passed}}})\nmade = Made()",
    "class": "class made:\n def __init__(self{own}):\n  failing('enter')\n"
    "  self.noted = noted({{{passed}}})\n def __repr__(self):\n  return repr(self.noted)",
}


def declares(declared: Declared) -> Callable[[Any], Any]:
    """The function that `both` wants."""

    def declare(ns: Any) -> Any:
        ns.fails = {}
        return _Maker(ns, declared).app()

    return declare


# ------------------------------------------------------------------ strategies
@st.composite
def _params(draw: st.DrawFn, name: str, path: tuple[str, ...]) -> Param:
    if name in path:
        place = draw(st.sampled_from(["Path", ""]))
        kind = draw(st.sampled_from(SCALARS))
    else:
        place = draw(st.sampled_from(PLACES))
        kinds = {"Query": SCALARS + SEVERAL, "Header": SCALARS + SEVERAL, "Cookie": SCALARS}
        kind = draw(st.sampled_from(kinds.get(place, tuple(KINDS))))
    known = KINDS[kind]
    default: Any = REQUIRED
    if name not in path and draw(st.booleans()):
        default = draw(st.sampled_from(known.defaults))
    options = dict(draw(st.sampled_from(known.constraints))) if place else {}
    if place not in ("", "Path") and draw(st.integers(0, 4)) == 0:
        options["alias"] = draw(st.sampled_from(["other-name", "X_Alias", "q"]))
    if place == "Body" and draw(st.integers(0, 3)) == 0:
        options["embed"] = True
    # The old style has FastAPI forget what stands in Annotated.
    old = bool(place) and kind != "stripped" and draw(st.booleans())
    return Param(name, kind, place, tuple(options.items()), default, old)


@st.composite
def _uses(draw: st.DrawFn, below: int, *, early: bool = True) -> Use:
    node = draw(st.integers(0, below - 1))
    cached = draw(st.integers(0, 3)) > 0
    if draw(st.integers(0, 3)) == 0:
        required = draw(st.lists(st.sampled_from(["a", "b"]), max_size=2))
        return Use(node, cached, None, tuple(required))
    scopes = [None, None, "request", "function"] if early else [None, "request"]
    return Use(node, cached, draw(st.sampled_from(scopes)))


NAMES = ("q", "r", "x_head", "p1", "p2")
GIVES = ("Request", "Response", "BackgroundTasks", "SecurityScopes")


@st.composite
def _nodes(draw: st.DrawFn, below: int, path: tuple[str, ...], forms: list[str]) -> Node:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=3))
    items: list[Any] = [draw(_params(name, path)) for name in names]
    form = draw(st.sampled_from(forms))
    if below:  # what is left at the end cannot depend on what is left earlier
        items += draw(st.lists(_uses(below, early="generator" not in form), max_size=2))
    items += [
        Give(what) for what in draw(st.lists(st.sampled_from(GIVES), unique=True, max_size=1))
    ]
    items = draw(st.permutations(items))
    return Node(tuple(items), form, draw(st.booleans()))


@st.composite
def declared(draw: st.DrawFn) -> Declared:
    """A route with up to four dependencies, which use each other."""
    path = draw(st.sampled_from([(), ("p1",), ("p1", "p2")]))
    nodes: list[Node] = []
    for below in range(draw(st.integers(0, 4))):
        nodes.append(draw(_nodes(below, path, list(_FORMS))))
    handler = draw(_nodes(len(nodes), path, ["def", "async def"]))
    outer: list[tuple[Use, ...]] = [(), (), (), ()]
    if nodes:
        for place in range(4):
            if draw(st.integers(0, 3)) == 0:
                outer[place] = (draw(_uses(len(nodes))),)
    return Declared(tuple(nodes), handler, path, tuple(outer))


JSONS = st.recursive(
    st.sampled_from([None, True, 1, 1.0, 2.5, "a", "1", "2024-02-29", "red", "", -3]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "price", "q", "r", "1"]), inner, max_size=3)
    ),
    max_leaves=5,
)
ITEMS = st.fixed_dictionaries(
    {"name": st.sampled_from(["n", 1, None])},
    optional={"price": st.sampled_from([1, 0, "2"]), "tags": st.sampled_from([["a"], "a"])},
)


@st.composite
def requests(draw: st.DrawFn, declared: Declared) -> Request:
    """A request that gives some parameters what they want."""
    # Lists come last: to be sent again after a field that is no list would break that one.
    params = sorted(declared.params(), key=lambda each: each.kind in SEVERAL)
    singles = {each.key() for each in params if each.kind not in SEVERAL}
    path = "/r"
    for name in declared.path:
        kinds = [each.kind for each in params if each.name == name] or ["str"]
        value = draw(st.sampled_from(KINDS[draw(st.sampled_from(kinds))].values))
        path += "/" + (quote_plus(value).replace("+", "%20") or "-")
    query, headers, cookies, body = [], [], [], {}
    for each in params:
        count = draw(st.sampled_from([1, 1, 1, 0, 2]))
        for value in draw(
            st.lists(st.sampled_from(KINDS[each.kind].values), min_size=count, max_size=count)
        ):
            if each.place == "Header":
                key = each.key() if each.key() != each.name else each.name.replace("_", "-")
                # A server joins repeated fields by commas, so only lists can take them apart.
                several = each.kind in SEVERAL and each.key() not in singles
                if several or key.lower() not in [name.lower() for name, _ in headers]:
                    headers.append((key, value.strip().encode().decode("latin-1")))
            elif each.place == "Cookie":
                cookies.append(f"{each.key()}={value.strip().encode().decode('latin-1')}")
            elif each.place == "Body" or each.kind in STRUCTURES:
                body[each.key()] = draw(ITEMS | JSONS | st.just(value))
            else:
                query.append(f"{quote_plus(each.key())}={quote_plus(value)}")
    if cookies:
        headers.append(("Cookie", "; ".join(cookies)))
    content, fields = draw(_bodies(body))
    target = path + ("?" + "&".join(query) if query else "")
    names = ["handler", *(f"n{number}" for number in range(len(declared.nodes)))]
    failing = st.tuples(st.sampled_from(names), st.sampled_from(["http", "crash", "leave"]))
    fails = draw(st.lists(failing, max_size=1)) if draw(st.integers(0, 2)) == 0 else []
    return Request(Ask("POST", target, (*headers, *fields), content), tuple(fails))


@st.composite
def _bodies(draw: st.DrawFn, body: dict[str, Any]) -> tuple[bytes | None, list[tuple[str, str]]]:
    how = draw(st.sampled_from(["keys", "keys", "single", "any", "none", "broken", "text"]))
    if how == "none":
        return None, []
    value: Any = body
    if how == "single" and body:
        value = next(iter(body.values()))
    elif how == "any":
        value = draw(ITEMS | JSONS)
    content = json.dumps(value).encode()
    if how == "broken":
        content = content[:-1] + b","
    kind = "text/plain" if how == "text" else "application/json"
    return content, [("Content-Type", kind)]
