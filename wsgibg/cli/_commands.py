"""The commands, as Click knows them."""

from __future__ import annotations

import click
from rich.console import Console

from wsgibg.cli._find import find, load
from wsgibg.cli._show import show

__all__ = ["wsgibg"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="wsgibg", message="%(prog)s %(version)s")
def wsgibg() -> None:
    """Look into applications that are made with wsgibg."""


@wsgibg.command()
@click.argument("target", metavar="MODULE:APP")
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
    found = find(app, target, method.upper(), path)
    # Names, types and code are printed as they are: no markup, no colours of Rich's own choice.
    show(found, Console(highlight=False, markup=False, emoji=False))
