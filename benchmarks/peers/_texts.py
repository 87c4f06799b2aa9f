"""Turns a text in `benchmarks/texts` into an application, by textual substitution.

So one text serves FastAPI in two styles and wsgibg in three, and "a port changes the imports" is
not a claim but the only thing that is done.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

TEXTS = Path(__file__).parents[1] / "texts"

Substitution = tuple[str, str]
"""A regular expression for whole-line work (`^` starts a line), with its replacement."""

ASYNC: Substitution = (r"^( *)def ", r"\1async def ")
"""Makes every handler, dependency and task of a text `async def`."""


def sites(*substitutions: Substitution) -> Mapping[str, Callable[..., Any]]:
    """Return the builders of all sites, each from its text with the substitutions made.

    The text `manual` is left to `manual_site`.
    """
    names = {path.stem for path in TEXTS.glob("*.py")} - {"manual"}
    return {
        name.replace("_", "-"): partial(_application, name, substitutions) for name in sorted(names)
    }


def manual_site(*substitutions: Substitution) -> Mapping[str, Callable[..., Any]]:
    """Return the builder of W3 alone, from the text that mixes `def` and `async def`."""
    return {"notify": partial(_application, "manual", substitutions)}


def _application(
    name: str, substitutions: tuple[Substitution, ...], count: int | None = None
) -> Any:
    path = TEXTS / f"{name}.py"
    text = path.read_text(encoding="utf-8")
    if count is not None:
        substitutions = (*substitutions, (r"^COUNT = \d+$", f"COUNT = {count}"))
    for pattern, replacement in substitutions:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    namespace: dict[str, Any] = {"__name__": f"benchmarks.texts.{name}"}
    exec(compile(text, str(path), "exec"), namespace)
    return namespace["app"]
