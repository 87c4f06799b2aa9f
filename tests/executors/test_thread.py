"""The pool of threads: its bounds, its end, its forks."""

from __future__ import annotations

import gc
import importlib.util
import logging
import os
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.executors.support import Gate, batch_of, output, program, submit
from tests.support import wait_for
from wsgibg import TaskManager, ThreadExecutor, current_task, current_tasks, task
from wsgibg._attempt import run_batch
from wsgibg.executors._life import life


def pool_threads():
    return [one for one in threading.enumerate() if one.name.startswith("wsgibg-task")]


@pytest.fixture(autouse=True, scope="module")
def _nobody_else():
    """What other tests have left to the garbage collector has ended: threads are counted here."""
    gc.collect()
    wait_for(lambda: not pool_threads(), 30, "no other pool has threads")


@contextmanager
def pool(**options):
    """An executor and its manager, shut down in the end."""
    executor = ThreadExecutor(**options)
    try:
        yield executor, TaskManager(executor)
    finally:
        executor.shutdown()
        wait_for(lambda: not pool_threads(), 10, "the threads have ended")


# --- options -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"workers": 0}, "workers=0): it must be at least 1"),
        ({"queue_size": 0}, "queue_size=0): it must be at least 1"),
        ({"drain_timeout": -1}, "drain_timeout=-1): it must be at least 0"),
        ({"on_full": "drop"}, 'on_full=\'drop\'): use "inline" or "block"'),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options, said):
    """With their names and what they may be."""
    with pytest.raises(ValueError, match=re.escape(said)):
        ThreadExecutor(**options)


def test_nothing_is_started_before_the_first_batch():
    """Draining and shutting down an executor that was not used do nothing."""
    executor = ThreadExecutor()
    assert executor.drain(1) == []
    assert executor.shutdown() == []
    assert executor._pool is None


# --- threads -------------------------------------------------------------------------------


def test_batches_run_side_by_side_in_as_few_threads_as_it_takes():
    """An idle thread is used before another is started, up to `workers`."""
    with pool(workers=2) as (executor, manager):
        for _ in range(3):
            submit(manager, print)
            assert executor.drain(10) == []
            wait_for(lambda: len(executor._pool.idle) == 1)
        assert len(pool_threads()) == 1
        gates = [Gate() for _ in range(3)]
        for gate in gates:
            submit(manager, gate)
        assert gates[0].begun.wait(10)
        assert gates[1].begun.wait(10)
        assert len(pool_threads()) == 2
        assert not gates[2].begun.is_set()
        gates[0].opened.set()
        assert gates[2].begun.wait(10)
        for gate in gates:
            gate.opened.set()


def test_two_first_batches_at_once_open_one_pool():
    """Whoever is second finds the pool of the first."""
    with pool() as (executor, manager):
        ran = []
        with life.opens():
            both = [
                threading.Thread(target=submit, args=(manager, (ran.append, number)))
                for number in range(2)
            ]
            for one in both:
                one.start()
            time.sleep(0)
        for one in both:
            one.join(10)
        assert executor.drain(10) == []
        assert sorted(ran) == [0, 1]


def test_the_threads_are_no_daemons():
    """The interpreter waits for them."""
    with pool() as (_, manager):
        gate = Gate()
        submit(manager, gate)
        assert [one.daemon for one in pool_threads()] == [False]
        gate.opened.set()


def test_threads_end_with_their_executor():
    """Nobody can submit to it any more; what it has taken is run."""
    executor, gate, ran = ThreadExecutor(workers=1), Gate(), []
    manager = TaskManager(executor)
    submit(manager, gate)
    submit(manager, (ran.append, 1))
    assert gate.begun.wait(10)
    del executor, manager
    gate.opened.set()
    wait_for(lambda: gc.collect() >= 0 and not pool_threads(), 10)
    assert ran == [1]


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), MemoryError()], ids=repr)
def test_a_thread_outlives_what_its_tasks_raise(error, caplog):
    """`SystemExit` of a task is its failure."""

    def fail():
        raise error

    with pool(workers=1) as (executor, manager):
        seen = []
        submit(manager, (lambda: seen.append(threading.get_ident())))
        submit(manager, fail)
        submit(manager, (lambda: seen.append(threading.get_ident())))
        assert executor.drain(10) == []
        assert len(set(seen)) == 1
    assert "failed" in caplog.text


