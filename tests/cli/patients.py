"""Applications that the doctor is sent to."""

from __future__ import annotations

import os
from pathlib import Path

from wsgibg import App, Executor, ThreadExecutor, wrap

app = App()
pooled = App(executor=ThreadExecutor(workers=2))
tame = App()


def foreign(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "7")])
    return [b"foreign"]


wrapped = wrap(foreign)


class Framework:
    """It is served through an attribute, as Flask is."""

    def __init__(self):
        self.wsgi_app = wrapped

    def __call__(self, environ, start_response):
        return self.wsgi_app(environ, start_response)


framework = Framework()


class Queue(Executor):
    """It would put tasks where others find them."""

    durable = True


queued = App(executor=Queue())


class Own(Executor):
    """It is of neither of our kinds."""


own = App(executor=Own())


def make():
    """A function that makes the application."""
    tame.install_signal_handlers()
    return tame


def known():
    """One that leaves the number of its process."""
    (Path(os.environ["PATIENTS_FOLDER"]) / "pid").write_text(str(os.getpid()))
    return app


def fail():
    raise ValueError("no settings")
