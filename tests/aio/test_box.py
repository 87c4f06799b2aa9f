"""Callbacks that other threads leave for the loop's thread."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.support import wait_for
from wsgibg._aio._box import Box


@pytest.fixture
def loop():
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def box(loop):
    made = []
    loop.call_soon_threadsafe(lambda: made.append(Box(loop)))
    (box,) = wait_for(lambda: made, 10, "the box")
    yield box
    loop.call_soon_threadsafe(loop.remove_reader, box.pipe.reader)
    box.close()


def test_callbacks_are_called_in_order_on_the_loop_s_thread(box):
    """From any thread; each once."""
    called, threads = [], set()

    def note(who, number):
        called.append((who, number))
        threads.add(threading.current_thread())

    def leave(who):
        for number in range(500):
            box.put(note, (who, number))

    leavers = [threading.Thread(target=leave, args=(who,)) for who in range(4)]
    for each in leavers:
        each.start()
    wait_for(lambda: len(called) == 2000, 10, "all calls")
    for each in leavers:
        each.join()
    for who in range(4):
        assert [number for which, number in called if which == who] == list(range(500))
    assert len(threads) == 1
    assert threads.isdisjoint(leavers)


def test_more_than_the_pipe_holds_may_wait(loop, box):
    """The loop is awake by then, and finds everything."""
    called, busy, go = [], threading.Event(), threading.Event()
    loop.call_soon_threadsafe(lambda: (busy.set(), go.wait()))
    assert busy.wait(10)
    for number in range(70_000):
        box.put(called.append, (number,))
    go.set()
    wait_for(lambda: len(called) == 70_000, 30, "all calls")


def test_what_an_interrupted_thread_left_is_called_with_the_next(box):
    """It had no time to wake the loop."""
    called = []
    box.left.append((called.append, ("left",)))
    box.put(called.append, ("next",))
    wait_for(lambda: len(called) == 2, 10, "both calls")
    assert called == ["left", "next"]


def test_a_closed_box_takes_nothing(loop):
    """Whoever asks is told."""
    made = []
    loop.call_soon_threadsafe(lambda: made.append(Box(loop)))
    (box,) = wait_for(lambda: made, 10, "the box")
    loop.call_soon_threadsafe(loop.remove_reader, box.pipe.reader)
    box.close()
    with pytest.raises(ValueError, match="closed"):
        box.put(print, ())
