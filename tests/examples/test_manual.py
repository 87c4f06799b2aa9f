"""The README and `docs/`: each program in them is one of `examples/`, which are tested."""

from __future__ import annotations

import re

import pytest

from tests.support import ROOT
from wsgibg import App

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^( *)```(?:python| { .python)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def programs() -> str:
    """The text of every example."""
    paths = sorted((ROOT / "examples").rglob("*.py"))
    return "\n\n".join(path.read_text(encoding="utf-8") for path in paths)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_programs_are_examples(page):
    """A block includes an example, consists of parts of one, or runs by itself."""
    known = programs()

    for _, block in FENCE.findall(page.read_text(encoding="utf-8")):
        parts = [part.strip("\n") for part in re.split(r"\n{2,}", block)]
        if "--8<--" not in block and not all(part in known for part in parts):
            exec(compile(block, str(page), "exec"), {"App": App})