def test_a_thread_outlives_a_batch_that_breaks(caplog):
    """What waits for the batch may raise; it is logged."""

    def broken():
        raise LookupError("in what comes after")

    with pool(workers=1) as (executor, manager):
        ran = []
        submit(manager, print, after=broken)
        submit(manager, (ran.append, 1))
        assert executor.drain(10) == []
        assert ran == [1]
    assert "came to a bad end" in caplog.text


def test_many_threads_submit_to_many_threads():
    """With the interpreter switching all the time, each task runs once and each batch in order."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with pool(workers=4, queue_size=20) as (executor, manager):
            ran = []

            def hand_over(number):
                for batch in range(50):
                    calls = [(ran.append, (number, batch, each)) for each in range(3)]
                    submit(manager, *calls)

            with ThreadPoolExecutor(8) as clients:
                list(clients.map(hand_over, range(8)))
            assert executor.drain(20) == []
    finally:
        sys.setswitchinterval(interval)
    assert len(ran) == len(set(ran)) == 8 * 50 * 3
    for number in range(8):
        for batch in range(50):
            mine = [each for *which, each in ran if which == [number, batch]]
            assert mine == [0, 1, 2]


@pytest.mark.parametrize("on_full", ["inline", "block"])
def test_a_shutdown_amid_requests_loses_nothing(on_full):
    """Whatever the moment: each task runs once, in the pool or in its request's thread."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(20):
            executor, ran = ThreadExecutor(workers=2, queue_size=2, on_full=on_full), []
            manager = TaskManager(executor)

            def hand_over(number, manager=manager, ran=ran):
                for each in range(20):
                    submit(manager, (ran.append, (number, each)))

            with ThreadPoolExecutor(4) as clients:
                handing = [clients.submit(hand_over, number) for number in range(4)]
                wait_for(lambda ran=ran: ran)
                assert executor.shutdown() == []
                for one in handing:
                    one.result(20)
            assert len(ran) == len(set(ran)) == 80
    finally:
        sys.setswitchinterval(interval)


# --- the queue -----------------------------------------------------------------------------


def test_a_full_queue_makes_the_request_run_its_tasks():
    """Back-pressure: its thread is not free for the next request."""
    with pool(workers=1, queue_size=2) as (executor, manager):
        gate, ran = Gate(), []

        def note(word):
            ran.append((word, threading.current_thread() is threading.main_thread()))

        submit(manager, gate)
        assert gate.begun.wait(10)
        for word in ("one", "two", "three"):
            submit(manager, (note, word))
        assert ran == [("three", True)]
        gate.opened.set()
        assert executor.drain(10) == []
        assert ran[1:] == [("one", False), ("two", False)]


def test_a_full_queue_may_make_the_request_wait():
    """With `on_full="block"` until there is room."""
    with pool(workers=1, queue_size=1, on_full="block") as (executor, manager):
        gate, ran = Gate(), []
        submit(manager, gate)
        assert gate.begun.wait(10)
        submit(manager, (ran.append, 1))
        blocked = [
            threading.Thread(target=submit, args=(manager, (ran.append, number)))
            for number in (2, 3)
        ]
        for one in blocked:
            one.start()
        wait_for(lambda: len(executor._pool.blocked) == 2)
        assert ran == []
        gate.opened.set()
        for one in blocked:
            one.join(10)
        assert executor.drain(10) == []
        assert ran[0] == 1
        assert sorted(ran) == [1, 2, 3]


def test_a_task_never_waits_for_room():
    """It might wait for itself; what it hands over runs in its own thread."""
    with pool(workers=1, queue_size=1, on_full="block") as (executor, manager):
        ran, begun = [], Gate()

        def hand_over():
            begun()
            current_tasks().add_task(task(ran.append, executor=executor), "same batch")
            submit(manager, (ran.append, "its own"))

        submit(manager, hand_over)
        assert begun.begun.wait(10)
        submit(manager, (ran.append, "in the queue"))
        begun.opened.set()
        assert executor.drain(10) == []
        assert ran == ["its own", "same batch", "in the queue"]


