"""Annotations that are strings, which have to be looked up in the module of the function."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.parity.both import both

SOURCE = Path(__file__).with_name("postponed.py")


def declare(ns: Any) -> Any:
    """Run the module with the names of one framework."""
    name = f"tests.parity.postponed_{'ours' if ns.ours else 'theirs'}"
    module = ModuleType(name)
    module.__dict__.update(ns=ns, __file__=str(SOURCE))
    sys.modules[name] = module
    exec(compile(SOURCE.read_text(encoding="utf-8"), str(SOURCE), "exec"), module.__dict__)
    return module.app


@pytest.mark.parametrize(
    "query", ["", "?size=x&colour=blue&q=c", "?size=1&colour=red&q=b&tags=1&tags=2"]
)
def test_postponed_annotations_mean_the_same(query: str) -> None:
    """In handlers, classes, objects, generators, aliases, models and return annotations."""
    pair = both(declare)
    for number in ("1", "0", "x"):
        for token in ("t", "token"):
            for item in ({"item": {"name": "n"}}, {"item": {"part": {}}}, {"count": "x"}):
                pair.post(f"/items/{number}{query}", {"Token": token}, json=item)
    for name in ("abc", "abcd"):
        pair.get(f"/model?name={name}")
