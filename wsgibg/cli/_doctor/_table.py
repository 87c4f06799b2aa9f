"""An examination, printed for people or for programs."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from wsgibg.cli._doctor._examine import SHORT, Examination
from wsgibg.cli._doctor._findings import findings, notes
from wsgibg.cli._doctor._stops import COUNT, DONE, LOST, Fate
from wsgibg.cli._doctor._waits import AT_ONCE, CLOSED, KINDS, NONE, Wait

__all__ = ["as_json", "show_examination"]

_INDENT = (0, 0, 0, 2)
#: What a signal's row is called.
_SIGNALS = {"TERM": "TERM", "HUP": "HUP (reload)"}


def show_examination(exam: Examination, console: Console) -> None:
    """Print the table, what is to be changed, and what else there is to know."""
    facts = exam.facts
    console.print(Text(f"{exam.target} under {_versions(exam)}", "bold"))
    console.print(Text(_shown(exam)))
    console.print(f"Python {facts['python']}. {_executor(exam)} {_length(exam)}")
    console.print()
    console.print(Padding(_waits(exam), _INDENT, expand=False))
    console.print()
    console.print(Padding(_fates(exam), _INDENT, expand=False))
    found = findings(exam)
    console.print()
    if not found:
        console.print(Text("Nothing to change.", "bold green"))
    for number, each in enumerate(found, 1):
        console.print(_numbered(f"{number}.", Text(each.what, "bold")))
        for remedy in each.remedy:
            console.print(_numbered("", Text(remedy, "cyan")))
    told = notes(exam)
    if told:
        console.print()
    for note in told:
        console.print(_numbered("-", Text(note, "dim")))


def _length(exam: Examination) -> str:
    text = f"A task takes {exam.seconds:g} s here"
    return f"{text}, and {SHORT:g} s where clients wait." if exam.seconds > SHORT else f"{text}."


def _executor(exam: Examination) -> str:
    name = exam.facts["executor"]
    if name is None:
        return "The application has no background tasks of wsgibg's."
    return f"Tasks of the application run in {name}."


def _numbered(number: str, text: Text) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=2, justify="right")
    grid.add_column(overflow="fold")
    grid.add_row(number, text)
    return grid


def _versions(exam: Examination) -> str:
    """The server with its version, and what it runs on."""
    name, versions = exam.command.server.name, exam.facts["versions"]
    also = {"uvicorn": ("a2wsgi",), "gunicorn": ("gevent",) if _is_gevent(exam) else ()}
    parts = [f"{each} {versions.get(each, '')}".strip() for each in (name, *also.get(name, ()))]
    return " with ".join(part for part in parts if " " in part or part == name)


def _is_gevent(exam: Examination) -> bool:
    return any("gevent" in word for word in exam.command.words)


def _shown(exam: Examination) -> str:
    """The command, with the user's application in the probe's place."""
    if exam.command.server.name == "werkzeug" and "-c" in exam.command.words:
        return f"run_simple('127.0.0.1', PORT, {exam.target.partition(':')[2]}, threaded=True)"
    words = [word.replace("{app}", exam.target) for word in exam.command.words]
    text = " ".join(word if "{" in word else shlex.quote(word) for word in words)
    return text.replace("{port}", "PORT").replace("{bind}", "127.0.0.1:PORT")


def _table(exam: Examination, first: str, *, base: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    table.add_column(first, width=max(len(kind.title) for kind in KINDS), overflow="fold")
    if base:
        table.add_column("no task", justify="right")
    else:
        table.add_column("", width=len("no task"))
    for mode in exam.modes:
        table.add_column(_heading(exam, mode), width=_width(exam), overflow="fold")
    return table


def _width(exam: Examination) -> int:
    """Of an executor's column, so that 80 columns hold the table."""
    return 17 if len(exam.modes) == 2 else 11


def _heading(exam: Examination, mode: str) -> str:
    name = exam.facts["executor"] if mode == "own" else mode
    return f"{name} (yours)" if mode == exam.own and exam.facts["executor"] else name


def _waits(exam: Examination) -> Table:
    table = _table(exam, "a client has", base=True)
    for kind in KINDS:
        base = exam.waits[NONE][kind.name]
        cells = [_wait(exam.waits[mode][kind.name], exam, kind.name) for mode in exam.modes]
        table.add_row(kind.title, _base(base), *cells)
    return table


def _base(wait: Wait) -> Text:
    if wait.verdict == AT_ONCE:
        return Text(_milliseconds(wait), "dim")
    return Text("-" if wait.verdict == CLOSED else wait.verdict, "dim")


def _wait(wait: Wait, exam: Examination, kind: str) -> Text:
    wide = len(exam.modes) == 2
    if wait.verdict == CLOSED:
        return Text("no keep-alive" if wide else "closed", "dim")
    if wait.verdict == AT_ONCE:
        return Text(f"at once {_milliseconds(wait):>8}" if wide else "at once", "green")
    if wait.verdict == exam.waits[NONE][kind].verdict:
        return Text(wait.verdict, "dim")  # the task has nothing to do with it
    if wait.verdict.startswith("error:"):
        return Text("NO ANSWER", "bold red")
    if wait.seconds and wide:
        gap = " " * (16 - len(wait.verdict) - len(_milliseconds(wait)))
        return Text(f"{wait.verdict.upper()}{gap}{_milliseconds(wait)}", "bold red")
    return Text(wait.verdict.upper(), "bold red")


def _milliseconds(wait: Wait) -> str:
    return f"{wait.seconds * 1000:.0f} ms"


def _fates(exam: Examination) -> Table:
    table = _table(exam, f"{COUNT} tasks, 1 running, at", base=False)
    for name, title in _SIGNALS.items():
        if name in exam.fates:
            fates = exam.fates[name]
            table.add_row(title, "", *(_fate(fates.get(mode), name) for mode in exam.modes))
    return table


def _fate(fate: Fate | None, name: str) -> Text:
    if fate is None:
        return Text("-", "dim")
    running, waiting = fate.tasks[0], set(fate.tasks[1:])
    style = "bold red" if LOST in fate.tasks else "yellow"
    text = f"1st {running}, rest {'/'.join(sorted(waiting))}"
    if {running} == waiting:
        text, style = (f"all {running}", "green" if running == DONE else style)
    if name == "TERM" and not fate.ended:
        return Text(f"{text}, runs on", "bold red")
    if name == "HUP" and not fate.serves:
        return Text(f"{text}, ends", "bold red")
    return Text(f"{text} ({fate.seconds:.1f} s)", style)


def as_json(exam: Examination) -> str:
    """All that was measured and concluded, for programs."""
    found: dict[str, Any] = {
        "target": exam.target,
        "command": list(exam.command.words),
        "server": exam.command.server.name,
        "seconds": exam.seconds,
        "facts": exam.facts,
        "executor": exam.own,
        "closes": exam.closes,
        "waits": {
            mode: {kind: asdict(wait) for kind, wait in each.items()}
            for mode, each in exam.waits.items()
        },
        "signals": {
            name: {mode: asdict(fate) for mode, fate in each.items()}
            for name, each in exam.fates.items()
        },
        "findings": [asdict(each) for each in findings(exam)],
        "notes": notes(exam),
    }
    return json.dumps(found, indent=2)
