"""Retries and timeouts, on every executor that runs tasks in this process."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import logging
import math
import threading
import time
from contextvars import ContextVar

import pytest

from tests.executors.support import Gate, output, program, submit
from tests.support import client, wait_for
from wsgibg import (
    App,
    BackgroundTask,
    BackgroundTasks,
    Depends,
    Executor,
    InlineExecutor,
    TaskManager,
    ThreadExecutor,
    _alarm,
    _attempt,
    current_task,
    current_tasks,
    task,
)
from wsgibg._attempt import run_batch
from wsgibg.exceptions import TaskRefused
from wsgibg.executors._life import life


class Flaky:
    """Fails so many times, then succeeds."""

    def __init__(self, failures, error=OSError):
        self.failures, self.error = failures, error
        self.attempts = []
        self.succeeded = threading.Event()

    def __call__(self, *_):
        self.attempts.append(current_task().attempt)
        if len(self.attempts) <= self.failures:
            raise self.error("not yet")
        self.succeeded.set()


class Later(Flaky):
    """The same, async."""

    async def __call__(self, *_):
        await asyncio.sleep(0)
        super().__call__()


# --- retries -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Flaky, Later])
def test_a_task_that_fails_is_tried_again(manager, kind, caplog):
    """Until it succeeds; each failure before is a warning with its traceback."""
    flaky = kind(2)
    with caplog.at_level(logging.WARNING, "wsgibg.background"):
        submit(manager, task(flaky, retries=3, backoff=0.01))
        assert manager.drain(10) == []

    assert flaky.attempts == [1, 2, 3]
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    first = caplog.records[0]
    assert "failed in attempt 1 of 4, and is tried again in 0.0" in first.message
    assert first.exc_info[0] is OSError
    assert len({record.task_id for record in caplog.records}) == 1


def test_after_the_last_attempt_it_has_failed(manager, caplog):
    """At level ERROR, once."""
    flaky = Flaky(9)
    with caplog.at_level(logging.ERROR, "wsgibg.background"):
        submit(manager, task(flaky, retries=2, backoff=0.01))
        assert manager.drain(10) == []

    assert flaky.attempts == [1, 2, 3]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_an_error_that_is_not_named_ends_it_at_once(manager, caplog):
    """`retry_on` says which are worth another attempt."""
    flaky = Flaky(9, ValueError)
    with caplog.at_level(logging.ERROR, "wsgibg.background"):
        submit(manager, task(flaky, retries=2, backoff=0.01, retry_on=OSError))
        assert manager.drain(10) == []

    assert flaky.attempts == [1]
    assert "failed" in caplog.text


def test_the_tasks_behind_it_do_not_wait(manager):
    """The order of a batch is the order of first attempts."""
    ran, flaky = [], Flaky(1)

    def fail_once():
        ran.append("first")
        flaky()

    submit(manager, task(fail_once, retries=1, backoff=0.2), (ran.append, "second"))
    wait_for(lambda: len(ran) > 1, 10, "the second task has run")
    assert ran == ["first", "second"]
    assert manager.drain(10) == []
    assert ran == ["first", "second", "first"]


def test_where_a_failure_ends_the_batch_the_batch_waits(executor):
    """With `after_task_error="stop"` the second task comes when the first has succeeded."""
    manager = TaskManager(executor, after_task_error="stop")
    ran, flaky, after = [], Flaky(1), []

    def fail_once():
        ran.append("first")
        flaky()

    calls = task(fail_once, retries=1, backoff=0.1), (ran.append, "second")
    submit(manager, *calls, after=lambda: after.append(list(ran)))
    assert manager.drain(10) == []

    assert ran == ["first", "first", "second"]
    assert after == [["first", "first", "second"]]


def test_where_a_failure_ends_the_batch_it_ends_with_the_last_attempt(executor, caplog):
    """Then the others are dropped."""
    manager = TaskManager(executor, after_task_error="stop")
    ran = []
    submit(manager, task(Flaky(9), retries=1, backoff=0.01), (ran.append, "second"))
    assert manager.drain(10) == []

    assert ran == []
    assert "was dropped" in caplog.text


def test_no_thread_of_the_server_waits_for_a_retry(manager):
    """The request has ended long before the second attempt."""
    begin = time.monotonic()
    submit(manager, task(Flaky(1), retries=1, backoff=600, max_backoff=600))
    assert time.monotonic() - begin < 60
    (left,) = manager.drain(0.2)

    (lost,) = manager.shutdown()
    assert lost is left


variable: ContextVar[str] = ContextVar("variable", default="unset")


def test_each_attempt_sees_the_variables_as_they_were(manager):
    """A copy of the snapshot: what an attempt sets, the next one does not see."""
    seen = []

    def note():
        seen.append(variable.get())
        variable.set("changed")
        if len(seen) < 3:
            raise OSError

    token = variable.set("given")
    submit(manager, task(note, retries=2, backoff=0.01))
    variable.reset(token)
    assert manager.drain(10) == []
    assert seen == ["given"] * 3


def test_a_later_attempt_may_add_tasks(manager):
    """To a batch of its own: `current_tasks` is that."""
    ran, flaky = [], Flaky(1)

    def add():
        flaky()
        current_tasks().add_task(ran.append, "added")

    submit(manager, task(add, retries=1, backoff=0.01))
    assert manager.drain(10) == []
    assert ran == ["added"]


def test_a_later_attempt_may_add_to_the_collector_of_its_request(executor):
    """That is over by then: the task's own batch takes it."""
    app, ran, flaky = App(executor=executor), [], Flaky(1)

    def add(tasks):
        flaky()
        tasks.add_task(ran.append, "added")

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(task(add, retries=1, backoff=0.01), tasks)

    client(app).get("/")
    assert app.drain(10) == []
    assert ran == ["added"]


