"""Check that the installed wheel holds every file of the package.

Run by `tox -e bare` with `python -P`, so that the installed package is looked at and not the
source tree. A file that .gitignore happens to match is left out by the build, silently.
"""

from __future__ import annotations

import sys
from importlib.metadata import files
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> int:
    """Return 1 and name the files, if any is missing."""
    source = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "wsgibg").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }
    absent = sorted(source - {str(file) for file in files("wsgibg") or []})
    if absent:
        print("Not in the wheel:", *absent, sep="\n  ")
    return bool(absent)


if __name__ == "__main__":
    sys.exit(main())
