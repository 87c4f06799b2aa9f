"""The explanation of a route, laid out for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from wsgibg.cli._describe import Row, answer, ending, mode, place, steps
from wsgibg.cli._find import Found

__all__ = ["show"]

_INDENT = (0, 0, 0, 2)


def show(found: Found, console: Console) -> None:
    """Print all that is to be said of a route.

    Args:
        found: the route.
        console: where to; its width decides how tables are folded.
    """
    plan = found.compiled.plan
    _heading(found, console)
    if plan.reads("body"):
        console.print(
            "The body is read first: if its JSON is broken, no step runs, and the answer is 422."
        )
    _title("Steps", console)
    console.print(_steps(steps(plan)))
    _list("End", ending(plan), console)
    _list("Answer", answer(found.compiled), console)
    _title("Function", console)
    _function(found.compiled.source, console)


def _heading(found: Found, console: Console) -> None:
    methods, _, path = found.compiled.title.partition(" ")
    handler = found.compiled.plan.handler
    console.print(Text(f"{found.method} {path}", "bold"))
    console.print(Text(f"{place(handler.label)} {handler.label.rpartition(' ')[2]}".strip()))
    others = [method for method in methods.split("|") if method != found.method]
    if others:
        console.print(f"It also answers {', '.join(others)}.")
    if found.shadowed_by:
        console.print(
            Text(
                f"No request gets here: {found.shadowed_by} is declared earlier and answers"
                f" {found.path}.",
                "bold red",
            )
        )
    console.print(mode(found.compiled))


def _title(text: str, console: Console) -> None:
    console.print()
    console.print(Text(text, "bold"))


def _steps(rows: list[Row]) -> Padding:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("from", overflow="fold")
    table.add_column("type and rules", overflow="fold")
    for number, row in enumerate(rows, 1):
        source = Text(row.source)
        if row.place:
            source.append(f"\n{row.place}", "dim")
        rules = Text(", ".join(part for part in (row.kind, *row.rules) if part))
        table.add_row(str(number), Text(row.value, "dim" if row.shared else "cyan"), source, rules)
    return Padding(table, _INDENT, expand=False)


def _list(title: str, lines: Iterable[tuple[str, str]], console: Console) -> None:
    """A title and pairs below it; nothing where there are none."""
    table = Table.grid(padding=(0, 2))
    for name, value in lines:
        table.add_row(Text(name, "dim"), Text(value))
    if table.row_count:
        _title(title, console)
        console.print(Padding(table, _INDENT, expand=False))


def _function(source: str, console: Console) -> None:
    """The code, neither folded nor cut, so that it can be copied."""
    if "Resume(" in source:
        console.print(
            "At `raise Resume(n, ...)` a value was wrong: from step n + 1 on, the steps are taken"
            " one by one, to collect every error for the 422."
        )
        console.print()
    code = Syntax("", "python", theme="ansi_dark", background_color="default").highlight(source)
    code.rstrip()
    console.print(code, soft_wrap=True)
