"""What a project's ``WSGIBG`` setting says, checked when the server starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from wsgibg.executors import Executor
from wsgibg.executors.inline import InlineExecutor
from wsgibg.manager import AfterTaskError

__all__ = ["Options", "read_options"]

_KEYS = ("EXECUTOR", "EXECUTORS", "AFTER_TASK_ERROR", "STRICT")


class Options(NamedTuple):
    """The setting, with what it leaves out."""

    executor: Executor
    executors: dict[str, Executor]
    after_task_error: AfterTaskError
    strict: bool


def read_options() -> Options:
    """Read ``settings.WSGIBG``.

    Raises:
        ImproperlyConfigured: something in it is wrong.
    """
    given = getattr(settings, "WSGIBG", {})
    if not isinstance(given, Mapping):
        msg = f'WSGIBG={given!r} is not a dictionary. Write WSGIBG = {{"EXECUTOR": ...}}.'
        raise ImproperlyConfigured(msg)
    for key in given:
        if key not in _KEYS:
            msg = f"WSGIBG[{key!r}] is not known. Its keys are {', '.join(map(repr, _KEYS))}."
            raise ImproperlyConfigured(msg)
    others = given.get("EXECUTORS", {})
    if not isinstance(others, Mapping):
        msg = f'WSGIBG["EXECUTORS"]={others!r} is not a dictionary of executors by name.'
        raise ImproperlyConfigured(msg)
    after = given.get("AFTER_TASK_ERROR", "continue")
    if after not in ("continue", "stop"):
        msg = f'WSGIBG["AFTER_TASK_ERROR"]={after!r}: use "continue" or "stop".'
        raise ImproperlyConfigured(msg)
    strict = given.get("STRICT", False)
    if not isinstance(strict, bool):
        msg = f'WSGIBG["STRICT"]={strict!r}: use True or False.'
        raise ImproperlyConfigured(msg)
    return Options(
        _executor('WSGIBG["EXECUTOR"]', given.get("EXECUTOR", InlineExecutor)),
        {name: _executor(f'WSGIBG["EXECUTORS"][{name!r}]', one) for name, one in others.items()},
        after,
        strict,
    )


def _executor(place: str, given: Any) -> Executor:
    """An executor that a setting gives as an object, a factory, or the dotted path of either."""
    found = given
    if isinstance(given, str):
        try:
            found = import_string(given)
        except ImportError as error:
            msg = f"{place}={given!r} cannot be imported: {error}."
            raise ImproperlyConfigured(msg) from error
    if isinstance(found, Executor):
        return found
    remedy = (
        "Give an executor, such as wsgibg.ThreadExecutor(workers=4), a function or class that"
        " makes one when called without arguments, or the dotted path of either."
    )
    if not callable(found):
        msg = f"{place}={given!r} is not an executor. {remedy}"
        raise ImproperlyConfigured(msg)
    try:
        made = found()
    except Exception as error:
        msg = f"{place}={given!r} could not be called: {error!r}. {remedy}"
        raise ImproperlyConfigured(msg) from error
    if not isinstance(made, Executor):
        msg = f"{place}={given!r} has made {made!r}, which is not an executor. {remedy}"
        raise ImproperlyConfigured(msg)
    return made
