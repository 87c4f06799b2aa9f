"""The functions that hear of each thing that happens to a manager's tasks."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from weakref import WeakMethod

from wsgibg._attempt import raised_by_signal
from wsgibg.records import TaskEvent

__all__ = ["Hooks", "TaskHook"]

log: logging.Logger = logging.getLogger("wsgibg.background")

TaskHook = Callable[[TaskEvent], object]


class Hooks:
    """The hooks of one manager, and the applications that ask whether there are any.

    Hooks are called in the thread of the event, one after the other, and no lock is held.
    """

    def __init__(self) -> None:
        self._hooks: list[TaskHook] = []
        self._apps: list[WeakMethod[Callable[[], None]]] = []

    def add(self, hook: TaskHook) -> None:
        """Call a function with each event from now on.

        Raises:
            TypeError: it is no function, or an async one.
        """
        if not callable(hook):
            msg = f"on_task() was given {hook!r}, which cannot be called. Pass a function."
            raise TypeError(msg)
        if inspect.iscoroutinefunction(hook):
            msg = (
                f"on_task() was given the async function {hook.__qualname__}, which nobody would"
                " await. Pass a def function, which may hand the event on."
            )
            raise TypeError(msg)
        self._hooks.append(hook)

    def tell(self, event: TaskEvent) -> None:
        """Give an event to every hook; what one raises is logged, ``SystemExit`` as well.

        Raises:
            BaseException: only what a signal handler raised meanwhile, which is the server's.
        """
        for hook in self._hooks:
            try:
                hook(event)
            except BaseException as error:
                if not isinstance(error, Exception) and raised_by_signal(error):
                    raise
                log.exception("A task hook failed: %r.", hook, extra={"task_id": event.task.id})

    def add_app(self, changed: Callable[[], None]) -> None:
        """Call a method, for as long as somebody has its object, when `changed` is called."""
        self._apps.append(WeakMethod(changed))

    def changed(self) -> None:
        """Tell the applications that from now on each task is to be shown as it is added."""
        for app in self._apps:
            tell = app()
            if tell is not None:
                tell()
