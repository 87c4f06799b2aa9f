"""What an application forwards to the manager of its tasks."""

from __future__ import annotations

from collections.abc import Iterable
from signal import SIGTERM

from wsgibg.background import BackgroundTask
from wsgibg.manager import TaskManager

__all__ = ["HasTasks", "check_options"]


def check_options(tasks: object, strict: object) -> None:
    """Refuse options of an application that could not work, where they are given.

    Args:
        tasks: its manager, or None.
        strict: whether what is only warned of raises.

    Raises:
        TypeError: one of them is something else.
    """
    if tasks is not None and not isinstance(tasks, TaskManager):
        msg = f"tasks={tasks!r} is no TaskManager. Make one: TaskManager(InlineExecutor())."
        raise TypeError(msg)
    if not isinstance(strict, bool):
        msg = f"strict={strict!r}: use True or False."
        raise TypeError(msg)


class HasTasks:
    """Gives an application the methods of its manager."""

    tasks: TaskManager

    def drain(self, timeout: float = 25.0) -> list[BackgroundTask]:
        """Wait for the tasks that were handed to executors; see `TaskManager.drain`."""
        return self.tasks.drain(timeout)

    def shutdown(self) -> list[BackgroundTask]:
        """Drain the executors and have them take no more; see `TaskManager.shutdown`."""
        return self.tasks.shutdown()

    def install_signal_handlers(self, signals: Iterable[int] = (SIGTERM,)) -> None:
        """Have signals drain the process before they do what they did until now.

        For servers that die of the signal itself. Call it where the application is made.

        Args:
            signals: their numbers. One that is ignored stays so.

        Raises:
            RuntimeError: this is not the main thread, or a handler is there that is not Python's.
        """
        self.tasks.install_signal_handlers(signals)
