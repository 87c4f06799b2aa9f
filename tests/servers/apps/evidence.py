"""How a served application tells a test what happens, and waits for it."""

from __future__ import annotations

import os
import time
from pathlib import Path

__all__ = ["FOLDER", "PATIENCE", "note", "slow", "wait_at"]

FOLDER = Path(os.environ["EVIDENCE"])
PATIENCE = 30.0  # seconds


def note(job: str, line: str) -> None:
    """Write down that something happened."""
    with (FOLDER / f"{job}.log").open("a", encoding="utf-8") as log:
        log.write(f"{line}\n")


def wait_at(job: str, gate: str) -> None:
    """Wait until the test opens a gate."""
    deadline = time.monotonic() + PATIENCE
    while not any((FOLDER / f"{job}.{name}").exists() for name in (gate, "all")):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody opened the gate {gate!r} of {job}")
        time.sleep(0.005)


def slow(job: str) -> None:
    """A task that ends when the test says so."""
    note(job, "task starts")
    wait_at(job, "task")
    note(job, "task ends")
