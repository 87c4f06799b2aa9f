"""Griffe extension: an `Example:` in a docstring is shown as the program that it is.

Griffe knows `Examples:` only, and would take the lines below `Example:` for running text.
"""

from __future__ import annotations

import re
from typing import Any

import griffe


class ExampleSections(griffe.Extension):
    """Read the singular as the plural."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the heading, when an object has been read from the source."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(
                r"^( *)Example:$", r"\1Examples:", obj.docstring.value, flags=re.MULTILINE
            )