def test_a_request_that_is_stopped_while_it_waits_for_room_says_so(caplog, monkeypatch):
    """The batch is reported as lost, and what stopped the thread goes on."""

    class Interrupting:
        def acquire(self, timeout=0):
            raise SystemExit(1)

        def release(self):
            pass

    with pool(workers=1, queue_size=1, on_full="block") as (executor, manager):
        gate = Gate()
        submit(manager, gate)
        assert gate.begun.wait(10)
        submit(manager, print)
        with monkeypatch.context() as patch:
            patch.setattr("wsgibg.executors._pool.held_lock", Interrupting)
            with pytest.raises(SystemExit):
                submit(manager, print)
        gate.opened.set()
        assert executor.drain(10) == []
    assert "was lost: the server stopped the thread that waited for room" in caplog.text


def test_where_no_thread_can_be_started_the_request_runs_its_tasks(caplog, monkeypatch):
    """For example while the interpreter ends; the next request tries again."""

    def refuse(thread):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    with pool(workers=1) as (executor, manager):
        ran = []
        with monkeypatch.context() as patch:
            executor._open()
            patch.setattr(threading.Thread, "start", refuse)
            submit(manager, (lambda: ran.append(threading.current_thread())))
        assert ran == [threading.main_thread()]
        submit(manager, (lambda: ran.append(threading.current_thread())))
        assert executor.drain(10) == []
        assert ran[1] is not threading.main_thread()
    assert "No thread could be started" in caplog.text


# --- drain ---------------------------------------------------------------------------------


def test_drain_returns_what_has_not_ended():
    """The running task, those behind it and those in the queue; they go on."""
    with pool(workers=1) as (executor, manager):
        gate, ran = Gate(), []
        first = batch_of(manager, (ran.append, 0), gate, (ran.append, 1))
        second = batch_of(manager, (ran.append, 2))
        expected = [*first.tasks[1:], *second.tasks]
        manager.submit(first)
        manager.submit(second)
        assert gate.begun.wait(10)
        assert executor.drain(0.01) == expected
        gate.opened.set()
        assert executor.drain(10) == []
        assert ran == [0, 1, 2]


def test_drain_waits_only_for_what_was_submitted_before():
    """So it comes back although requests still arrive."""
    with pool(workers=2) as (executor, manager):
        stop, count = threading.Event(), []

        def more():
            count.append(1)
            if not stop.is_set():
                submit(manager, more)

        submit(manager, more)
        assert executor.drain(10) == []
        assert executor.drain(10) == []
        stop.set()


def test_a_task_may_drain_its_own_pool():
    """It does not wait for itself."""
    with pool(workers=2) as (_, manager):
        found = []
        submit(manager, lambda: found.append(manager.drain(10)))
        wait_for(lambda: found, 5)
        assert found == [[]]


# --- the end -------------------------------------------------------------------------------


def test_after_a_shutdown_requests_run_their_tasks():
    """Requests may still arrive."""
    executor, ran = ThreadExecutor(), []
    manager = TaskManager(executor)
    submit(manager, (ran.append, "pool"))
    assert manager.shutdown() == []
    assert manager.shutdown() == []
    submit(manager, (lambda: ran.append(threading.current_thread())))
    assert ran == ["pool", threading.main_thread()]
    wait_for(lambda: not pool_threads(), 10)


def test_a_shutdown_lets_go_who_waits_for_room():
    """Their batches run inline."""
    executor = ThreadExecutor(workers=1, queue_size=1, on_full="block")
    manager, gate, ran = TaskManager(executor), Gate(), []
    submit(manager, gate)
    submit(manager, (ran.append, 1))
    blocked = threading.Thread(target=submit, args=(manager, (ran.append, 2)))
    blocked.start()
    wait_for(lambda: executor._pool.blocked)
    with ThreadPoolExecutor(1) as other:
        ending = other.submit(executor.shutdown)
        blocked.join(10)
        assert ran == [2]
        gate.opened.set()
        assert ending.result(10) == []
    assert ran == [2, 1]
    wait_for(lambda: not pool_threads(), 10)