def test_drain_waits_for_what_came_behind_a_retry(executor):
    """Where a failure would end the batch; the retry itself has ended."""
    manager, gate, flaky = TaskManager(executor, after_task_error="stop"), Gate(), Flaky(1)
    submit(manager, task(flaky, retries=1, backoff=0.01), gate)
    assert gate.begun.wait(10)
    (left,) = manager.drain(0.1)
    assert left.func is gate
    gate.opened.set()
    assert manager.drain(10) == []


def test_hooks_hear_of_retries(manager):
    """Between the failure and the next start."""
    kinds = []
    manager.on_task(lambda event: kinds.append(event.kind))
    submit(manager, task(Flaky(1), retries=1, backoff=0.01))
    assert manager.drain(10) == []
    assert kinds == ["added", "started", "retried", "started", "succeeded"]


def test_after_a_shutdown_a_failure_is_not_tried_again(executor, caplog):
    """It is reported as lost."""
    manager = TaskManager(executor)
    executor.shutdown()
    submit(manager, task(Flaky(1), retries=1, backoff=0.01))
    assert "was lost: it was to be tried again" in caplog.text


def test_an_executor_that_refuses_a_retry_loses_the_task(caplog):
    """It is said of the task, and what waits for the batch goes on."""

    class Refusing(InlineExecutor):
        def retry(self, batch, delay):
            raise OSError("no room")

    manager = TaskManager(Refusing(), after_task_error="stop")
    after = []
    calls = task(Flaky(1), retries=1), (print, "second")
    submit(manager, *calls, after=lambda: after.append("after"))

    lost = [record.message for record in caplog.records if "was lost" in record.message]
    assert len(lost) == 2
    assert after == ["after"]


def test_an_executor_of_somebody_else_is_asked_again():
    """Where it does not say otherwise, by `submit`, in a thread of its own."""
    batches = []

    class Theirs(Executor):
        def submit(self, batch):
            batches.append((threading.current_thread().name, batch))
            run_batch(batch)

    flaky = Flaky(1)
    submit(TaskManager(Theirs()), task(flaky, retries=1, backoff=0.01))
    assert flaky.succeeded.wait(10)
    assert [name for name, _ in batches][1] == "wsgibg-alarm"


