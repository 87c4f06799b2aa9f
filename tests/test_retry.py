"""When a task that failed is tried again: the schedule, and the alarm that keeps it."""

from __future__ import annotations

import logging
import sys
import threading
import time
from itertools import pairwise, takewhile
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.executors.support import output, submit
from tests.support import wait_for
from wsgibg import Executor, TaskManager, TaskOptions, _alarm, current_task
from wsgibg._alarm import Alarm
from wsgibg._attempt import run_batch
from wsgibg._retry import delay_before, wants_retry
from wsgibg.background import Task

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


# --- the whole schedule, by a clock that is set by hand -------------------------------------


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Scheduled(Executor):
    """Runs batches at once, and what is tried again when a clock says so."""

    def __init__(self):
        self.clock = Clock()
        self.alarm = Alarm(self.clock)
        self.alarm.token.clear()  # so that no thread is started: `next` is asked here

    def submit(self, batch):
        run_batch(batch)

    def retry(self, batch, delay):
        self.alarm.at(self.clock() + delay, lambda: batch.host.give(batch, self))

    def go_on(self):
        """Put the clock forward to whatever is next, until nothing is."""
        while self.alarm.sort_in() or self.alarm.heap:
            self.clock.now = max(self.clock.now, self.alarm.heap[0][0])
            self.alarm.next()()


class Unlucky(Exception):
    """What is worth another attempt."""


plans = st.tuples(
    st.builds(
        TaskOptions,
        retries=st.integers(0, 6),
        backoff=st.floats(0, 100),
        jitter=st.floats(0, 1),
        max_backoff=st.floats(0, 500),
        retry_on=st.sampled_from([Exception, Unlucky, (Unlucky, OSError)]),
    ),
    st.lists(st.sampled_from([Unlucky, OSError, KeyError]), max_size=8),
)


@given(st.lists(plans, min_size=1, max_size=5))
def test_each_attempt_comes_in_its_time(plans):
    """And as many as are allowed, whatever other tasks of the batch do meanwhile."""
    executor = Scheduled()
    manager, attempts, events = TaskManager(executor), {}, {}
    manager.on_task(lambda event: events.setdefault(event.task.args, []).append(event.kind))

    def work(number, failures):
        times = attempts.setdefault(number, [])
        times.append(executor.clock())
        assert current_task().attempt == len(times)
        if len(times) <= len(failures):
            raise failures[len(times) - 1]

    logging.disable()
    try:
        calls = [(Task(work, options), number) for number, (options, _) in enumerate(plans)]
        given = [(*call, tuple(failures)) for call, (_, failures) in zip(calls, plans, strict=True)]
        submit(manager, *given)
        executor.go_on()
    finally:
        logging.disable(logging.NOTSET)

    for number, (options, failures) in enumerate(plans):
        worth = takewhile(
            lambda error, wanted=options.retry_on: issubclass(error, wanted), failures
        )
        retries = min(len(list(worth)), options.retries)
        assert len(attempts[number]) == 1 + retries
        ended = "succeeded" if retries >= len(failures) else "failed"
        kinds = ["added", *["started", "retried"] * retries, "started", ended]
        assert events[number, tuple(failures)] == kinds
        for count, (before, then) in enumerate(pairwise(attempts[number])):
            wait = min(options.backoff * 2**count, options.max_backoff)
            low, high = wait * (1 - options.jitter), wait * (1 + options.jitter)
            assert low - 1e-6 <= then - before <= min(high, options.max_backoff) + 1e-6


# --- the alarm -----------------------------------------------------------------------------


