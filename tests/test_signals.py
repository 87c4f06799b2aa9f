"""`install_signal_handlers`: a signal that would end the process drains it first."""

from __future__ import annotations

import re
import signal
import threading

import pytest

from tests.executors.support import program
from wsgibg import App, InlineExecutor, TaskManager, wrap

SCRIPT = """
    import os, signal, sys, threading, time
    from tests.executors.support import submit
    from wsgibg import *

    def say(*words):
        os.write(1, (" ".join(map(str, words)) + "\\n").encode())  # never in two halves

    def nap(seconds, word):
        say("begins")
        time.sleep(seconds)
        say(word)

    def begun(batch):
        while batch.running is None:
            time.sleep(0.01)

    def wait():
        for _ in range(1000):
            time.sleep(0.01)

    manager = TaskManager(ThreadExecutor(workers=1))
"""


def test_the_pool_is_drained_before_the_process_dies_of_the_signal():
    """The status is the signal's; what its main thread does goes on meanwhile."""
    done = program(
        SCRIPT
        + """
    manager.install_signal_handlers()
    begun(submit(manager, (nap, 0.2, 1), (nap, 0, 2)))
    submit(manager, (nap, 0, 3))
    os.kill(os.getpid(), signal.SIGTERM)
    say("goes on")
    wait()
    """
    )
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.isdecimal()] == ["1", "2", "3"]
    assert lines.index("goes on") < lines.index("1")
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, "")


def test_tasks_in_the_server_s_own_threads_are_waited_for():
    """In a thread that is a daemon too, which Python itself would drop."""
    done = program(
        SCRIPT
        + """
    app = App()
    app.install_signal_handlers([signal.SIGTERM, signal.SIGINT])
    threading.Thread(target=submit, args=(app.tasks, (nap, 0.3, 1)), daemon=True).start()
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGTERM)
    wait()
    """
    )
    assert done.stdout.splitlines() == ["begins", "1"]
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, "")


def test_the_handler_that_was_there_is_called_afterwards():
    """It may end the process as it likes, or not at all."""
    done = program(
        SCRIPT
        + """
    def leave(number, frame):
        say("leaves", number)
        sys.exit(3)

    signal.signal(signal.SIGTERM, leave)
    manager.install_signal_handlers()
    manager.install_signal_handlers()
    begun(submit(manager, (nap, 0.2, 1)))
    os.kill(os.getpid(), signal.SIGTERM)
    wait()
    """
    )
    assert done.stdout.splitlines() == ["begins", "1", f"leaves {signal.SIGTERM:d}"]
    assert (done.returncode, done.stderr) == (3, "")


def test_a_second_signal_cuts_the_waiting_short():
    """What is left is reported."""
    done = program(
        SCRIPT
        + """
    manager.install_signal_handlers()
    begun(submit(manager, (nap, 60, 1)))
    submit(manager, (nap, 0, 2))
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
    wait()
    """
    )
    assert done.stdout.splitlines() == ["begins"]
    assert done.returncode == -signal.SIGTERM
    told = re.findall(r"was (\w+): it .* when a second signal came\.", done.stderr)
    assert told == ["lost", "interrupted"]


def test_what_is_handed_over_just_before_the_end_is_reported():
    """The server serves until the process dies; nothing starts that could not end."""
    done = program(
        SCRIPT
        + """
    from wsgibg.executors._life import life
    inline = TaskManager(InlineExecutor())
    begun(submit(manager, (nap, 0.3, 1)))
    submit(manager, (nap, 0, 2))
    life.refuse("at the test's end")
    submit(manager, (nap, 0, 3))
    submit(inline, (nap, 0, 4))
    """
    )
    assert done.stdout.splitlines() == ["begins", "1"]
    told = re.findall(r"was (\w+): it .* at the test's end\.", done.stderr)
    assert sorted(told) == ["interrupted", "lost", "lost", "lost"]


def test_a_signal_that_is_ignored_stays_so():
    """Whoever ignores it (nohup does) wants the process to live."""
    done = program(
        SCRIPT
        + """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    manager.install_signal_handlers()
    os.kill(os.getpid(), signal.SIGTERM)
    say("lives")
    """
    )
    assert (done.stdout, done.returncode, done.stderr) == ("lives\n", 0, "")


@pytest.mark.parametrize(
    "owner",
    [App(), wrap(lambda environ, start_response: []), TaskManager(InlineExecutor())],
    ids=lambda one: type(one).__name__,
)
def test_outside_the_main_thread_it_is_refused(owner):
    """Python would refuse it as well, without saying what to do."""
    said = []

    def install():
        try:
            owner.install_signal_handlers()
        except RuntimeError as error:
            said.append(str(error))

    thread = threading.Thread(target=install, name="other")
    thread.start()
    thread.join(10)
    assert "in the thread other and works in the main thread alone" in said[0]


def test_a_handler_that_is_not_python_s_is_refused(monkeypatch):
    """Nobody could call it afterwards (uWSGI has such)."""
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    with pytest.raises(RuntimeError, match=r"SIGTERM has a handler that is not Python's.*uWSGI"):
        App().install_signal_handlers()
