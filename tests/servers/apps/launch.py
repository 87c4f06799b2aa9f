"""Serve an application with a server that has no command of its own: launch.py SERVER PORT APP."""

from __future__ import annotations

import sys
from importlib import import_module


def main() -> None:
    """Serve until the process is ended."""
    server, port, app = sys.argv[1:]
    module, _, name = app.partition(":")
    application = getattr(import_module(module), name)
    if server == "bjoern":
        import_module("bjoern").run(application, "127.0.0.1", int(port))
    else:
        serving = import_module("werkzeug.serving")
        serving.run_simple(
            "127.0.0.1", int(port), application, threaded=server == "werkzeug-threaded"
        )


if __name__ == "__main__":
    main()
