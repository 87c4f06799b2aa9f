"""A plan's steps, taken one by one: how a request with wrong data is finished.

The compiled function gives up at the first wrong value. From there this goes on, reads what is
left, calls what has all its inputs, and collects every error, as FastAPI does.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, Protocol

from pydantic_core import ValidationError

from wsgibg._aio import hop, lend
from wsgibg._body import load_json
from wsgibg._exits import leave
from wsgibg._fields import missing, relocated
from wsgibg._returns import Returns
from wsgibg._scope import RequestScope, StartResponse
from wsgibg._steps import Call, Give, Plan, Read, Recall
from wsgibg.background import BackgroundTasks
from wsgibg.exceptions import EndpointContext, FastAPIError, RequestValidationError
from wsgibg.params import SOURCES, Scope, SecurityScopes
from wsgibg.requests import Request
from wsgibg.responses import Response

__all__ = [
    "GIVEN",
    "STACKS",
    "Resume",
    "Walk",
    "enter",
    "enter_async",
    "enter_lent",
    "interpret",
]


#: Where the exits of each scope wait, in the compiled function and in the `RequestScope`.
STACKS: dict[Scope, str] = {"function": "early", "request": "exits", "tasks": "late"}


class Resume(Exception):
    """The compiled function met a wrong value.

    Args:
        position: the first step of the group in which it stands.
        slots: the values of the slots that were filled before.
    """

    def __init__(self, position: int, slots: dict[int, Any]) -> None:
        self.position = position
        self.slots = slots


class Route(Protocol):
    """What is interpreted."""

    plan: Plan
    returns: Returns
    max_content_length: int | None
    strict_content_type: bool


class Outgoing(Response):
    """The `Response` that a parameter gets: its status, headers and cookies are taken over."""

    status_code: Any

    def __init__(self) -> None:
        self.status_code = None
        self.background = None
        self.body = b""
        self._pairs = []


def _response(scope: RequestScope, step: Give) -> Response:
    del step
    scope.response = Outgoing()
    return scope.response


def _tasks(scope: RequestScope, step: Give) -> BackgroundTasks:
    del step
    return scope.collector()


#: How each injectable type is given.
GIVEN: dict[type, Callable[[RequestScope, Give], Any]] = {
    Request: lambda scope, _: scope.request(),
    Response: _response,
    BackgroundTasks: _tasks,
    SecurityScopes: lambda _, step: SecurityScopes(step.scopes),
}


def enter(generator: Generator[Any, None, None]) -> Any:
    """Run a ``yield`` dependency up to its ``yield``."""
    try:
        return next(generator)
    except StopIteration:
        raise _no_yield(generator) from None


async def enter_async(
    generator: AsyncGenerator[Any, None], around: Callable[[Any], Awaitable[Any]] | None = None
) -> Any:
    """The same for an async one, by a hop; `around` may put a limit around it."""
    try:
        first: Awaitable[Any] = generator.__anext__()
        return await hop(first if around is None else around(first))
    except StopAsyncIteration:
        raise _no_yield(generator) from None


def enter_lent(generator: AsyncGenerator[Any, None]) -> Any:
    """The same for an async one that cannot suspend."""
    try:
        return lend(generator.__anext__())
    except StopAsyncIteration:
        raise _no_yield(generator) from None


def _no_yield(generator: Any) -> FastAPIError:
    name = getattr(generator, "__qualname__", repr(generator))
    return FastAPIError(f"The dependency {name}() ended without a yield. It must yield once.")


async def interpret(
    route: Route, scope: RequestScope, start_response: StartResponse, resume: Resume
) -> Any:
    """Go on where the compiled function stopped, up to the response.

    Raises:
        RequestValidationError: with every error.
    """
    body: Any = None
    if route.plan.reads("body"):
        body = load_json(scope.environ, route.max_content_length, route.strict_content_type)
    context = route.returns.context
    walk = Walk(route.plan, scope, dict(resume.slots), body=body, context=context)
    result = await walk.run(resume.position)
    response = route.returns.build(scope, result)
    if scope.early:
        left = await leave(scope.early, None, lent=scope.lent)
        if left is not None:
            raise left
    return scope.respond(start_response, response)


class Walk:
    """The way through the steps: filled slots, invalid slots, errors.

    Args:
        plan: the steps.
        scope: the request.
        slots: the values that are there already.
        body: the body, if one is read.
        context: whose steps they are, for an error's text.
    """

    def __init__(
        self,
        plan: Plan,
        scope: RequestScope,
        slots: dict[int, Any],
        *,
        body: Any = None,
        context: EndpointContext | None = None,
    ) -> None:
        self.plan = plan
        self.scope = scope
        self.slots = slots
        self.invalid: set[int] = set()
        self.errors: list[Any] = []
        #: The errors of each read, by its position: a `Recall` tells them again.
        self.told: dict[int, list[Any]] = {}
        self.opened: dict[str, Any] = {}
        self.body = body
        self.context = context

    async def run(self, first: int) -> Any:
        for position, step in enumerate(self.plan.steps[first:-1], first):
            if isinstance(step, Read):
                self.read(position, step)
            elif isinstance(step, Give):
                family = next(base for base in GIVEN if issubclass(step.kind, base))
                self.slots[step.slot] = GIVEN[family](self.scope, step)
            elif isinstance(step, Recall):
                for read in step.reads:
                    self.errors += self.told.get(read, [])
            elif any(slot in self.invalid for _, slot in step.arguments):
                self.invalid.add(step.slot)
            else:
                await self.call(step)
        if self.errors:
            raise self.refusal()
        return await self.call(self.plan.handler)

    def refusal(self) -> RequestValidationError:
        """What is raised where data are wrong."""
        return RequestValidationError(self.errors, body=self.body, endpoint_ctx=self.context)

    # -------------------------------------------------------------- reading
    def read(self, position: int, step: Read) -> None:
        loc: tuple[str | int, ...]
        if step.location == "body":
            raw, loc, found = self._from_body(step)
        else:
            raw, loc, found = self._from_source(step), (step.location, step.field.alias), True
            if step.collect is not None:
                loc = (step.location,)
        absent = raw is None and step.location != "path"
        if absent and (step.field.required or not found):
            self._wrong(position, step, [missing(loc)])
            return
        try:
            if absent:
                value = step.field.default()
            elif step.location == "body" or step.collect is not None:
                value = step.field.validate(raw, from_attributes=True)
            else:
                value = step.field.validate(raw)
            self.slots[step.slot] = value
        except ValidationError as error:
            self._wrong(position, step, relocated(error, loc))

    def _from_source(self, step: Read) -> Any:
        if step.location == "path":
            return self.from_path(step)
        if step.location not in self.opened:
            open_source = SOURCES[step.location].open_lists
            environ = self.scope.environ
            self.opened[step.location] = environ if open_source is None else open_source(environ)
        opened = self.opened[step.location]
        if step.collect is not None:
            return step.collect(opened)
        return (opened.getlist(step.key) or None) if step.many else opened.get(step.key)

    def from_path(self, step: Read) -> Any:
        """What the match has given for a path parameter."""
        return self.scope.values[int(step.key)]

    def _from_body(self, step: Read) -> tuple[Any, tuple[str | int, ...], bool]:
        if not self.plan.embed:
            return self.body, ("body",), True
        loc = ("body", step.field.alias)
        if self.body is None or isinstance(self.body, bytes):
            return None, loc, True
        if not hasattr(self.body, "get"):
            return None, loc, False  # a list or a string holds no key: missing, whatever it is
        return self.body.get(step.field.alias), loc, True

    def _wrong(self, position: int, step: Read, errors: list[Any]) -> None:
        self.invalid.add(step.slot)
        self.told[position] = errors
        self.errors += errors

    # -------------------------------------------------------------- calling
    async def call(self, step: Call) -> Any:
        positional = [self.slots[slot] for name, slot in step.arguments if name is None]
        named = {name: self.slots[slot] for name, slot in step.arguments if name is not None}
        made = step.func(*positional, **named)
        lent = self.scope.lent
        if step.kind == "coroutine":
            value = lend(made) if lent else await hop(made)
        elif step.kind == "call":
            value = made
        else:
            if step.kind == "generator":
                value = enter(made)
            else:
                value = enter_lent(made) if lent else await enter_async(made)
            getattr(self.scope, STACKS[step.scope]).append((made, value))
        if step.adopts and isinstance(value, BackgroundTasks):
            self.scope.collector().adopt(value)
        self.slots[step.slot] = value
        return value
