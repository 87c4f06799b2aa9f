"""Native threads that wait for each other, whether or not gevent has patched Python's."""

from __future__ import annotations

import atexit
import logging
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor  # noqa: F401 - see `_before_joining`
from time import monotonic
from typing import Any, Protocol

__all__ = [
    "MainEnd",
    "Wake",
    "gevent_patcher",
    "hear_of_uwsgi_forks",
    "held_lock",
    "join_others",
    "make_wake",
    "start_native",
]

logger = logging.getLogger("wsgibg.loop")

# Under gevent the workers of asyncio's executor are greenlets of the loop's thread, and to join
# them from the main thread hangs. `ThreadPoolExecutor`'s module does so at the end of the process;
# hooks run in reverse order, so that module (it is imported above) must have come first.
_before_joining: Callable[[Callable[[], object]], object]
_before_joining = getattr(threading, "_register_atexit", atexit.register)


class Wake(Protocol):
    """A one-shot signal between two threads; a ``threading.Lock`` that is held is one."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Wait for the signal, at most ``timeout`` seconds, and tell whether it came."""

    def release(self) -> None:
        """Give the signal, from any thread."""


def gevent_patcher() -> Any:
    """Give ``gevent.monkey`` where it has patched threads, else None.

    Looked up, never imported: who does not use gevent need not have it, and the patch may come
    later than the import of this module.
    """
    monkey = sys.modules.get("gevent.monkey")
    return monkey if monkey is not None and monkey.is_module_patched("threading") else None


def held_lock() -> threading.Lock:
    """Make a lock that is held, which is a one-shot signal (under gevent: between greenlets)."""
    lock = threading.Lock()
    lock.acquire()
    return lock


class GreenWake:
    """A one-shot signal from a native thread to a greenlet, whose hub goes on meanwhile."""

    def __init__(self) -> None:
        self.lock = held_lock()
        self.watcher = sys.modules["gevent"].get_hub().loop.async_()
        self.watcher.start(self.woken)

    def woken(self) -> None:
        """Pass the signal on, in the hub of the greenlet that waits."""
        self.watcher.stop()
        self.watcher.close()
        self.lock.release()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Wait for the signal, at most ``timeout`` seconds, and tell whether it came."""
        return self.lock.acquire(blocking, timeout)

    def release(self) -> None:
        """Give the signal, from any thread."""
        self.watcher.send()


def make_wake() -> Callable[[], Wake]:
    """Give what makes signals from a native thread to a server's thread or greenlet."""
    return held_lock if gevent_patcher() is None else GreenWake


def start_native(main: Callable[[threading.Lock], object], name: str) -> None:
    """Start ``main(ready)`` in a native thread and block until it releases ``ready``.

    The interpreter waits for the thread when it ends, except under gevent: there
    ``threading.Thread`` is a greenlet.
    """
    monkey = gevent_patcher()
    if monkey is None:
        ready = held_lock()
        thread = threading.Thread(target=main, args=(ready,), name=name)
        thread.daemon = False  # else it is what the current thread is
        thread.start()
    else:
        # The hub first: made later, beside the new thread's, it hung on Python 3.11.
        sys.modules["gevent"].get_hub()
        ready = monkey.get_original("_thread", "allocate_lock")()
        ready.acquire()
        monkey.get_original("_thread", "start_new_thread")(main, (ready,))
    ready.acquire()


def join_others(names: set[str], seconds: float | None = None) -> bool:
    """Wait for all threads that the interpreter waits for, and tell whether there was one.

    Args:
        names: of threads that do not count; nor does the main one.
        seconds: how long to wait at most.
    """
    deadline = None if seconds is None else monotonic() + seconds
    found = False
    while others := [
        one
        for one in threading.enumerate()
        if one.is_alive() and not one.daemon and one.name not in names
    ]:
        found = True
        for one in others:
            one.join(None if deadline is None else max(0, deadline - monotonic()))
        if deadline is not None and monotonic() >= deadline:
            break
    return found


class MainEnd:
    """Calls back when the main thread of the process has ended.

    An ``atexit`` hook comes too late for threads that are not daemons: the interpreter waits for
    them first. So one thread, the watcher, waits for the main thread.

    Args:
        last: stops the native thread that is called ``name``. It is called when the callbacks
            have been and no other thread is left, or after ``seconds``; and again for every time
            that other threads were left and may have started it again.
        name: see there.
        seconds: see there.
    """

    def __init__(self, last: Callable[[], object], name: str, seconds: float) -> None:
        self.last, self.names, self.seconds = last, {name, "wsgibg-end"}, seconds
        self.callbacks: dict[Callable[[], object], None] = {}
        self.forget()

    def add(self, callback: Callable[[], object]) -> None:
        """Have ``callback`` called; once, however often it is added."""
        self.callbacks[callback] = None
        self.watch()

    def forget(self) -> None:
        """In a forked child: the watcher was the parent's."""
        self.watched = self.over = False
        self.starting = threading.Lock()

    def watch(self) -> None:
        """See to it that this process has a watcher."""
        with self.starting:
            if self.watched:
                return
            if gevent_patcher() is None:
                threading.Thread(target=self.wait, name="wsgibg-end", daemon=False).start()
            else:  # greenlets end with the main one
                _before_joining(self.call)
            self.watched = True

    def wait(self) -> None:
        """Watch (the thread's body)."""
        threading.main_thread().join()
        self.call(join=True)

    def call(self, *, join: bool = False) -> None:
        """Call everything; an error is logged."""
        for callback in self.callbacks:
            try:
                callback()
            except Exception:
                logger.exception("%r failed at the end of the process", callback)
        left = join and join_others(self.names, self.seconds)
        self.over = not left
        self.last()
        while left:
            left = join_others(self.names)
            self.over = not left
            self.last()


def hear_of_uwsgi_forks(forked: Callable[[], object]) -> None:
    """Have a function called in the workers that uWSGI forks from now on.

    uWSGI forks in C, without `os.register_at_fork` (but for ``--py-call-osafterfork``), and then
    calls the ``post_fork_hook`` of its own module.
    """
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is None:
        return
    others = getattr(uwsgi, "post_fork_hook", None)
    if getattr(others, "forked", None) == forked:
        return

    def hook() -> None:
        # Python itself has not heard of it either: its exit would wait for the parent's threads.
        if len(threading.enumerate()) > 1 and hasattr(threading, "_after_fork"):
            threading._after_fork()
        forked()
        if others is not None:
            others()

    hook.forked = forked  # type: ignore[attr-defined]
    uwsgi.post_fork_hook = hook  # type: ignore[attr-defined]
