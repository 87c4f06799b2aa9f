"""The programs of the guide to embedding that need nothing but Werkzeug."""

# ruff: noqa: ANN001
from __future__ import annotations

from werkzeug.middleware.dispatcher import DispatcherMiddleware

from wsgibg import App, BackgroundTasks, current_tasks, wrap

lines: list[str] = []


# --8<-- [start:bare]
def hello(environ, start_response):
    environ["wsgibg.tasks"].add_task(lines.append, "after the response")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]


bare = wrap(hello)
# --8<-- [end:bare]


# --8<-- [start:library]
def remember(line: str) -> None:
    """A function of a library, called somewhere below a view."""
    current_tasks().add_task(lines.append, line)


# --8<-- [end:library]


# --8<-- [start:mount]
def legacy(environ, start_response):
    remember(f"legacy {environ['PATH_INFO']}")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
    return [b"old"]


app = App()


@app.get("/new")
def new(background_tasks: BackgroundTasks) -> str:
    background_tasks.add_task(lines.append, "new")
    return "new"


app.mount("/old", wrap(legacy))
# --8<-- [end:mount]


# --8<-- [start:dispatch]
site = wrap(DispatcherMiddleware(legacy, {"/api": app}))
# --8<-- [end:dispatch]
