"""What is attached to a manager of tasks: functions that hear of them, or have a part in them."""

from __future__ import annotations

from collections.abc import Callable

from wsgibg._calling import AroundTask
from wsgibg._hooks import Hooks, TaskHook
from wsgibg.background import BackgroundTask

__all__ = ["Attached"]


class Attached:
    """Hooks, what each attempt runs inside of, and what looks at each task; a manager has them."""

    #: Whether tasks are shown to the manager as they are added.
    checks: bool

    def __init__(self) -> None:
        #: Whether hooks listen.
        self.watched: bool = False
        self.hooks: Hooks = Hooks()
        #: Make what each attempt runs in, the outermost first.
        self.surroundings: tuple[AroundTask, ...] = ()
        self._looks: tuple[Callable[[BackgroundTask], object], ...] = ()

    def on_task(self, hook: TaskHook) -> TaskHook:
        """Have a function called with a `TaskEvent` whenever something happens to a task.

        A hook that raises is logged and harms no task. One that takes long holds up the thread
        of the event (for an async task that of the event loop); no lock is held meanwhile.

        Args:
            hook: a function, called in the thread in which the event happens. If it comes after
                the first request, it may miss ``"added"`` of requests that have begun before.

        Returns:
            The hook, so that this can be used as a decorator.

        Raises:
            TypeError: it cannot be called, or is async (nobody would await it).
        """
        self.hooks.add(hook)
        self.watched = True
        self.look_at_each_task()
        return hook

    def around_task(self, make: AroundTask) -> AroundTask:
        """Have each attempt of each task run inside a context manager.

        It is entered and left in the thread and in the `contextvars` context of the attempt: what
        the task has injected is resolved inside, and its exits have run when it is left. It sees
        what the attempt raises, but cannot undo that it failed. What it raises itself fails the
        attempt. Those that were given first are outermost.

        Args:
            make: called with the `BackgroundTask` for each attempt; gives a context manager.

        Returns:
            The function, so that this can be used as a decorator.

        Raises:
            TypeError: it cannot be called.

        Example:
            >>> from contextlib import contextmanager
            >>> from wsgibg import App
            >>> app = App()
            >>> @app.tasks.around_task
            ... @contextmanager
            ... def timed(task):
            ...     print(task.name, "begins")
            ...     yield
            ...     print(task.name, "has succeeded")
        """
        if not callable(make):
            msg = (
                f"around_task() was given {make!r}, which cannot be called."
                " Pass a function that takes a task and returns a context manager."
            )
            raise TypeError(msg)
        self.surroundings = (*self.surroundings, make)
        self.look_at_each_task()
        return make

    def prepare_task(self, look: Callable[[BackgroundTask], object]) -> None:
        """Have a function look at each task as it is added, in the thread that adds it.

        For integrations: it may exchange the task's context, or refuse the task by raising.
        """
        self._looks = (*self._looks, look)
        self.look_at_each_task()

    def look_at_each_task(self) -> None:
        """Be shown each task as it is added; collectors of compiled routes do not do so yet."""
        if not self.checks:
            self.checks = True
            self.hooks.changed()