def test_what_is_left_at_the_deadline_is_reported(caplog):
    """Queued tasks are lost and never start; the running one is interrupted, and ends late."""
    executor, gate, ran = ThreadExecutor(workers=1, drain_timeout=0.05), Gate(), []
    manager, heard, left = TaskManager(executor), [], []
    manager.on_task(lambda event: heard.append((event.kind, event.task)))

    def run_on():
        gate()
        current_tasks().add_task(ran.append, "too late")

    first = batch_of(manager, run_on, (ran.append, 1))
    second = batch_of(manager, (ran.append, 2), (ran.append, 3))
    running, behind, *queued = (*first.tasks, *second.tasks)
    manager.submit(first, after=lambda: left.append("first"))
    manager.submit(second, after=lambda: left.append("second"))
    assert gate.begun.wait(10)

    assert manager.shutdown() == [*queued, running, behind]

    assert left == ["second"]
    gate.opened.set()
    wait_for(lambda: not pool_threads(), 10)
    assert ran == []
    assert left == ["second", "first"]
    assert heard == [
        ("started", running),
        *(("lost", one) for one in queued),
        ("interrupted", running),
        ("lost", behind),
        ("failed", running),
    ]
    told = {record.task_id for record in caplog.records if record.levelname == "ERROR"}
    assert told == {one.id for one in (running, behind, *queued)}
    assert "Raise drain_timeout and the server's own limit" in caplog.text
    (late,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "which was reported as interrupted, came to its end" in late.getMessage()


def test_at_the_deadline_each_task_is_run_or_reported_as_lost(caplog):
    """Never both and never neither, whatever the moment; what was interrupted comes to its end."""
    interval, cut = sys.getswitchinterval(), 0
    sys.setswitchinterval(1e-6)
    try:
        for count in range(60):
            executor, ran, heard = ThreadExecutor(workers=2, drain_timeout=0), [], []
            manager = TaskManager(executor)
            manager.on_task(lambda event, heard=heard: heard.append((event.kind, event.task.args)))

            def note(each, ran=ran):
                ran.append(each)
                time.sleep(0)  # lets other threads go on

            batches = [[(one, number) for number in range(100)] for one in range(3)]
            for batch in batches:
                submit(manager, *((note, each) for each in batch))
            wait_for(lambda ran=ran, count=count: len(ran) > count)
            left = [one.args[0] for one in manager.shutdown()]
            wait_for(lambda: not pool_threads(), 10)
            lost = [args[0] for kind, args in heard if kind == "lost"]
            interrupted = [args[0] for kind, args in heard if kind == "interrupted"]
            assert sorted(ran + lost) == [each for batch in batches for each in batch]
            assert set(interrupted) <= set(ran)
            cut += bool(ran and lost and interrupted)
            # (a batch that just begins may be reported by its own thread)
            assert set(left) <= set(interrupted + lost)
    finally:
        sys.setswitchinterval(interval)
    assert cut > 0


def test_after_the_deadline_drain_returns_what_runs_on():
    """The tasks behind it were reported, and are nobody's any more."""
    executor, gate = ThreadExecutor(workers=1, drain_timeout=0.01), Gate()
    manager = TaskManager(executor)
    batch = batch_of(manager, gate, print)
    running, behind = batch.tasks
    manager.submit(batch)
    assert gate.begun.wait(10)
    assert manager.shutdown() == [running, behind]
    assert executor.drain(0.01) == [running]
    gate.opened.set()
    assert executor.drain(10) == []
    wait_for(lambda: not pool_threads(), 10)


def test_a_late_exit_that_never_ends_keeps_nobody():
    """Its tasks have ended, so there is nothing to report at the deadline."""
    executor, gate = ThreadExecutor(workers=1, drain_timeout=0.05), Gate()
    manager = TaskManager(executor)
    submit(manager, print, after=gate)
    assert gate.begun.wait(10)
    assert executor.drain(0.01) == []
    assert manager.shutdown() == []
    gate.opened.set()
    wait_for(lambda: not pool_threads(), 10)


def test_two_late_tasks_of_which_one_was_reported(caplog):
    """Only the end of the reported one is told of."""
    executor, gates = ThreadExecutor(workers=2, drain_timeout=0.05), [Gate(), Gate()]
    manager = TaskManager(executor)
    submit(manager, gates[0])
    assert gates[0].begun.wait(10)
    ending = threading.Thread(target=manager.shutdown)
    ending.start()
    ending.join(10)
    submit(manager, print)
    gates[0].opened.set()
    wait_for(lambda: not pool_threads(), 10)
    assert caplog.text.count("came to its end") == 1


def test_what_waits_for_a_lost_batch_may_fail(caplog):
    """It is logged, and the other batches are reported."""
    executor, gate = ThreadExecutor(workers=1, drain_timeout=0.01), Gate()
    manager = TaskManager(executor)

    def broken():
        raise LookupError("in what comes after")

    submit(manager, gate)
    assert gate.begun.wait(10)
    for _ in range(2):
        submit(manager, print, after=broken)
    assert len(manager.shutdown()) == 3
    assert caplog.text.count("What waited for the end of a batch failed.") == 2
    gate.opened.set()
    wait_for(lambda: not pool_threads(), 10)


SCRIPT = """
    import asyncio, os, sys, threading, time
    from tests.executors.support import submit
    from wsgibg import *

    def pool(**options):
        return TaskManager(ThreadExecutor(**options))

    def say(*words):
        print(*words, flush=True)

    def nap(seconds, word):
        time.sleep(seconds)
        say(word)

    async def nap_async(seconds, word):
        await asyncio.sleep(seconds)
        say(word)
"""


def test_a_script_that_used_the_pool_ends_by_itself_having_run_everything():
    """Sync and async tasks alike, after the main thread's end."""
    source = (
        SCRIPT
        + """
    manager = pool(workers=1)
    for number in range(3):
        submit(manager, (nap, 0.05, number), (nap_async, 0.05, "async"))
    say("main ends")
    """
    )
    begin = time.monotonic()
    assert output(source) == ["main ends", "0", "async", "1", "async", "2", "async"]
    assert time.monotonic() - begin < 10


def test_a_script_with_an_idle_pool_ends_at_once():
    """Its threads wait for nothing."""
    source = (
        SCRIPT
        + """
    manager = pool()
    submit(manager, (say, 1))
    manager.drain(5)
    say(2)
    """
    )
    begin = time.monotonic()
    assert output(source) == ["1", "2"]
    assert time.monotonic() - begin < 5


def test_tasks_handed_over_after_the_main_thread_s_end_are_run():
    """By a pool that is being drained, and by one that was not used before."""
    source = (
        SCRIPT
        + """
    old, new = pool(workers=1), pool()
    submit(old, (nap, 0.3, "old"))

    def late():
        threading.main_thread().join()
        submit(old, (say, "late"))
        submit(new, (lambda: say("new", threading.current_thread().name)))

    threading.Thread(target=late, name="late").start()
    """
    )
    assert sorted(output(source)) == ["late", "new late", "old"]


def test_a_script_reports_what_it_does_not_wait_for():
    """After `drain_timeout`; the interpreter still waits for the running task."""
    source = (
        SCRIPT
        + """
    manager = pool(workers=1, drain_timeout=0.1)
    batch = submit(manager, (nap, 0.6, "slow"), (say, "never"))
    time.sleep(0.05)
    """
    )
    done = program(source)
    assert done.returncode == 0
    assert done.stdout.splitlines() == ["slow"]
    assert re.findall(r"was (interrupted|lost):", done.stderr) == ["interrupted", "lost"]
    assert "came to its end" in done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_a_pool_of_its_own():
    """What the parent has to run is run by the parent, once."""
    source = (
        SCRIPT
        + """
    manager = pool(workers=1)
    submit(manager, (nap, 0.3, "parent"))
    submit(manager, (say, "parent, queued"))
    child = os.fork()
    if child == 0:
        submit(manager, (lambda: say("child", threading.current_thread().name)))
        sys.exit(0)
    os.waitpid(child, 0)
    """
    )
    assert output(source) == ["child wsgibg-task-0", "parent", "parent, queued"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("child_ends", ["by returning", "by os._exit"])
def test_a_task_may_fork(child_ends):
    """The child does not run what comes after it in the parent's batch and queue."""
    source = (
        SCRIPT
        + """
    manager = pool(workers=1)

    def fork():
        child = os.fork()
        if child:
            say("child ended", os.waitpid(child, 0)[1])
        elif "ENDS" == "by os._exit":
            os._exit(0)

    submit(manager, fork, (say, "behind"), after=lambda: say("after"))
    submit(manager, (say, "queued"))
    """.replace("ENDS", child_ends)
    )
    assert output(source) == ["child ended 0", "behind", "after", "queued"]


@pytest.mark.skipif(importlib.util.find_spec("gevent") is None, reason="gevent is not installed")
@pytest.mark.parametrize("patched_late", [False, True], ids=["", "patched late"])
def test_under_gevent_the_threads_are_greenlets(patched_late):
    """They wait side by side in one native thread; async tasks run on the loop's own."""
    patch = "from gevent import monkey; monkey.patch_all()\n"
    lines = SCRIPT.replace("\n    ", "\n")
    source = (
        (lines + patch if patched_late else patch + lines)
        + """
ident = monkey.get_original("_thread", "get_ident")
seen = set()

def where(seconds):
    time.sleep(seconds)
    seen.add(ident())

async def where_async():
    await asyncio.sleep(0.01)
    say("loop elsewhere", ident() not in seen)

manager = pool(workers=3)
begin = time.monotonic()
for _ in range(3):
    submit(manager, (where, 0.3), where_async)
say(manager.drain(5), 0.3 <= time.monotonic() - begin < 0.85, seen == {ident()})
submit(manager, (nap, 0.2, "drained at the end"))
"""
    )
    done = program(source, "-W", "default")
    assert done.stdout.splitlines() == [
        *["loop elsewhere True"] * 3,
        "[] True True",
        "drained at the end",
    ]
    assert done.returncode == 0


def test_current_task_is_right_in_threads_side_by_side():
    """Each thread knows the task that it runs."""
    with pool(workers=4) as (executor, manager):
        barrier, seen = threading.Barrier(4), []

        def look():
            barrier.wait(10)
            seen.append(current_task().id)

        batches = [batch_of(manager, look) for _ in range(4)]
        ids = {batch.tasks[0].id for batch in batches}
        for batch in batches:
            manager.submit(batch)
        assert executor.drain(10) == []
        assert set(seen) == ids


# --- who is interrupted --------------------------------------------------------------------


def test_a_batch_that_is_cut_before_it_begins_is_reported_at_once(caplog):
    """It has left the queue, and whoever took it is late: he finds nothing to run."""
    executor, ran = ThreadExecutor(workers=1, drain_timeout=0), []
    manager = TaskManager(executor)
    submit(manager, print)
    assert executor.drain(10) == []
    batch = batch_of(manager, (ran.append, 1), (ran.append, 2))
    batch.host = manager
    tasks = batch.tasks.copy()
    executor._pool.unended[id(batch)] = batch

    begin = time.monotonic()
    assert manager.shutdown() == tasks
    assert time.monotonic() - begin < 1

    assert caplog.text.count("was lost: it had not started") == 2
    executor._pool.run(batch)
    assert ran == []
    assert executor._pool is not None
    assert executor._pool.unended == {}


def test_a_batch_that_is_cut_while_it_begins_is_reported_by_its_thread(caplog):
    """It sees that it is too late, whichever of the two looked first."""
    manager, ran = TaskManager(ThreadExecutor()), []
    batch = batch_of(manager, (ran.append, 1), (ran.append, 2))
    batch.host = manager
    batch.cut = "it was too late"

    run_batch(batch)

    assert ran == []
    assert caplog.text.count("was lost: it was too late.") == 2


class Interrupting(list):
    """Threads that wait; whoever takes one is stopped before he can wake it."""

    def pop(self, *args):
        if not self:
            raise IndexError
        super().pop(*args)
        raise SystemExit("the server's quick stop")


def test_a_thread_that_is_stopped_while_it_hands_over_reports_the_batch(caplog):
    """And wakes the thread of the pool that it had taken for it."""
    executor, ran = ThreadExecutor(workers=1), []
    manager = TaskManager(executor)
    submit(manager, (ran.append, 1))
    wait_for(lambda: executor._pool.idle, 10)
    executor._pool.idle = Interrupting(executor._pool.idle)

    with pytest.raises(SystemExit):
        submit(manager, (ran.append, 2))

    reported = caplog.text.count("was lost: the server stopped the thread that handed it over")
    assert len(ran) + reported == 2
    executor._pool.idle = []
    assert executor.shutdown() == []
    wait_for(lambda: not pool_threads(), 10, "the thread has ended")


@pytest.mark.skipif(importlib.util.find_spec("gevent") is None, reason="gevent is not installed")
def test_greenlets_know_their_tasks_where_gevent_patches_late():
    """As in a gunicorn worker, whose configuration has imported the package before."""
    source = """
    from wsgibg import *
    from tests.executors.support import submit
    from gevent import monkey; monkey.patch_all()
    import threading, time

    def work():
        mine = current_task().id
        time.sleep(0.05)
        assert current_task().id == mine
        print("mine", flush=True)

    manager = TaskManager(InlineExecutor())
    threads = [threading.Thread(target=submit, args=(manager, work)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    """
    done = program(source)  # (gevent itself warns of the late patch)
    assert done.stdout.splitlines() == ["mine"] * 3, done.stderr
