"""An examination: everything that is measured of one server, in order."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsgibg.cli.doctor._command import Command
from wsgibg.cli.doctor._served import Served, serve, wait_for
from wsgibg.cli.doctor._stops import Fate, send
from wsgibg.cli.doctor._waits import NONE, Wait, waits

__all__ = ["Examination", "examine"]

#: The signals in the order in which they are sent: the last one ends the server.
SIGNALS = ("HUP", "TERM")


@dataclass
class Examination:
    """What was found.

    Args:
        target: the application.
        command: the server's command.
        seconds: how long each task took.
        facts: what the serving process has said of itself.
        closes: whether the server calls the response's ``close()``.
        waits: what clients have met, by executor and kind; ``none`` is without tasks.
        fates: what became of tasks, by signal and executor.
    """

    target: str
    command: Command
    seconds: float
    facts: dict[str, Any] = field(default_factory=dict)
    closes: bool = True
    waits: dict[str, dict[str, Wait]] = field(default_factory=dict)
    fates: dict[str, dict[str, Fate]] = field(default_factory=dict)

    @property
    def modes(self) -> list[str]:
        """The executors that were measured."""
        return [mode for mode in self.waits if mode != NONE]

    @property
    def own(self) -> str:
        """The executor of the application; nothing, where it was not measured."""
        if self.facts["durable"]:
            return ""
        kinds = {None: "inline", "InlineExecutor": "inline"}
        kind = kinds.get(self.facts["executor"], "own")
        return kind if kind in self.modes else "pool"


def examine(
    target: str, command: Command, seconds: float, told: Callable[[str], object]
) -> Examination:
    """Start the server as often as needed, and measure.

    Args:
        target: the application.
        command: the server's command.
        seconds: how long each task takes.
        told: is called with what is done next.

    Raises:
        CannotRun: the server did not start, or did not answer.
    """
    exam = Examination(target, command, seconds)
    with ExitStack() as stack:
        served = _start(exam, stack, told)
        exam.facts = served.facts
        exam.closes = wait_for(lambda: "closed" in served.marks.lines(), 2.0)
        exam.waits[NONE] = waits(served, NONE, seconds, {}, lambda what: told(f"{what}, no task"))
        for mode in served.facts["modes"]:
            exam.waits[mode] = waits(
                served,
                mode,
                seconds,
                exam.waits[NONE],
                lambda what, mode=mode: told(f"{what}, {mode}"),  # type: ignore[misc]
            )
        for name in SIGNALS:
            if name == "HUP" and not command.server.reloads:
                continue
            number = signal.Signals[f"SIG{name}"]
            for mode in exam.modes:
                if served.ended():
                    served = _start(exam, stack, told)
                told(f"{name}, {mode}")
                exam.fates.setdefault(name, {})[mode] = send(served, mode, number, seconds)
                if name == "TERM" and not served.ended():
                    served.stop()
    return exam


def _start(exam: Examination, stack: ExitStack, told: Callable[[str], object]) -> Served:
    told(f"starting {exam.command.server.name}")
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="wsgibg-doctor-"))
    return stack.enter_context(serve(exam.command, exam.target, Path(folder)))
