"""The doctor's visit: from the words of the command line to an exit status."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from rich.console import Console

from wsgibg.cli._doctor._command import understand
from wsgibg.cli._doctor._examine import examine
from wsgibg.cli._doctor._findings import findings
from wsgibg.cli._doctor._served import CannotRun
from wsgibg.cli._doctor._table import as_json as to_json
from wsgibg.cli._doctor._table import show_examination
from wsgibg.cli._load import split

__all__ = ["consult"]

WELL, FINDINGS, UNKNOWN = 0, 1, 2


def consult(
    target: str,
    server: str,
    options: Sequence[str],
    seconds: float,
    *,
    as_json: bool,
    console: Console,
) -> int:
    """Examine an application under a server, and print what was found.

    Args:
        target: the application.
        server: a server's name, or its command.
        options: further words of the command.
        seconds: how long each task takes.
        as_json: whether to print JSON instead of tables.
        console: where tables are printed.

    Returns:
        The exit status: 0 if all is well, 1 if something is to be changed, 2 if that is unknown.

    Raises:
        click.UsageError: the command line is wrong.
    """
    split(target)
    command = understand(target, server, options)
    if not hasattr(os, "killpg"):
        print("wsgibg doctor needs a POSIX system: it sends signals.", file=sys.stderr)
        return UNKNOWN
    try:
        with _interruptible(), _progress() as told:
            exam = examine(target, command, seconds, told)
    except CannotRun as error:
        print(f"It could not be found out. {error}", file=sys.stderr)
        return UNKNOWN
    if as_json:
        print(to_json(exam))
    else:
        show_examination(exam, console)
    return FINDINGS if findings(exam) else WELL


@contextmanager
def _interruptible() -> Iterator[None]:
    """Have the signals that would end this process at once end the server first."""

    def leave(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress() -> Iterator[Callable[[str], object]]:
    """Say on a terminal what is done at the moment; nothing elsewhere."""
    console = Console(stderr=True, highlight=False, markup=False)
    with console.status("") as status:
        yield status.update
