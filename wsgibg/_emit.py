"""The text of one route's function: its plan's steps as lines of Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

from wsgibg._aio import hop, lend, step
from wsgibg._body import is_json, load_json, spool
from wsgibg._ending import Ending
from wsgibg._exits import leave
from wsgibg._interpret import GIVEN, STACKS, Resume, enter, enter_async, enter_lent
from wsgibg._returns import LENGTHS, RESPONSES, Returns
from wsgibg._scope import RequestScope
from wsgibg._steps import Call, Give, Plan, Read, Recall
from wsgibg.background import BackgroundTasks, source_var
from wsgibg.params import SOURCES
from wsgibg.requests import Request, read_body
from wsgibg.responses import Response

__all__ = ["Mode", "emit"]

Mode = Literal["sync", "lend", "hop"]

_LITERALS = (str, int, float, bool, type(None))
_GENERATORS = ("generator", "async_generator")


class Route(Protocol):
    """What is written out."""

    plan: Plan
    returns: Returns
    mode: Mode
    head: bool
    asks: bool
    max_content_length: int | None
    strict_content_type: bool


def emit(route: Route) -> tuple[str, dict[str, Any]]:
    """Write out a route.

    Args:
        route: its plan, and what becomes of its result.

    Returns:
        The text of ``handle(scope, environ, start_response, values)``, and its globals.
    """
    emitter = _Emitter(route)
    emitter.write()
    return "\n".join(emitter.lines) + "\n", emitter.namespace


class _Emitter:
    """Writes line after line, and collects the names that they use."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self.plan = route.plan
        self.names = route.plan.names
        self.lines: list[str] = []
        self.namespace: dict[str, Any] = {}
        #: The slots that have a value by now.
        self.filled: list[int] = []
        #: The sources that are parsed by now.
        self.opened: set[str] = set()
        #: Whether somebody's code has run by now.
        self.called = False

    def write(self) -> None:
        plan = self.plan
        keyword = "async def" if self.route.mode == "hop" else "def"
        self.line(f"{keyword} handle(scope, environ, start_response, values):", 0)
        self.line(f"{self.bind('set_source', source_var.set)}(scope)")
        for scope, name in STACKS.items():
            if any(self._enters(each, scope) for each in plan.calls()):
                self.line(f"{name} = scope.{name} = []")
        self._open_body()
        group: list[tuple[int, Read]] = []
        for position, each in enumerate(plan.steps):
            if isinstance(each, Read):
                group.append((position, each))
            elif not isinstance(each, Recall):
                self._reads(group)
                group = []
                self._give(each) if isinstance(each, Give) else self._call(each)
        self._answer(self.names[plan.handler.slot])

    def line(self, text: str, depth: int = 1) -> None:
        self.lines.append("    " * depth + text)

    def bind(self, name: str, value: Any) -> str:
        """Make a value known to the function by a name."""
        self.namespace[name] = value
        return name

    def _enters(self, each: Call, scope: str | None = None) -> bool:
        """Whether a call is that of a ``yield`` dependency (of a scope)."""
        return each.kind in _GENERATORS and scope in (None, each.scope)

    def _gives(self, family: type) -> bool:
        """Whether somebody gets an object of the request's own, of a class."""
        return any(
            isinstance(each, Give) and issubclass(each.kind, family) for each in self.plan.steps
        )

    # -------------------------------------------------------------- reading
    def _open_body(self) -> None:
        """The body comes first: not even a dependency runs before its JSON is well-formed."""
        self.bind("LIMIT", self.route.max_content_length)
        gives_request = self._gives(Request)
        if not self.plan.reads("body"):
            if gives_request and self.route.mode == "hop":
                self.line(f"scope.spool = {self.bind('spool', spool)}(environ, LIMIT)")
            return
        self.bind("STRICT", self.route.strict_content_type)
        if self._json_directly():
            self.line(f"payload = {self.bind('read_body', read_body)}(environ, LIMIT)")
        else:
            self.line(f"body = {self.bind('load_json', load_json)}(environ, LIMIT, STRICT)")

    def _json_directly(self) -> bool:
        """Whether pydantic may parse the JSON: one body, and no call that comes before it."""
        body = self.plan.reads("body")
        if len(body) != 1 or self.plan.embed or not body[0].field.same_from_json():
            return False
        before = self.plan.steps[: self.plan.steps.index(body[0])]
        return not any(isinstance(each, Call) for each in before)

    def _reads(self, group: list[tuple[int, Read]]) -> None:
        """Neighbouring reads; if one fails, the interpreter repeats them all."""
        if not group:
            return
        for _, each in group:
            self._open_source(each.location)
        sure = all(_cannot_fail(each) for _, each in group)
        if not sure:
            self.line("try:")
        for _, each in group:
            self._read(each, 1 if sure else 2)
        if not sure:
            filled = ", ".join(f"{slot}: {self.names[slot]}" for slot in self.filled)
            self.line("except Exception:")
            resume = self.bind("Resume", Resume)
            self.line(f"raise {resume}({group[0][0]}, {{{filled}}}) from None", 2)
        self.filled += [each.slot for _, each in group]
        if not all(_runs_no_code(each) for _, each in group):
            self.called = True

    def _open_source(self, location: str) -> None:
        source = SOURCES.get(location)
        if source is None or location in self.opened:
            return
        self.opened.add(location)
        opener = source.open_lists if self._lists(location) else source.open
        if opener is not None:
            self.line(f"{location} = {self.bind(f'parse_{location}', opener)}(environ)")

    def _lists(self, location: str) -> bool:
        return any(each.many or each.collect for each in self.plan.reads(location))

    def _read(self, each: Read, depth: int) -> None:
        name, declared = self.names[each.slot], each.field
        if each.location == "body":
            self._read_body(each, depth)
        elif each.location == "path":
            self.line(f"{name} = {self._checked(each, f'values[{each.key}]')}", depth)
        elif each.collect is not None:
            collect = self.bind(f"collect_{name}", each.collect)
            check = self.bind(f"check_{name}", declared.validate)
            self.line(f"raw = {collect}({each.location})", depth)
            self.line(f"{name} = {check}(raw, from_attributes=True)", depth)
        elif each.many:
            self.line(f"raw = {self._source(each)}.getlist({each.key!r})", depth)
            self.line(
                f"{name} = {self._checked(each, 'raw')} if raw else {self._other(each)}", depth
            )
        elif declared.required:
            self.line(
                f"{name} = {self._checked(each, f'{self._source(each)}[{each.key!r}]')}", depth
            )
        elif declared.plain and declared.default_is_constant():
            self.line(
                f"{name} = {self._source(each)}.get({each.key!r}, {self._other(each)})", depth
            )
        else:
            self.line(f"raw = {self._source(each)}.get({each.key!r})", depth)
            checked = self._checked(each, "raw")
            self.line(f"{name} = {self._other(each)} if raw is None else {checked}", depth)

    def _source(self, each: Read) -> str:
        """The mapping that a value is read from; headers are in the environ itself."""
        header = each.location == "header" and not self._lists("header")
        return "environ" if header else each.location

    def _read_body(self, each: Read, depth: int) -> None:
        name, declared = self.names[each.slot], each.field
        if self._json_directly():
            check = self.bind(f"check_{name}", declared.adapter.validator.validate_json)
            json = f"{self.bind('is_json', is_json)}(environ, STRICT)"
            # None is no JSON: what is empty or not marked as JSON is left to the interpreter.
            read = f"{check}(payload if {json} else None)"
            if not declared.required:
                read = f"{read} if payload else {self._other(each)}"
            self.line(f"{name} = {read}", depth)
            return
        check = self.bind(f"check_{name}", declared.validate)
        found = f"body.get({each.key!r})" if self.plan.embed else "body"
        self.line(f"raw = {found}", depth)
        checked = f"{check}(raw, from_attributes=True)"
        self.line(f"{name} = {self._other(each)} if raw is None else {checked}", depth)

    def _checked(self, each: Read, text: str) -> str:
        """The expression of a valid value; a plain string is one as it is."""
        if each.field.plain and each.text:
            return text
        return f"{self.bind(f'check_{self.names[each.slot]}', each.field.validate)}({text})"

    def _other(self, each: Read) -> str:
        """What stands in for a value that the request does not have; or a failure."""
        declared, name = each.field, self.names[each.slot]
        if declared.required:
            return f"{self.bind('missing', _missing)}()"
        if not declared.default_is_constant():
            return f"{self.bind(f'default_{name}', declared.default)}()"
        value = declared.constant
        return repr(value) if type(value) in _LITERALS else self.bind(f"default_{name}", value)

    # -------------------------------------------------------------- giving and calling
    def _give(self, each: Give) -> None:
        name = self.names[each.slot]
        self.filled.append(each.slot)
        if each.kind is not BackgroundTasks:
            self.line(f"{name} = {self.bind(f'give_{name}', _giver(each))}(scope)")
            return
        # PERF: made here and not by scope.collector(): 0.3 µs.
        asks = self.route.asks or any(
            self._enters(call) and call.scope != "tasks" for call in self.plan.calls()
        )
        depth = 1
        if self.called:
            self.line(f"{name} = scope.tasks")
            self.line(f"if {name} is None:")
            depth = 2
        made = f"{self.bind('new', object.__new__)}({self.bind('Collector', BackgroundTasks)})"
        self.line(f"{name} = scope.tasks = {made}", depth)
        self.line(f"{name}.tasks, {name}.sink = [], scope", depth)
        if asks:
            self.line(f"{name}.asks = True", depth)

    def _call(self, each: Call) -> None:
        name = self.names[each.slot]
        given = ", ".join(
            self.names[slot] if param is None else f"{param}={self.names[slot]}"
            for param, slot in each.arguments
        )
        call = f"{self.bind(f'call_{name}', each.func)}({given})"
        if self._enters(each):
            self.line(f"generator = {call}")
            self.line(f"{name} = {self._entered(each)}")
            self.line(f"{STACKS[each.scope]}.append((generator, {name}))")
        elif each.kind == "coroutine":
            self.line(f"{name} = {self._awaited(call)}")
        else:
            self.line(f"{name} = {call}")
        if each.adopts:
            self.line(f"if isinstance({name}, {self.bind('BackgroundTasks', BackgroundTasks)}):")
            self.line(f"scope.collector().adopt({name})", 2)
        self.called = True
        self.filled.append(each.slot)

    def _entered(self, each: Call) -> str:
        if each.kind == "generator" and self.route.mode == "hop":
            return f"{self.bind('enter', enter)}(generator)"  # a coroutine hides StopIteration
        if each.kind == "generator":
            # PERF: not by enter(), 0.06 µs; what StopIteration means, _compile says.
            return "next(generator)"
        if self.route.mode == "lend":
            return f"{self.bind('enter_lent', enter_lent)}(generator)"
        return f"await {self.bind('enter_async', enter_async)}(generator)"

    def _awaited(self, call: str) -> str:
        if self.route.mode == "lend":
            return f"{self.bind('lend', lend)}({call})"
        return f"await {self.bind('hop', hop)}({call})"

    # -------------------------------------------------------------- answering
    def _answer(self, result: str) -> None:
        returns = self.route.returns
        self.bind("build", returns.build)
        if self._is_special():
            self._respond(result, 1)
            return
        text = returns.kind == "text"
        foreign = f"type({result}) is not str" if text else f"isinstance({result}, RESPONSES)"
        self.bind("RESPONSES", RESPONSES)
        self.line(f"if {foreign}:")
        self._respond(result, 2)
        self.bind("dump", returns.dump)
        self.line(f"payload = {result}.encode()" if text else f"payload = dump({result})")
        self._leave_early()
        self.bind("LENGTHS", LENGTHS)
        self.line("size = len(payload)")
        length = f"LENGTHS[size] if size < {len(LENGTHS)} else ('Content-Length', str(size))"
        self.line(f"length = {length}")
        self._start()

    def _respond(self, result: str, depth: int) -> None:
        """Answer by a response object: made before the early exits, started after them."""
        self.line(f"response = build(scope, {result})", depth)
        self._leave_early(depth)
        self.line("return scope.respond(start_response, response)", depth)

    def _is_special(self) -> bool:
        """Whether the general way answers: no bytes can be made without asking further."""
        returns = self.route.returns
        special = returns.kind == "object" or returns.bodiless or self.route.head
        return special or self._gives(Response)

    def _start(self) -> None:
        self.bind("STATUS", self.route.returns.status)
        self.bind("TYPE", self.route.returns.content_type)
        # A request may have files of its form, which are closed at its end.
        left_over = self._gives(BackgroundTasks) or self._gives(Request)
        exits = any(self._enters(each) and each.scope != "function" for each in self.plan.calls())
        if not left_over:
            # PERF: it is known what is left to do, unless somebody called current_tasks(): 0.2 µs.
            self.bind("Ending", Ending)
            self.line("if scope.tasks is None:")
            self.line("scope.started = True", 2)
            self.line("start_response(STATUS, [TYPE, length])", 2)
            if not exits:
                self.line("if scope.tasks is None:", 2)
                self.line("scope.ended = True", 3)
                self.line("scope.context = None", 3)
                self.line("return (payload,)", 3)
            self.line("return Ending((payload,), scope)", 2)
        self.line("return scope.finish(start_response, STATUS, [TYPE, length], (payload,))")

    def _leave_early(self, depth: int = 1) -> None:
        """Exits of function scope come after the handler and before the first byte."""
        if not any(self._enters(each, "function") for each in self.plan.calls()):
            return
        left = f"{self.bind('leave', leave)}(early, None, lent={self.route.mode == 'lend'})"
        hops = self.route.mode == "hop"
        self.line(
            f"left = await {left}" if hops else f"left = {self.bind('step', step)}({left})", depth
        )
        self.line("if left is not None:", depth)
        self.line("raise left", depth + 1)


def _giver(each: Give) -> Callable[[RequestScope], Any]:
    family = next(base for base in GIVEN if issubclass(each.kind, base))
    give = GIVEN[family]
    return lambda scope: give(scope, each)


def _missing() -> Any:
    """Leave the group of reads: a required value is not there."""
    raise KeyError


def _runs_no_code(each: Read) -> bool:
    """Whether a read calls nothing of the user's: no validator, no default factory."""
    return each.field.plain and (each.field.required or each.field.default_is_constant())


def _cannot_fail(each: Read) -> bool:
    """Whether a read gives a value whatever the request holds."""
    if each.location == "body" or not each.field.plain or not each.text:
        return False
    return each.location == "path" or (each.field.default_is_constant() and not each.many)
