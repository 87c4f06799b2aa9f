"""An examination: everything that is measured of one server, in order."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsgibg.cli._doctor._command import Command
from wsgibg.cli._doctor._served import Served, serve, wait_for
from wsgibg.cli._doctor._stops import Fate, send
from wsgibg.cli._doctor._waits import NEVER, NONE, Asking, Wait

__all__ = ["SHORT", "Examination", "examine"]

#: The signals in the order in which they are sent: the last one ends the server.
SIGNALS = ("HUP", "TERM")
#: How long a task takes at most where clients are asked to wait for it, in seconds.
SHORT = 0.5


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
    def running(self) -> list[str]:
        """The executors whose tasks have run."""
        return [
            mode
            for mode in self.modes
            if not any(wait.verdict == NEVER for wait in self.waits[mode].values())
        ]

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
        for mode in (NONE, *served.facts["modes"]):
            _ask(exam, served, mode, told)
        spent = False
        for name in SIGNALS:
            if name == "HUP" and not command.server.reloads:
                continue
            number = signal.Signals[f"SIG{name}"]
            for mode in exam.running:
                if spent or served.ended():
                    served.stop()
                    served = _start(exam, stack, told)
                told(f"{name}, {mode}")
                exam.fates.setdefault(name, {})[mode] = send(served, mode, number, seconds)
                spent = name == "TERM"
    return exam


def _ask(exam: Examination, served: Served, mode: str, told: Callable[[str], object]) -> None:
    patient = mode != "pool" or exam.facts["executor"] == "ThreadExecutor"
    asking = Asking(served, mode, min(exam.seconds, SHORT), exam.waits.get(NONE, {}), patient)
    exam.waits[mode] = asking.waits(lambda what: told(f"{what} ({mode})"))


def _start(exam: Examination, stack: ExitStack, told: Callable[[str], object]) -> Served:
    told(f"starting {exam.command.server.name}")
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="wsgibg-doctor-"))
    return stack.enter_context(serve(exam.command, exam.target, Path(folder)))
