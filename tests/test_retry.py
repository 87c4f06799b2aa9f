"""When a task that failed is tried again: the schedule, and the alarm that keeps it."""

from __future__ import annotations

import logging
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import wait_for
from wsgibg import TaskOptions, _alarm
from wsgibg._alarm import Alarm
from wsgibg._retry import delay_before, wants_retry

seconds = st.floats(0, 1e9)
options = st.builds(
    TaskOptions,
    retries=st.integers(0, 10_000),
    backoff=seconds,
    jitter=st.floats(0, 1),
    max_backoff=seconds,
)


@given(options, st.integers(2, 10_001), st.floats(0, 1))
def test_a_wait_is_within_its_bounds(options, attempt, chance):
    """Never negative, never above the maximum, never further off than the jitter allows."""
    wait = delay_before(attempt, options, lambda low, high: low + (high - low) * chance)

    doubled = min(options.backoff * 2.0 ** min(attempt - 2, 1000), options.max_backoff)
    assert 0 <= wait <= options.max_backoff
    assert wait <= doubled * (1 + options.jitter) * (1 + 1e-9)
    assert wait >= doubled * (1 - options.jitter) * (1 - 1e-9)


@given(options)
def test_waits_do_not_become_shorter(options):
    """With the same chance each time."""
    waits = [delay_before(attempt, options, lambda low, _: low) for attempt in range(2, 30)]
    assert waits == sorted(waits)


def test_the_first_retry_waits_for_the_backoff_itself():
    """The wait doubles from the second on."""
    options = TaskOptions(backoff=3, jitter=0)
    assert [delay_before(attempt, options) for attempt in (2, 3, 4)] == [3, 6, 12]


@given(st.integers(0, 20), st.integers(1, 30))
def test_there_are_as_many_retries_as_it_says(retries, attempt):
    """And one attempt more."""
    assert wants_retry(attempt, TaskOptions(retries=retries), ValueError()) is (attempt <= retries)


@pytest.mark.parametrize(
    ("retry_on", "error", "wanted"),
    [
        (Exception, OSError(), True),
        (OSError, ConnectionError(), True),
        (OSError, ValueError(), False),
        ((OSError, ValueError), ValueError(), True),
        ((), ValueError(), False),
        (Exception, SystemExit(), False),
        (BaseException, SystemExit(), True),
    ],
)
def test_only_the_errors_that_it_names_are_worth_a_retry(retry_on, error, wanted):
    """By class, a tuple of classes as `except` takes it."""
    assert wants_retry(1, TaskOptions(retries=1, retry_on=retry_on), error) is wanted


def test_a_task_without_options_is_not_tried_again():
    """One attempt is all it has."""
    assert not wants_retry(1, None, ValueError())


# --- the alarm -----------------------------------------------------------------------------


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@given(st.lists(st.integers(-5, 20), min_size=1, max_size=20), st.data())
def test_what_is_due_is_called_in_order_of_its_time(times, data):
    """What is due at the same time, in the order in which it came; what was cancelled, not."""
    clock = Clock()
    clock.now = 20.0
    alarm = Alarm(clock)
    alarm.thread = threading.current_thread()  # so that none is started: `next` is asked here
    entries = [alarm.at(due, lambda at=(due, number): at) for number, due in enumerate(times)]
    cancelled = data.draw(st.sets(st.integers(0, len(times) - 1)))
    for number in cancelled:
        assert alarm.cancel(entries[number])
        assert not alarm.cancel(entries[number])

    called = []
    while (call := alarm.next()) is not None:
        called.append(call())

    wanted = [(due, number) for number, due in enumerate(times) if number not in cancelled]
    assert called == sorted(wanted)


def test_nothing_is_called_before_its_time():
    """And one that comes later but is due sooner comes first."""
    alarm, called, done = Alarm(), [], threading.Event()
    begin = time.monotonic()
    alarm.at(begin + 0.2, lambda: (called.append("second"), done.set()))
    alarm.at(begin + 0.1, lambda: called.append(("first", time.monotonic() >= begin + 0.1)))

    assert done.wait(10)
    assert called == [("first", True), "second"]
    assert time.monotonic() >= begin + 0.2


def test_what_is_cancelled_does_not_pile_up():
    """Behind one that waits for long."""
    alarm = Alarm()
    first = alarm.at(time.monotonic() + 600, print)
    for _ in range(1000):
        alarm.cancel(alarm.at(time.monotonic() + 700, print))
    assert len(alarm.entries) < 200
    assert alarm.cancel(first)
    thread = alarm.thread
    wait_for(lambda: thread is None or not thread.is_alive(), 10, "the thread has ended")


def test_its_thread_ends_when_nothing_waits():
    """Also where what it waits for is cancelled; and there is another for what comes then."""
    alarm = Alarm()
    entry = alarm.at(time.monotonic() + 600, print)
    thread = alarm.thread
    assert alarm.cancel(entry)
    wait_for(lambda: not thread.is_alive(), 10, "the thread has ended")

    done = threading.Event()
    alarm.at(time.monotonic(), done.set)
    assert done.wait(10)


def test_what_a_call_raises_is_logged(caplog):
    """The next one is called all the same."""
    alarm, done = Alarm(), threading.Event()
    now = time.monotonic()
    with caplog.at_level(logging.ERROR, "wsgibg.background"):
        alarm.at(now, lambda: 1 / 0)
        alarm.at(now, done.set)
        assert done.wait(10)

    (record,) = caplog.records
    assert "failed when its time had come" in record.message
    assert record.exc_info[0] is ZeroDivisionError


def test_where_no_thread_can_be_started_it_says_so(monkeypatch):
    """And calls nothing."""

    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    alarm = Alarm()
    with pytest.raises(RuntimeError, match="can't start"):
        alarm.at(time.monotonic(), print)
    monkeypatch.undo()

    done = threading.Event()
    alarm.at(time.monotonic(), done.set)
    assert done.wait(10)


def test_there_is_one_alarm_in_a_process():
    """Whoever asks first makes it."""
    assert _alarm.alarm() is _alarm.alarm()
