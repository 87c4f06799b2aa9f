"""Whether a call that is to be made later can succeed at all."""

from __future__ import annotations

import inspect
from functools import partial
from types import FunctionType
from typing import Any

from wsgibg._options import name_of
from wsgibg.exceptions import TaskRefused

__all__ = ["ODD", "binds", "check_call", "is_async"]

_GENERATOR = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_VARIADIC = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
ODD = _GENERATOR | _VARIADIC


def binds(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a plain function surely takes this call; no means: ask `inspect`."""
    if type(func) is not FunctionType:
        return False
    code = func.__code__
    if code.co_flags & ODD or code.co_kwonlyargcount or code.co_posonlyargcount:
        return False
    given, count = len(args), code.co_argcount
    if given > count:
        return False
    names = code.co_varnames[given:count]
    for name in kwargs:
        if name not in names:
            return False
    # Of the rest, those without a default must be there.
    defaults = func.__defaults__ or ()
    needed = count - len(defaults) - given
    if any(map(_is_injected, defaults)):
        return False
    return needed <= 0 or all(name in kwargs for name in names[:needed])


def _is_injected(default: Any) -> bool:
    """Whether a default stands for a value that is to be injected: `Injected`, ``Depends(f)``."""
    return default is inspect.Parameter.empty or hasattr(default, "use_cache")


def check_call(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse, where the mistake is made, a call that cannot succeed when its turn comes."""
    if not callable(func):
        hint = ""
        if inspect.iscoroutine(func):
            func.close()
            hint = " It is a coroutine: pass the function and its arguments, do not call it."
        msg = f"add_task() was given {func!r}, which cannot be called.{hint}"
        raise TaskRefused(msg)
    while isinstance(func, partial):
        args, kwargs = (*func.args, *args), {**func.keywords, **kwargs}
        func = func.func
    method = func if inspect.isroutine(func) or inspect.isclass(func) else type(func).__call__
    if inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):
        msg = (
            f"{name_of(func)}() is a generator function: calling it runs nothing."
            " Pass a function that iterates over it."
        )
        raise TaskRefused(msg)
    try:
        # A wrapper is bound by its own parameters: they are what the call will meet.
        signature = inspect.signature(func, follow_wrapped=False)
    except (ValueError, SystemError):
        # A builtin without a signature: only the call itself can tell. Where it has one, that is
        # parsed, which threads at the same time may not do in CPython ("recursion depth mismatch").
        return
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        msg = f"{name_of(func)}{signature} does not take these arguments: {error}."
        raise TaskRefused(msg) from None
    for name, parameter in signature.parameters.items():
        if name not in bound.arguments and hasattr(parameter.default, "use_cache"):
            msg = (
                f"{name_of(func)}(): nothing is injected into a task yet, so its parameter"
                f" {name!r} needs a value. Pass it to add_task()."
            )
            raise TaskRefused(msg)


def is_async(func: Any) -> bool:
    """Whether calling a function gives a coroutine."""
    while isinstance(func, partial):
        func = func.func
    if type(func) is FunctionType:
        return bool(func.__code__.co_flags & inspect.CO_COROUTINE)
    return inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(
        getattr(func, "__call__", None)  # noqa: B004 (its kind is asked, not whether it is there)
    )
