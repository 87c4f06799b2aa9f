"""Serve an application with a server that has no command of its own: launch.py SERVER PORT APP."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any


def main() -> None:
    """Serve until the process is ended."""
    server, port, app = sys.argv[1:]
    if server == "mod_wsgi":
        become_apache(port, *app.split(":"))
    if server == "gevent-pywsgi":  # before anything else is imported
        import_module("gevent.monkey").patch_all()
    module, _, name = app.partition(":")
    serve(server, getattr(import_module(module), name), int(port))


def serve(server: str, application: Any, port: int) -> None:
    """Serve an application in this process."""
    if server == "bjoern":
        import_module("bjoern").run(application, "127.0.0.1", port)
    elif server == "gevent-pywsgi":
        import_module("gevent.pywsgi").WSGIServer(("127.0.0.1", port), application).serve_forever()
    elif server == "wsgiref":
        simple_server = import_module("wsgiref.simple_server")
        simple_server.make_server("127.0.0.1", port, application).serve_forever()
    else:
        serving = import_module("werkzeug.serving")
        serving.run_simple("127.0.0.1", port, application, threaded=server == "werkzeug-threaded")


def become_apache(port: str, module: str, name: str) -> None:
    """Go on as Apache with mod_wsgi in daemon mode: one process of five threads."""
    command = [
        str(Path(sys.executable).with_name("mod_wsgi-express")),
        *("start-server", "--application-type=module", f"--callable-object={name}"),
        *(f"--port={port}", "--host=127.0.0.1", "--log-to-terminal", "--locale=C.UTF-8"),
        f"--server-root={Path.cwd() / 'apache'}",
        *(f"--python-path={path}" for path in os.environ["PYTHONPATH"].split(os.pathsep)),
        module,
    ]
    if os.geteuid() == 0:  # as whom Apache refuses to serve: in here somebody else is called root
        command = ["unshare", "--user", "--map-user=1000", "--map-group=1000", *command]
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
