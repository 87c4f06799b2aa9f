"""Combine what all environments measured, and refuse a branch coverage below the limit.

Run by `tox` last. The limit stands in pyproject.toml. Where a service or a server was missing, its
tests were skipped, so the limit does not apply: that is said, and nothing is refused. In CI nothing
is skipped (`tests.support.missing`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def skipped() -> list[str]:
    """The services and servers that tests did not find."""
    notes = os.environ.get("WSGIBG_SERVICES_MISSING", "")
    if not notes or not Path(notes).exists():
        return []
    return sorted(set(Path(notes).read_text(encoding="utf-8").split("\n")) - {""})


def measured() -> bool:
    """Whether Python 3.11, which runs every test, has left measurements."""
    return any(ROOT.glob(".coverage.py311.*")) or (ROOT / ".coverage").exists()


def coverage(*arguments: str) -> int:
    command = [sys.executable, "-m", "coverage", *arguments]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def main() -> int:
    """Return the exit status: 0, or that of the step that failed."""
    if not measured():
        print("The py311 environment has measured nothing: run it before this one. Without Python")
        print("3.11, which runs every test, there is no telling what the tests cover.")
        return 1
    if failed := any(ROOT.glob(".coverage.*")) and coverage("combine", "--quiet", "--append"):
        return failed
    if absent := skipped():
        print(f"The coverage limit does not apply, because these were missing: {', '.join(absent)}")
        return coverage("report", "--fail-under=0")
    return coverage("report")


if __name__ == "__main__":
    sys.exit(main())
