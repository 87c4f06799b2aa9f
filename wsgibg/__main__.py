"""``python -m wsgibg``: the command line."""

from __future__ import annotations

from wsgibg.cli import main

main()
