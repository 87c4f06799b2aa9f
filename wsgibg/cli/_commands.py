"""The commands, as Click knows them."""

from __future__ import annotations

import sys

import click
from rich.console import Console

from wsgibg.cli._doctor._consult import consult
from wsgibg.cli._find import find
from wsgibg.cli._load import load, load_any
from wsgibg.cli._routes import show_routes
from wsgibg.cli._run import run as serve
from wsgibg.cli._show import show
from wsgibg.exceptions import RegistrationError

__all__ = ["wsgibg"]

#: MODULE:APP, as every command takes it.
_TARGET = click.argument("target", metavar="MODULE:APP")


def _console() -> Console:
    # Names, types and code are printed as they are: no markup, no colours of Rich's own choice.
    return Console(highlight=False, markup=False, emoji=False)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="wsgibg", message="%(prog)s %(version)s")
def wsgibg() -> None:
    """Look into applications that are made with wsgibg, and serve them."""


@wsgibg.command()
@_TARGET
@click.argument("method")
@click.argument("path")
def explain(target: str, method: str, path: str) -> None:
    """Print what a route does, step by step.

    MODULE:APP is where the App object is, as in shop.api:app; the current directory can be imported
    from. PATH is declared (/items/{item_id}) or requested (/items/5).

    Printed are the steps in their order, what ends after the response, what is sent, and the
    Python function that the steps are compiled to.
    """
    app = load(target)
    show(find(app, target, method.upper(), path), _console())


@wsgibg.command()
@_TARGET
def routes(target: str) -> None:
    """List the routes of an application: method, path, name, and what each needs.

    MODULE:APP is where the application is, as in shop.api:app. Routes are listed in the order in
    which they are tried, those of mounted applications after their mount.
    """
    try:
        show_routes(load_any(target), target, _console())
    except RegistrationError as error:
        raise click.ClickException(str(error)) from None


@wsgibg.command()
@_TARGET
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="The port to listen on; 0 for one that is free.",
)
@click.option("--no-reload", is_flag=True, help="Do not start again when a file changes.")
def run(target: str, host: str, port: int, *, no_reload: bool) -> None:
    """Serve an application while it is developed.

    MODULE:APP is any WSGI application, as in shop.api:app, or shop.api:make() where a function
    makes it. The server is Werkzeug's, with threads; it is not meant for production.
    """
    serve(target, host, port, reload=not no_reload)


@wsgibg.command(
    context_settings={"ignore_unknown_options": True},
    options_metavar="--server SERVER [OPTIONS]",
)
@_TARGET
@click.option("--server", required=True, help="A server's name, or its command.")
@click.option(
    "--seconds",
    type=click.FloatRange(0.05, 600),
    default=0.3,
    show_default=True,
    help="How long each task takes. Longer than your server's limits shows what they do.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[SERVER'S OPTIONS]...")
def doctor(
    target: str, server: str, seconds: float, options: tuple[str, ...], *, as_json: bool
) -> None:
    """Measure what background tasks meet under your server.

    The server is started as you start it (on a port of its own, with your application and a few
    routes besides), once or several times. It is asked for every kind of response, with a task
    inline and in a pool; it is sent SIGTERM, and SIGHUP if that reloads it. Printed is what a
    client waits for, what becomes of the tasks, and which setting changes it.

    \b
      wsgibg doctor shop.api:app --server gunicorn -k gthread --threads 4
      wsgibg doctor shop.api:app --server "uwsgi --master --http :8000"
      wsgibg doctor shop.api:app --server "./serve {app} {port}"

    Known are gunicorn, uwsgi, waitress-serve, granian, hypercorn, uvicorn (with a2wsgi), cheroot,
    flask run and werkzeug. The exit status is 0 if all is well, 1 if there is something to change,
    2 if it could not be found out.
    """  # noqa: D301 (Click's mark has to be the character itself)
    sys.exit(consult(target, server, options, seconds, as_json=as_json, console=_console()))