@pytest.fixture(name="switching")
def _switching():
    """Threads take turns after every microsecond."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def waiting_in(alarm):
    """How many entries it keeps."""
    return len(alarm.fresh) + len(alarm.heap)


def threads_of(alarm):
    """Its threads."""
    return [
        each
        for each in threading.enumerate()
        if getattr(getattr(each, "_target", None), "__self__", None) is alarm
    ]


@given(st.lists(st.integers(-5, 20), min_size=1, max_size=20), st.data())
def test_what_is_due_is_called_in_order_of_its_time(times, data):
    """What is due at the same time, in the order in which it came; what was cancelled, not."""
    clock = Clock()
    clock.now = 20.0
    alarm = Alarm(clock)
    alarm.token.clear()  # so that no thread is started: `next` is asked here
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
    wait_for(lambda: alarm.until < inf, 10, "its thread sleeps")
    for _ in range(1000):
        alarm.cancel(alarm.at(time.monotonic() + 700, print))
    assert waiting_in(alarm) == 1
    assert alarm.cancel(first)
    wait_for(lambda: not threads_of(alarm), 10, "the thread has ended")


def test_nor_does_what_its_thread_has_seen_before_it_was_cancelled():
    """It is thrown out when the thread looks the next time, and there is much of it."""
    alarm = Alarm()
    far = [alarm.at(time.monotonic() + 600 + number, print) for number in range(1000)]
    for cancelled in (far[1:], far[:1]):
        done = threading.Event()
        alarm.at(time.monotonic(), done.set)
        assert done.wait(10)
        wait_for(lambda: not alarm.fresh, 10, "the thread has seen all")
        for entry in cancelled:
            assert alarm.cancel(entry)
        if far[0] not in cancelled:
            assert len(alarm.heap) >= 1000
    wait_for(lambda: not threads_of(alarm), 10, "the thread has ended")
    assert waiting_in(alarm) == 0


def test_a_call_that_would_end_its_thread_is_logged(caplog):
    """Others wait for the same thread."""
    alarm, done = Alarm(), threading.Event()
    alarm.at(time.monotonic(), sys.exit)
    alarm.at(time.monotonic() + 0.01, done.set)

    assert done.wait(10)
    assert "SystemExit" in caplog.text


def test_its_thread_ends_when_nothing_waits():
    """Also where what it waits for is cancelled; and there is another for what comes then."""
    alarm = Alarm()
    entry = alarm.at(time.monotonic() + 600, print)
    (thread,) = threads_of(alarm)
    assert not thread.daemon
    assert alarm.cancel(entry)
    wait_for(lambda: not thread.is_alive(), 10, "the thread has ended")

    done = threading.Event()
    alarm.at(time.monotonic(), done.set)
    assert done.wait(10)


def test_a_thread_that_comes_too_late_ends_at_once():
    """Two that found no thread may each have started one."""
    alarm = Alarm()
    entry = alarm.at(time.monotonic() + 600, print)
    wait_for(lambda: alarm.until < inf, 10, "its thread sleeps")
    alarm.run()
    assert alarm.cancel(entry)


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
    called = []
    with pytest.raises(RuntimeError, match="can't start"):
        alarm.at(time.monotonic(), lambda: called.append("refused"))
    monkeypatch.undo()

    done = threading.Event()
    alarm.at(time.monotonic(), done.set)
    assert done.wait(10)
    assert called == []


def test_there_is_one_alarm_in_a_process():
    """Whoever asks first makes it."""
    assert _alarm.alarm() is _alarm.alarm()


def test_each_entry_is_called_or_was_cancelled(switching):
    """By many threads at a time, whose thread comes and goes meanwhile; none is both."""
    alarm, called, cancelled = Alarm(), [], []

    def work(number):
        for count in range(200):
            name = (number, count)
            entry = alarm.at(
                time.monotonic() + count % 3 / 1000, lambda name=name: called.append(name)
            )
            if count % 2 and alarm.cancel(entry):
                cancelled.append(name)
            if count % 50 == 0:
                time.sleep(0.005)  # all is called by then, and the thread ends

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    wait_for(lambda: len(called) + len(cancelled) == 1600, 20, "all have been called")
    assert len({*called, *cancelled}) == 1600
    wait_for(lambda: not threads_of(alarm), 10, "the thread has ended")
    assert waiting_in(alarm) == 0


def test_a_signals_handler_may_wait_for_it(monkeypatch):
    """Wherever the main thread is interrupted in its methods, it holds nothing up."""
    # Coverage takes a lock of its own when a function runs for the first time: not measured here.
    for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
        monkeypatch.delenv(name, raising=False)
    script = """
        import signal, threading, time
        from wsgibg._alarm import Alarm
        alarm, waits = Alarm(), []
        def handle(*_):
            # A bare lock: to set an Event takes the lock of whoever is interrupted in wait().
            done = threading.Lock()
            done.acquire()
            alarm.at(time.monotonic(), done.release)
            waits.append(done.acquire(timeout=10))
            signal.setitimer(signal.ITIMER_REAL, 0.0005)  # (handlers do not pile up)
        last = alarm.at(time.monotonic() + 600, print)
        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.0005)
        while len(waits) < 500 and all(waits):
            entry = alarm.at(time.monotonic() + 60, print)
            alarm.at(time.monotonic(), int)
            alarm.cancel(entry)
        signal.setitimer(signal.ITIMER_REAL, 0)
        alarm.cancel(last)
        print(all(waits))
    """
    assert output(script) == ["True"]


def test_in_a_forked_child_nothing_waits():
    """Not even where the alarm's own thread has forked, which is the child's only one then."""
    script = """
        import os, threading, time
        from wsgibg import _alarm
        alarm, child = _alarm.alarm(), []
        def fork():
            pid = os.fork()
            if pid:
                child.append(pid)
            else:
                os.write(1, f"{_alarm.alarm() is not alarm} {len(alarm.heap)}\\n".encode())
        def tell(): os.write(1, b"called\\n")
        now = time.monotonic()
        alarm.at(now + 0.3, tell)
        alarm.at(now + 0.1, fork)
        while not child: time.sleep(0.01)
        assert os.waitpid(child[0], 0)[1] == 0
    """
    assert output(script) == ["True 0", "called"]
