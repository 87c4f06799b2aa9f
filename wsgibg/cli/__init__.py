"""The command ``wsgibg``; it needs the extra ``wsgibg[cli]``."""

from __future__ import annotations

import sys

# Click and Rich are an extra, and the script is installed without it as well. All that needs them
# is behind this one import, so that `main` can say what to install.
try:
    from wsgibg.cli import _commands
except ModuleNotFoundError as _error:
    if (_error.name or "").partition(".")[0] not in ("click", "rich"):
        raise  # something of ours is broken: that is no matter of extras
    INSTALLED = False
else:
    INSTALLED = True

__all__ = ["main"]


def main() -> None:
    """Run the command line; the entry point of the script.

    Raises:
        SystemExit: always. The status is 0, 2 where the command line was wrong, or 1 where
            something else was, such as the extra, which is missing.
    """
    if not INSTALLED:
        print("wsgibg: the command line needs Click and Rich: install wsgibg[cli]", file=sys.stderr)
        sys.exit(1)
    _commands.wsgibg(prog_name="wsgibg")