def test_a_dependency_that_stays_open_for_first_attempts_cannot_serve_a_second():
    """A value of scope "tasks" is refused to a task with retries, in the handler."""
    app = App()
    refused = []

    class Session:
        def close(self):
            pass

    def session():
        yield Session()

    @app.get("/")
    def read(tasks: BackgroundTasks, given: Session = Depends(session, scope="tasks")):
        with pytest.raises(TaskRefused) as caught:
            tasks.add_task(task(print, retries=1), given)
        refused.append(str(caught.value))
        tasks.add_task(task(lambda _: None, timeout=5), given)

    client(app).get("/")
    (message,) = refused
    assert "which its dependency keeps open for first attempts only" in message


def test_a_script_waits_for_retries_that_come_soon():
    """The pool's end takes them in."""
    assert output(
        """
        from wsgibg import TaskManager, ThreadExecutor, task
        from tests.executors.support import submit
        from tests.executors.test_attempts import Flaky
        import logging
        logging.disable()
        flaky = Flaky(2)
        def report():
            flaky()
            print("attempts", flaky.attempts)
        submit(TaskManager(ThreadExecutor()), task(report, retries=2, backoff=0.05))
        """
    ) == ["attempts [1, 2, 3]"]


def test_a_script_does_not_wait_for_a_retry_after_its_deadline():
    """It ends at once, and says what is lost."""
    begin = time.monotonic()
    done = program(
        """
        from wsgibg import InlineExecutor, TaskManager, task
        from tests.executors.support import submit
        from tests.executors.test_attempts import Flaky
        manager = TaskManager(InlineExecutor())
        submit(manager, task(Flaky(2), retries=2, backoff=300))
        """
    )
    assert done.returncode == 0
    assert "was lost: it was to be tried again in" in done.stderr
    assert time.monotonic() - begin < 20


def test_a_retry_that_is_waited_for_is_what_drain_returns(manager):
    """Also where its task failed while it was waited."""
    gate, flaky = Gate(), Flaky(1)

    def fail():
        gate()
        flaky()

    def hand_over():
        submit(manager, task(fail, retries=1, backoff=30, jitter=0))

    thread = threading.Thread(target=hand_over)
    thread.start()
    assert gate.begun.wait(10)
    threading.Timer(0.1, gate.opened.set).start()
    wait_for(lambda: flaky.attempts, 10, "the first attempt has failed")
    thread.join()
    (left,) = manager.drain(0.3)
    (lost,) = manager.shutdown()
    assert left is lost


def test_a_retry_of_what_came_after_the_shutdown_is_not_forgotten():
    """A pool that is over and has something to do is known again."""
    executor = ThreadExecutor(workers=1)
    manager, flaky = TaskManager(executor), Flaky(1)
    submit(manager, print)
    assert executor.shutdown() == []
    pool = executor._pool
    wait_for(lambda: pool not in life.pools, 10, "the pool is forgotten")
    pool.deadline = math.inf  # as in a drain that goes on
    submit(manager, task(flaky, retries=1, backoff=0.2))
    assert pool in life.pools
    assert flaky.succeeded.wait(10)
    wait_for(lambda: pool not in life.pools, 10, "the pool is forgotten again")


def test_a_signal_while_a_retry_is_handed_over_is_reported(caplog):
    """The task is lost, and the exception is the server's."""

    class Stopped(InlineExecutor):
        def retry(self, batch, delay):
            raise SystemExit(1)

    with pytest.raises(SystemExit):
        submit(TaskManager(Stopped()), task(Flaky(1), retries=1))
    assert "was lost: its executor failed (SystemExit(1))" in caplog.text


def test_somebody_else_s_executor_that_fails_later_loses_the_task(caplog):
    """It is told as where it fails at once."""

    class Full(Executor):
        batches = 0

        def submit(self, batch):
            self.batches += 1
            if self.batches > 1:
                raise OSError("no room")
            run_batch(batch)

    kinds = []
    manager = TaskManager(Full())
    manager.on_task(lambda event: kinds.append(event.kind))
    submit(manager, task(Flaky(1), retries=1, backoff=0.01))
    wait_for(lambda: kinds[-1] == "lost", 10, "it is told")
    assert "did not take a batch" in caplog.text


