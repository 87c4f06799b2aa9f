"""What these tests share: real processes, and a context that nobody is inside of."""

from __future__ import annotations

import contextvars
import subprocess
import sys
import threading
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parent.parent.parent
LOOP_THREAD = "wsgibg-loop"


def fresh_context() -> contextvars.Context:
    """A request's context: a copy of the current one, which this thread is outside of."""
    return contextvars.copy_context()


def loop_threads() -> list[threading.Thread]:
    """The loop's thread, where it runs."""
    return [thread for thread in threading.enumerate() if thread.name == LOOP_THREAD]


def program(source: str, *options: str, seconds: float = 30) -> subprocess.CompletedProcess[str]:
    """Run `source` in a new interpreter where warnings are errors, and wait for its end.

    A program that does not end by itself fails the test (`TimeoutExpired`).
    """
    return subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", dedent(source)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def output(source: str, *options: str, seconds: float = 30) -> list[str]:
    """The lines that a program printed, which succeeded and wrote no error."""
    done = program(source, *options, seconds=seconds)
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.splitlines()
