"""`can_suspend` tells, from its code, whether a function can ever wait."""

from __future__ import annotations

import asyncio
import asyncio.streams
import contextlib
import dis
import functools
import inspect
import sys
import types
from typing import Any
from unittest.mock import AsyncMock

import pytest

from wsgibg._aio import can_suspend


async def helper(*args: Any) -> Any:
    return args


async def many() -> Any:
    yield 1


# --- functions that cannot --------------------------------------------------------------------


async def returns() -> Any:
    return 1


async def calls_sync_code() -> Any:
    return sorted([3, 2, 1])


async def returns_a_coroutine() -> Any:
    return helper()


async def makes_a_task() -> Any:
    return asyncio.create_task(helper())


async def raises() -> Any:
    raise ValueError


async def has_a_nested_function_that_awaits() -> Any:
    async def inner() -> Any:
        await helper()

    return inner


async def makes_an_async_generator_expression() -> Any:
    return (one async for one in many())


async def uses_sync_with_and_for() -> Any:
    with contextlib.suppress(ValueError):
        for one in range(3):
            return [two * 2 for two in range(one)]
    return None


async def yields() -> Any:
    yield 1


async def yields_in_try_finally() -> Any:
    try:
        yield 1
    finally:
        print("closed")


class Service:
    async def method(self) -> Any:
        return 1

    @staticmethod
    async def static() -> Any:
        return 1

    @classmethod
    async def of_class(cls) -> Any:
        return 1

    async def awaits(self) -> Any:
        await helper()

    async def __call__(self) -> Any:
        return 1


CANNOT = [
    returns,
    calls_sync_code,
    returns_a_coroutine,
    makes_a_task,
    raises,
    has_a_nested_function_that_awaits,
    makes_an_async_generator_expression,
    uses_sync_with_and_for,
    yields,
    yields_in_try_finally,
    Service().method,
    Service.static,
    Service.of_class,
]


# --- functions that can, or that are unusual --------------------------------------------------


async def awaits() -> Any:
    return await helper()


async def awaits_in_a_branch_never_taken() -> Any:
    if sys.platform == "nowhere":
        await helper()


async def loops() -> Any:
    async for _ in many():
        pass


async def enters() -> Any:
    async with asyncio.Lock():
        pass


async def comprehends() -> Any:
    return [one async for one in many()]


async def comprehends_by_await() -> Any:
    return {one: await helper() for one in range(3)}


async def yields_after_await() -> Any:
    await helper()
    yield 1


async def yields_inside_async_with() -> Any:
    async with asyncio.Lock():
        yield 1


async def yields_from_another() -> Any:
    async for one in many():
        yield one


@functools.wraps(returns)
async def wrapper_that_awaits() -> Any:
    return await returns()


@functools.wraps(returns)
def sync_wrapper() -> Any:
    return returns()


@types.coroutine
def old_style() -> Any:
    yield


def sync() -> Any:
    return 1


CAN = [
    awaits,
    awaits_in_a_branch_never_taken,
    loops,
    enters,
    comprehends,
    comprehends_by_await,
    yields_after_await,
    yields_inside_async_with,
    yields_from_another,
    wrapper_that_awaits,
    sync_wrapper,
    old_style,
    sync,
    Service().awaits,
    Service(),
    Service,
    contextlib.asynccontextmanager(yields),
    functools.partial(returns),
    functools.partialmethod(Service.method),
    AsyncMock(),
    print,
    lambda: helper(),
    types.MethodType(functools.partial(returns), 1),
]


def names(functions: list[Any]) -> list[str]:
    """A test id for each; some share their name."""
    named = [getattr(one, "__qualname__", type(one).__qualname__) for one in functions]
    return [f"{position}-{name}" for position, name in enumerate(named)]


@pytest.mark.parametrize("function", CANNOT, ids=names(CANNOT))
def test_a_function_without_await_cannot_suspend(function):
    """Neither a coroutine function nor an async generator function waits without `await`."""
    assert not can_suspend(function)


@pytest.mark.parametrize("function", CAN, ids=names(CAN))
def test_a_function_that_awaits_or_is_unusual_can(function):
    """`await` in any form, and all that is no plain async function, counts as "can"."""
    assert can_suspend(function)


def test_arguments_of_instructions_are_not_taken_for_instructions():
    """A function with as many constants as there are byte values has no `SEND` for that."""
    body = "\n".join(f"    yield {number}" for number in range(1000, 1600))
    made: dict[str, Any] = {}
    exec(f"async def numbers():\n{body}\nasync def numbers2():\n{body}\n    await 1", made)

    assert not can_suspend(made["numbers"])
    assert can_suspend(made["numbers2"])


def test_the_bytes_and_the_disassembler_agree():
    """On every async function of asyncio and contextlib, and there are both kinds."""
    seen = {True: 0, False: 0}
    for module in [asyncio.streams, asyncio.tasks, asyncio.base_events, asyncio.locks, contextlib]:
        for owner in [module, *filter(inspect.isclass, vars(module).values())]:
            for function in filter(inspect.isfunction, vars(owner).values()):
                if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
                    used = {one.opname for one in dis.get_instructions(function)}
                    assert can_suspend(function) == ("SEND" in used), function
                    seen["SEND" in used] += 1

    assert min(seen.values()) > 3


def test_a_function_that_has_run_often_is_judged_the_same():
    """The interpreter rewrites hot code; what is judged is the code as compiled."""
    for function in [awaits, returns] * 300:
        with contextlib.suppress(StopIteration):
            function().send(None)

    assert can_suspend(awaits)
    assert not can_suspend(returns)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring came with Python 3.12")
def test_a_monitored_function_is_judged_the_same():
    """Coverage and debuggers put instructions of their own into the code while they watch it."""
    events = sys.monitoring.events
    sys.monitoring.use_tool_id(4, "wsgibg tests")
    try:
        sys.monitoring.set_events(4, events.INSTRUCTION | events.LINE | events.PY_YIELD)
        with contextlib.suppress(StopIteration):
            awaits().send(None)
        assert can_suspend(awaits)
        assert not can_suspend(returns)
    finally:
        sys.monitoring.set_events(4, 0)
        sys.monitoring.free_tool_id(4)
