"""How the tests of frameworks come to the example programs."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from types import ModuleType

import pytest

from tests.support import ROOT

__all__ = ["example"]


def example(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module `examples/NAME.py`, imported by its name as a server does, and anew."""
    monkeypatch.syspath_prepend(ROOT / "examples")
    monkeypatch.delitem(sys.modules, name, raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of what frameworks import
        return import_module(name)
