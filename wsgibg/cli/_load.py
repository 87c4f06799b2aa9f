"""From ``MODULE:APP`` on a command line to the application that is meant."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from types import ModuleType, TracebackType
from typing import Any

import click

from wsgibg.app import App
from wsgibg.routing import APIRouter

__all__ = ["load", "load_any", "split"]


def load(target: str) -> App:
    """Import an application.

    Args:
        target: ``module:name``. The current directory is searched first.

    Raises:
        click.UsageError: it is not written like that.
        click.ClickException: there is no such module, or no such application in it.
    """
    name, attribute = split(target)
    return _app_in(_module(name), attribute)


def load_any(target: str) -> Any:
    """Import any WSGI application.

    Args:
        target: ``module:name``, or ``module:make()`` where a function makes the application.

    Raises:
        click.UsageError: it is not written like that.
        click.ClickException: there is no such module, or nothing in it that can be called.
    """
    name, attribute = split(target)
    module = _module(name)
    plain = attribute.removesuffix("()")
    found = getattr(module, plain, None)
    if found is None:
        known = ", ".join(key for key, value in vars(module).items() if isinstance(value, App))
        remedy = f" It has {known}." if known else ""
        raise click.ClickException(f"{name} has no {plain!r}.{remedy}")
    if plain != attribute:
        try:
            found = found()
        except Exception as error:  # noqa: BLE001 (it is told whole)
            raise _broken(target, error) from None
    if not callable(found) or isinstance(found, APIRouter) is not isinstance(found, App):
        msg = f"{target} is not a WSGI application: its type is {type(found).__name__}."
        raise click.ClickException(msg)
    return found


def split(target: str) -> tuple[str, str]:
    """The module and the name of ``module:name``.

    Raises:
        click.UsageError: it is not written like that.

    Example:
        >>> split("shop.api:app")
        ('shop.api', 'app')
    """
    name, colon, attribute = target.partition(":")
    if not (name and colon and attribute):
        msg = f"{target!r} does not say which App is meant. Write MODULE:APP, as in shop.api:app."
        raise click.UsageError(msg)
    if "/" in name or name.endswith(".py"):
        dotted = name.removesuffix(".py").strip("./").replace("/", ".")
        msg = f"{name!r} is a file. Write the module's name: {dotted}:{attribute}."
        raise click.UsageError(msg)
    return name, attribute


def _module(name: str) -> ModuleType:
    here = os.getcwd()  # noqa: PTH109 (what goes to sys.path is a string)
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _broken(name, error) from None  # it is there, but imports what is not
        msg = (
            f"There is no module {error.name!r} to import. Run the command where"
            f" `import {name}` works; the current directory ({here}) was searched first."
        )
        raise click.ClickException(msg) from None
    except Exception as error:  # noqa: BLE001 (it is told whole)
        raise _broken(name, error) from None


def _broken(name: str, error: Exception) -> click.ClickException:
    """What is said of a module that fails: its own traceback, without our frames."""
    trace = "".join(traceback.format_exception(type(error), error, _own_frames(error)))
    return click.ClickException(f"The import of {name} failed.\n\n{trace.rstrip()}")


def _own_frames(error: Exception) -> TracebackType | None:
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in _MACHINERY:
        trace = trace.tb_next
    return trace


#: What stands between the command and the first line of an imported module.
_MACHINERY = (
    __file__,
    importlib.__file__,
    "<frozen importlib._bootstrap>",
    "<frozen importlib._bootstrap_external>",
)


def _app_in(module: ModuleType, attribute: str) -> App:
    name = module.__name__
    missing = object()
    found = getattr(module, attribute, missing)
    if isinstance(found, App):
        return found
    if found is missing:
        said = f"{name} has no {attribute!r}."
    elif isinstance(found, APIRouter):
        said = (
            f"{name}:{attribute} is an APIRouter, whose routes are complete only"
            " in the App that includes it."
        )
    else:
        said = f"{name}:{attribute} is not an App: its type is {type(found).__name__}."
    apps = [key for key, value in vars(module).items() if isinstance(value, App)]
    known = ", ".join(f"{name}:{key}" for key in apps)
    remedy = f"There is {known}." if apps else f"There is no App in {module.__file__ or name}."
    raise click.ClickException(f"{said} {remedy}")
