"""A compiled route in words: data that can be laid out as tables."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, NamedTuple

from wsgibg._aio import can_suspend
from wsgibg._annotations import is_class
from wsgibg._compile import Compiled
from wsgibg._returns import RESPONSES
from wsgibg._signature import return_annotation
from wsgibg._steps import Call, Give, Plan, Read, Recall
from wsgibg.background import BackgroundTasks
from wsgibg.cli._words import rules_of, type_name
from wsgibg.params import SecurityScopes
from wsgibg.requests import Request
from wsgibg.responses import Response, status_line

__all__ = ["Row", "answer", "ending", "mode", "place", "steps"]

_MODES = {
    "sync": "It runs in the server's thread.",
    "lend": (
        "It runs in the server's thread; its async steps run on the lent loop,"
        " because none of them can wait."
    ),
    "hop": "Its async steps hop to the event loop, and the server's thread waits for them.",
}
_WHOLE = {"query": "the whole query", "header": "all headers", "cookie": "all cookies"}
_GIVEN = {
    Request: "the request itself",
    Response: "the response's status and headers",
    BackgroundTasks: "the request's collector",
}


class Row(NamedTuple):
    """One step.

    Args:
        value: the name of its value, as the generated function has it.
        source: where the value comes from.
        place: the file and line of what is called, or nothing.
        kind: the value's type.
        rules: what else there is to say, each a few words.
        shared: whether the value was there before.
    """

    value: str
    source: str
    place: str = ""
    kind: str = ""
    rules: tuple[str, ...] = ()
    shared: bool = False


def mode(compiled: Compiled) -> str:
    """Where a route runs, in one sentence."""
    return _MODES[compiled.mode]


def place(label: str) -> str:
    """``file:line`` of a call's label, seen from the current directory; or nothing."""
    where = label.rpartition(" ")[0]
    path, colon, line = where.rpartition(":")
    if not colon:
        return where
    file, here = Path(path), Path.cwd()
    return f"{file.relative_to(here) if file.is_relative_to(here) else file}:{line}"


# ------------------------------------------------------------------ steps
def steps(plan: Plan) -> list[Row]:
    """Every step in its order; the handler is the last."""
    rows = []
    numbers: dict[int, int] = {}
    for number, step in enumerate(plan.steps, 1):
        if isinstance(step, Recall):
            name, first = plan.names[step.slot], numbers[step.slot]
            rows.append(Row(name, f"shared, from step {first}", shared=True))
            continue
        numbers[step.slot] = number
        if isinstance(step, Read):
            rows.append(_read(step, plan))
        elif isinstance(step, Give):
            rows.append(_give(step, plan))
        else:
            rows.append(_call(step, plan))
    return rows


def _read(step: Read, plan: Plan) -> Row:
    declared = step.field
    if step.location == "body":
        media = getattr(declared.info, "media_type", "application/json")
        source = "the JSON body" if media == "application/json" else f"the body ({media})"
        if plan.embed:
            source = f"{source}, key {declared.alias}"
    elif step.collect is not None:
        source = _WHOLE[step.location]
    else:
        source = f"{step.location} {declared.alias}{', each one' if step.many else ''}"
    kind = type_name(declared.base)
    return Row(plan.names[step.slot], source, kind=kind, rules=tuple(rules_of(declared)))


def _give(step: Give, plan: Plan) -> Row:
    name, kind = plan.names[step.slot], step.kind.__name__
    if step.kind is SecurityScopes:
        return Row(name, f"the scopes: {' '.join(step.scopes) or 'none'}", kind=kind)
    source = next(words for family, words in _GIVEN.items() if issubclass(step.kind, family))
    return Row(name, source, kind=kind)


def _call(step: Call, plan: Plan) -> Row:
    given = ", ".join(
        plan.names[slot] if name is None else f"{name}={plan.names[slot]}"
        for name, slot in step.arguments
    )
    name = step.label.rpartition(" ")[2].removesuffix("()")
    rules = ["the handler"] if step is plan.handler else []
    if step.kind in ("coroutine", "async_generator"):
        rules.append("async, can wait" if can_suspend(step.func) else "async, never waits")
    if _yields(step):
        rules.append(f'yield, scope="{step.scope}"')
    if step.adopts:
        rules.append("tasks that it returns are taken over")
    kind = type_name(step.func) if inspect.isclass(step.func) else _returned(step.func)
    return Row(plan.names[step.slot], f"{name}({given})", place(step.label), kind, tuple(rules))


def _yields(step: Call) -> bool:
    return step.kind in ("generator", "async_generator")


def _returned(func: Any) -> str:
    annotation = return_annotation(func)
    return "" if annotation is None else type_name(annotation)


# ------------------------------------------------------------------ the end
def ending(plan: Plan) -> list[tuple[str, str]]:
    """What happens besides sending the response: when, and what; in order."""
    left = {
        scope: [
            f"leave {plan.names[step.slot]}"
            for step in reversed(plan.calls())
            if _yields(step) and step.scope == scope
        ]
        for scope in ("function", "request", "tasks")
    }
    collects = any(
        (isinstance(step, Give) and issubclass(step.kind, BackgroundTasks))
        or (isinstance(step, Call) and step.adopts)
        for step in plan.steps
    )
    run = ["run the background tasks"] if collects or left["tasks"] else []
    moments = {
        "after the handler, before the first byte": left["function"],
        "after the last byte": left["request"],
        "then": run,
        "after the first attempt of each task": left["tasks"],
    }
    if run and not left["request"]:
        moments["after the last byte"], moments["then"] = run, []
    return [(when, what) for when, every in moments.items() for what in every]


# ------------------------------------------------------------------ the answer
def answer(compiled: Compiled) -> list[tuple[str, str]]:
    """What is sent when all goes well: a name and its value, line by line."""
    returns = compiled.returns
    returned = return_annotation(compiled.plan.handler.func)
    if returns.model is None and is_class(returned, RESPONSES):
        return [("response", "the one that the handler returns, as it is")]
    status = ("status", _status(compiled))
    if returns.bodiless:
        return [status, ("body", "none: this status has no body")]
    lines = [status]
    content_type = returns.content_type[1]
    if returns.kind == "object" and returns.response_class is not None:
        lines.append(("response class", returns.response_class.__name__))
        content_type = returns.response_class.media_type or "that of the response"
    lines.append(("content type", content_type))
    if returns.model is None:
        return [*lines, ("model", "none: whatever the handler returns")]
    lines.append(("model", type_name(returns.model)))
    given = {**returns.options.given()}
    if given["by_alias"]:
        del given["by_alias"]  # the usual way is not worth a word
    options = ", ".join(f"{name}={value!r}" for name, value in given.items())
    return [*lines, ("options", options)] if options else lines


def _status(compiled: Compiled) -> str:
    returns = compiled.returns
    status = returns.status
    if returns.status_code is None and returns.response_class is not None:
        # A class may have a status of its own (a redirect's is 307).
        own = inspect.signature(returns.response_class).parameters.get("status_code")
        if own is not None and isinstance(own.default, int):
            status = status_line(own.default)
    gives = any(
        isinstance(step, Give) and issubclass(step.kind, Response) for step in compiled.plan.steps
    )
    return f"{status}, unless the handler sets another" if gives else status
