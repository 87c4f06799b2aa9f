"""Whether a call that is to be made later can succeed at all."""

from __future__ import annotations

import inspect
from functools import partial
from types import FunctionType, MethodType
from typing import Any, NoReturn

from wsgibg._injected import Declared, is_injected
from wsgibg._options import name_of
from wsgibg.exceptions import TaskRefused

__all__ = ["ODD", "binds", "check_call", "declaring", "is_async"]

_GENERATOR = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_VARIADIC = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
ODD = _GENERATOR | _VARIADIC


def binds(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, ...] | None:
    """What `check_call` would say of a plain function that surely takes a call; else nothing."""
    if type(func) is not FunctionType:
        return None
    code = func.__code__
    if code.co_flags & ODD or code.co_kwonlyargcount or code.co_posonlyargcount:
        return None
    given, count = len(args), code.co_argcount
    if given > count:
        return None
    names = code.co_varnames[given:count]
    for name in kwargs:
        if name not in names:
            return None
    # Of the rest, those without a default must be there.
    defaults = func.__defaults__ or ()
    needed = max(0, count - len(defaults) - given)
    for name in names[:needed]:
        if name not in kwargs:
            return None
    if not any(map(is_injected, defaults)):
        return ()
    rest = names[needed:]
    own = zip(rest, defaults[len(defaults) - len(rest) :], strict=True)
    return tuple(name for name, default in own if name not in kwargs and is_injected(default))


def check_call(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, ...]:
    """Refuse, where the mistake is made, a call that cannot succeed when its turn comes.

    Returns:
        The names of the parameters that the call leaves to be injected.
    """
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
        return ()
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        _refuse(func, signature, error, args, kwargs)
    inner = declaring(func)
    if inner is not func:
        try:
            signature = inspect.signature(inner, follow_wrapped=False)
            bound = signature.bind(*args, **kwargs)
        except (TypeError, ValueError):
            return ()  # the wrapper passes other arguments on than it gets, and sees to it itself
    return tuple(_left_out(func, signature, bound))


def declaring(func: Any) -> Any:
    """Whose parameters are injected: a wrapper that takes any keyword speaks for what it wraps."""
    while isinstance(func, partial):
        func = func.func
    while hasattr(func, "__wrapped__") and _takes_any_keyword(func):
        inner = func.__wrapped__
        func = MethodType(inner, func.__self__) if isinstance(func, MethodType) else inner
    return func


def _takes_any_keyword(func: Any) -> bool:
    code = getattr(func, "__code__", None) or getattr(type(func).__call__, "__code__", None)
    return code is not None and bool(code.co_flags & inspect.CO_VARKEYWORDS)


def _left_out(func: Any, signature: inspect.Signature, bound: inspect.BoundArguments) -> list[str]:
    found = []
    for name, parameter in signature.parameters.items():
        if name not in bound.arguments and is_injected(parameter.default):
            if parameter.kind is parameter.POSITIONAL_ONLY:
                msg = (
                    f"{name_of(func)}{signature}: {name!r} is injected by its name, which a"
                    " parameter in front of `/` does not take. Put it behind."
                )
                raise TaskRefused(msg)
            found.append(name)
    return found


def _refuse(
    func: Any,
    signature: inspect.Signature,
    error: TypeError,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> NoReturn:
    """Say why a call does not bind, and what to do where a value was to be injected."""
    hint = ""
    try:
        given = signature.bind_partial(*args, **kwargs).arguments
        declared = inspect.signature(func, follow_wrapped=False, eval_str=True).parameters
    except (NameError, TypeError, AttributeError, SyntaxError):
        pass  # it has other faults, or names that only type checkers see
    else:
        for name, parameter in declared.items():
            empty = parameter.default is parameter.empty
            if empty and name not in given and _could_be_given(parameter.annotation):
                hint += f" For {name!r} to be injected, write `= Injected` behind its annotation."
    msg = f"{name_of(func)}{signature} does not take these arguments: {error}.{hint}"
    raise TaskRefused(msg) from None


def _could_be_given(annotation: Any) -> bool:
    """Whether an annotation says where a value comes from: by a marker, or as a collector."""
    metadata = getattr(annotation, "__metadata__", ())
    return hasattr(annotation, "add_task") or any(isinstance(each, Declared) for each in metadata)


def is_async(func: Any) -> bool:
    """Whether calling a function gives a coroutine."""
    while isinstance(func, partial):
        func = func.func
    if type(func) is FunctionType:
        return bool(func.__code__.co_flags & inspect.CO_COROUTINE)
    return inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(
        getattr(func, "__call__", None)  # noqa: B004 (its kind is asked, not whether it is there)
    )
