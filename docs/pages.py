"""MkDocs hook: the pages that are made from the source, so that they cannot fall behind it.

One page shows every file of examples/. One page for each public module shows its docstrings.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent


def public_modules() -> Iterator[str]:
    """The dotted name of each module that lists its names in `__all__`."""
    for path in sorted((ROOT / "wsgibg").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        internal = any(part.startswith("_") for part in parts)
        if not internal and "__all__" in path.read_text(encoding="utf-8"):
            yield ".".join(parts)


def examples() -> str:
    """A section for each example: what its docstring says, and the file."""
    sections = ["# Examples", "Each of these files runs, and is tested."]
    for path in sorted((ROOT / "examples").glob("*.py")):
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        name = f"examples/{path.name}"
        sections += [f"## `{path.name}`", docstring, f'```python\n--8<-- "{name}"\n```']
    return "\n\n".join(sections) + "\n"


def on_config(config: Any) -> Any:
    """Put the reference pages into the navigation."""
    pages = [{name: f"reference/{name}.md"} for name in public_modules()]
    for entry in config.nav:
        if "Reference" in entry and isinstance(entry, dict):
            entry["Reference"] = pages
    return config


def on_files(files: Files, config: Any) -> Files:
    """Make the pages."""
    files.append(File.generated(config, "examples.md", content=examples()))
    for name in public_modules():
        content = f"# `{name}`\n\n::: {name}\n"
        files.append(File.generated(config, f"reference/{name}.md", content=content))
    return files