def test_what_a_later_attempt_adds_is_checked(manager):
    """Where the mistake is, as in the first one."""
    refused = []

    def add():
        if current_task().attempt == 1:
            raise OSError
        with pytest.raises(TaskRefused) as caught:
            current_tasks().add_task(task(print, executor="nowhere"))
        refused.append(str(caught.value))

    submit(manager, task(add, retries=1, backoff=0.01))
    assert manager.drain(10) == []
    assert "asks for the executor 'nowhere'" in refused[0]


def test_a_task_that_was_reported_as_interrupted_is_not_tried_again(caplog):
    """It fails, and that is its end."""
    executor = ThreadExecutor(workers=1, drain_timeout=0.05)
    manager, gate, kinds = TaskManager(executor), Gate(), []
    manager.on_task(lambda event: kinds.append((event.kind, event.attempt)))

    def fail():
        gate()
        raise OSError

    submit(manager, task(fail, retries=3))
    assert gate.begun.wait(10)
    executor.shutdown()
    gate.opened.set()
    wait_for(lambda: kinds[-1][0] == "failed", 10, "its end")
    assert [kind for kind, _ in kinds] == ["added", "started", "interrupted", "failed"]


def test_retries_leave_no_cycle():
    """A batch that was tried again lets go of its task."""
    manager = TaskManager(InlineExecutor())

    def run():
        flaky = Flaky(1)
        submit(manager, task(flaky, retries=1, backoff=0.01))
        assert flaky.succeeded.wait(10)
        assert manager.drain(10) == []

    run()
    gc.collect()
    gc.disable()
    try:
        run()
        gc.collect()
        gc.set_debug(gc.DEBUG_SAVEALL)
        run()
        gc.collect()
        left = [each for each in gc.garbage if isinstance(each, BackgroundTasks | BackgroundTask)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    manager.shutdown()
    assert left == []


@pytest.mark.skipif(importlib.util.find_spec("gevent") is None, reason="gevent is not installed")
def test_under_gevent_async_tasks_are_tried_again():
    """By the greenlets of the pool, not by the loop's thread."""
    done = program(
        """
        from gevent import monkey; monkey.patch_all()
        import asyncio
        from wsgibg import InlineExecutor, TaskManager, current_task, task
        from tests.executors.support import submit
        attempts = []
        async def work():
            attempts.append(current_task().attempt)
            await asyncio.sleep(0.01)
            if len(attempts) < 2:
                raise OSError
        manager = TaskManager(InlineExecutor())
        submit(manager, task(work, retries=2, backoff=0.05))
        print(manager.drain(10), attempts)
        """
    )
    assert done.stdout == "[] [1, 2]\n", done.stderr


# --- what is told of those that are lost ----------------------------------------------------


def heard(manager):
    """The ends of tasks that the hooks hear of: kind, attempt, argument, reason."""
    ends = []

    @manager.on_task
    def hear(event):
        if event.kind in ("lost", "interrupted"):
            ends.append((event.kind, event.attempt, *event.task.args, event.reason))

    return ends


def fail(name):
    raise OSError(name)


@pytest.mark.parametrize("closed", [False, True], ids=["", "already over"])
def test_only_the_one_that_failed_was_to_be_tried_again(executor, closed):
    """Those behind it, which wait for it, have another reason and had no attempt."""
    manager = TaskManager(executor, after_task_error="stop")
    ends = heard(manager)
    if closed:
        executor.shutdown()
    submit(manager, (task(fail, retries=3, backoff=600, jitter=0), 1), (str, 2))
    if not closed:
        wait_for(lambda: executor._pool and executor._pool.postponed, 10, "it waits")
        executor.shutdown()

    (first, second) = ends
    assert first[:3] == ("lost", 2, 1)
    assert first[3].startswith("it was to be tried again in ")
    assert second[:3] == ("lost", 1, 2)
    assert second[3].startswith(f"it came behind {fail.__module__}.fail, which was to be tried")


def test_what_an_executor_refuses_tells_its_attempt():
    """At once, or when its time has come."""

    class Refusing(InlineExecutor):
        def retry(self, batch, delay):
            raise OSError("no room")

    class Full(Executor):
        def submit(self, batch):
            if batch.retried is not None:
                raise OSError("no room")
            run_batch(batch)

    for executor in (Refusing(), Full()):
        manager = TaskManager(executor, after_task_error="stop")
        ends = heard(manager)
        submit(manager, (task(fail, retries=3, backoff=0.01), 1), (str, 2))
        wait_for(lambda ends=ends: len(ends) == 2, 10, "both are told")
        reason = "its executor failed (OSError('no room'))"
        assert ends == [("lost", 2, 1, reason), ("lost", 1, 2, reason)]


def test_a_retry_that_waits_for_a_thread_is_lost_in_its_attempt():
    """Its time has come, and no thread was free before the end."""
    executor = ThreadExecutor(workers=1, drain_timeout=0.05)
    manager, gate = TaskManager(executor), Gate()
    ends = heard(manager)
    submit(manager, (task(fail, retries=3, backoff=0.01), 1), (gate, 2))
    assert gate.begun.wait(10)
    wait_for(lambda: executor._pool.queue, 10, "the retry waits for the thread")
    executor.shutdown()
    gate.opened.set()
    assert sorted(each[:3] for each in ends) == [("interrupted", 1, 2), ("lost", 2, 1)]


def test_a_later_attempt_is_interrupted_and_those_behind_it_are_lost():
    """Which have had none."""
    executor = ThreadExecutor(workers=1, drain_timeout=0.05)
    manager, gate = TaskManager(executor, after_task_error="stop"), Gate()
    ends = heard(manager)

    def work(name):
        if current_task().attempt == 1:
            raise OSError(name)
        gate()

    submit(manager, (task(work, retries=3, backoff=0.01), 1), (str, 2))
    assert gate.begun.wait(10)
    executor.shutdown()
    gate.opened.set()
    assert [each[:3] for each in ends] == [("interrupted", 2, 1), ("lost", 1, 2)]


def test_a_later_attempt_that_adds_for_ever_is_lost_in_the_first(manager, monkeypatch):
    """What it has added is at its own first attempt, although its batch is at the second."""
    monkeypatch.setattr(_attempt, "MAX_ADDED", 10)
    ends = heard(manager)

    def again(name):
        current_tasks().add_task(again, name + 1)
        if current_task().attempt == 1 and name == 0:
            raise OSError(name)

    submit(manager, (task(again, retries=1, backoff=0.01), 0))
    wait_for(lambda: len(ends) == 2, 10, "both are told")
    assert [each[1] for each in ends] == [1, 1]


# --- where no thread can be started ---------------------------------------------------------


@pytest.fixture(name="no_threads")
def _no_threads(monkeypatch):
    """`no_threads(meanwhile)`: the process has as many threads as it may have."""

    def begin(meanwhile=int):
        def refuse(_):
            meanwhile()
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(_alarm, "_alarms", {})  # one that has no thread yet
        monkeypatch.setattr(threading.Thread, "start", refuse)

    return begin


def test_a_retry_that_nobody_can_wait_for_is_lost(no_threads):
    """It is told once, and nothing of it is left."""
    executor = InlineExecutor()
    manager = TaskManager(executor)
    ends = heard(manager)
    submit(manager, print)
    executor._open()
    no_threads()
    submit(manager, (task(fail, retries=3), 1))
    assert ends == [
        ("lost", 2, 1, """its executor failed (RuntimeError("can't start new thread"))"""),
    ]
    assert not executor._pool.postponed
    assert not executor._pool.unended


def test_nor_is_one_told_twice_that_is_given_up_at_this_moment(no_threads):
    """The end of the process has come in between."""
    executor = InlineExecutor()
    manager = TaskManager(executor)
    ends = heard(manager)
    submit(manager, print)
    pool = executor._open()
    no_threads(lambda: pool.give_up(-math.inf))
    submit(manager, (task(fail, retries=3), 1))
    ((*end, reason),) = ends
    assert end == ["lost", 2, 1]
    assert "was to be tried again" in reason


def test_a_timeout_that_nobody_can_watch_is_warned_of(no_threads, caplog):
    """The task runs all the same."""
    manager, ran = TaskManager(InlineExecutor()), []
    submit(manager, print)
    no_threads()
    submit(manager, (task(ran.append, timeout=60), 1))
    assert ran == [1]
    assert "Nobody watches the timeout of background task" in caplog.text


# --- timeouts ------------------------------------------------------------------------------


def test_an_async_task_is_cancelled_at_its_timeout(manager, caplog):
    """It has failed with `TimeoutError`, and the next task comes."""
    ran = []

    async def hang():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ran.append("cancelled")
            raise

    submit(manager, task(hang, timeout=0.05), (ran.append, "next"))
    assert manager.drain(10) == []
    assert ran == ["cancelled", "next"]
    (record,) = [each for each in caplog.records if each.levelname == "ERROR"]
    assert record.exc_info[0] is TimeoutError


def test_an_async_task_that_timed_out_is_tried_again(manager):
    """`TimeoutError` is an error like any other."""
    attempts = []

    async def hang_once():
        attempts.append(current_task().attempt)
        if len(attempts) == 1:
            await asyncio.sleep(60)

    submit(manager, task(hang_once, timeout=0.05, retries=1, backoff=0.01))
    assert manager.drain(10) == []
    assert attempts == [1, 2]


def test_a_sync_task_can_ask_whether_its_time_is_over(manager, caplog):
    """It is told to give up, and it is reported when its time is over."""

    def work():
        context = current_task()
        assert not context.cancelled
        assert 0 < context.deadline - time.monotonic() <= 0.05
        wait_for(lambda: current_task().cancelled, 10, "the deadline")
        wait_for(lambda: "longer than its timeout of 0.05 s" in caplog.text, 10, "a report")
        raise TimeoutError("given up")

    submit(manager, task(work, timeout=0.05))
    assert manager.drain(10) == []
    assert "failed" in caplog.text


def test_a_sync_task_that_never_ends_is_reported_while_it_runs(caplog):
    """At its deadline; and once more should it end all the same."""
    executor = ThreadExecutor(workers=1)
    gate = Gate()
    submit(TaskManager(executor), task(gate, timeout=0.05))
    wait_for(lambda: "runs for longer than its timeout" in caplog.text, 10, "a report")
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.task_id

    gate.opened.set()
    assert executor.shutdown() == []
    assert "came to its end after" in caplog.records[-1].message


def test_a_task_that_is_in_time_is_not_reported(manager, caplog):
    """Sync, async, and one that cannot suspend; without a timeout there is no deadline."""
    seen = []

    def quick():
        seen.append(current_task().deadline)

    async def at_once():
        seen.append(current_task().deadline)

    async def soon():
        await asyncio.sleep(0)
        seen.append(current_task().deadline)

    kinds = [quick, at_once, soon]
    submit(manager, *(task(each, timeout=30) for each in kinds), *kinds)
    assert manager.drain(10) == []
    assert [each is not None for each in seen] == [True] * 3 + [False] * 3
    assert caplog.records == []


def test_a_coroutine_that_cannot_suspend_is_watched(manager, caplog):
    """It runs in the thread of its batch, where nobody can cancel it."""

    async def busy():
        wait_for(lambda: current_task().cancelled, 10, "its deadline")
        wait_for(lambda: "runs for longer" in caplog.text, 10, "a report")

    submit(manager, task(busy, timeout=0.05))
    assert manager.drain(10) == []
    assert "came to its end after" in caplog.text


def test_nobody_waits_for_a_task_that_asks_at_the_end():
    """Where the pool's end does not wait any longer, `cancelled` is true."""
    executor = ThreadExecutor(workers=1, drain_timeout=0.05)
    begun, ended = threading.Event(), threading.Event()

    def work():
        begun.set()
        wait_for(lambda: current_task().cancelled, 10, "the end")
        ended.set()

    submit(TaskManager(executor), work)
    assert begun.wait(10)
    executor.shutdown()
    assert ended.wait(10)
