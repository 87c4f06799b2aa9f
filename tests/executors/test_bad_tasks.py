"""What a task may do wrong, on every executor that runs tasks in this process."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading

import pytest

from tests.executors.support import batch_of, output, program, submit
from tests.support import wait_for
from wsgibg import (
    InlineExecutor,
    TaskManager,
    TaskOptions,
    ThreadExecutor,
    _attempt,
    _report,
    current_tasks,
    task,
)
from wsgibg.exceptions import TaskRefused

EXECUTORS = {
    "InlineExecutor()": "in the server's thread",
    "ThreadExecutor(workers=1)": "in a pool",
}

BEGIN = """
    import asyncio, logging, os, sys, threading, time
    from tests.executors.support import submit
    from wsgibg import *
    from wsgibg._aio._loop import process
    from wsgibg.executors import _life

    logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout)
    manager = TaskManager(EXECUTOR)

    def say(*words):
        os.write(1, (" ".join(map(str, words)) + "\\n").encode())
"""

on_each = pytest.mark.parametrize("executor", EXECUTORS, ids=EXECUTORS.get)


def script(executor, source):
    return BEGIN.replace("EXECUTOR", executor) + source


def in_a_thread(func, *args):
    """Call it as a server does, whose threads are not the main one."""
    thread = threading.Thread(target=func, args=args)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()


# --- raising -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, RecursionError, MemoryError])
@pytest.mark.parametrize("way", ["sync", "async", "at once"])
def test_what_a_task_raises_ends_no_thread(manager, caplog, kind, way):
    """Neither the server's, nor the pool's, nor the loop's; the tasks behind it run."""
    ran = []

    def fail():
        raise kind("own")

    async def fail_at_once():
        raise kind("own")

    async def fail_later():
        await asyncio.sleep(0)
        raise kind("own")

    failing = {"sync": fail, "async": fail_later, "at once": fail_at_once}[way]
    in_a_thread(submit, manager, failing, (ran.append, 1), failing, (ran.append, 2))

    assert manager.drain(10) == []
    assert ran == [1, 2]
    failures = [(record.levelname, record.exc_info[0]) for record in caplog.records]
    assert failures == [("ERROR", kind)] * 2


@on_each
def test_a_task_cannot_end_the_process(executor):
    """It is a failure like others, also in the main thread; the process's status is its own."""
    source = """
    async def exit_later():
        await asyncio.sleep(0)
        sys.exit(4)

    submit(manager, (sys.exit, 3), exit_later, quit, (say, "behind"))
    manager.drain(10)
    say("main")
    sys.exit(7)
    """
    done = program(script(executor, source))
    assert done.returncode == 7, done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if "SystemExit" in line] == [
        "SystemExit: 3",
        "SystemExit: 4",
        "SystemExit: None",
    ]
    assert lines[-2:] == ["behind", "main"]


# --- never ending --------------------------------------------------------------------------


@on_each
@pytest.mark.parametrize("way", ["hang", "hang_async"])
def test_a_task_that_never_ends_is_reported_at_the_end_of_the_process(executor, way):
    """With what waits behind it; and where Python does not wait, the process ends."""
    daemon = executor == "InlineExecutor()"  # as the threads of some servers
    source = """
    _life.PATIENCE = manager.executor.drain_timeout = process.main_end.seconds = 0.3
    begun = threading.Event()

    def hang():
        begun.set()
        while daemon or not reported():
            time.sleep(0.01)

    def reported():
        return any(each.state == "interrupted" for each in manager.recent())

    async def hang_async():
        begun.set()
        await asyncio.Event().wait()

    @manager.on_task
    def tell(event):
        if event.kind in ("interrupted", "lost"):
            say(event.kind, *event.task.args)

    daemon = DAEMON
    calls = WAY, (say, "behind")
    threading.Thread(target=submit, args=(manager, *calls), daemon=daemon).start()
    begun.wait(10)
    """.replace("WAY", way).replace("DAEMON", str(daemon))
    done = program(script(executor, source), timeout=30)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    told = [line for line in lines if line.startswith(("interrupted", "lost"))]
    assert told == ["interrupted", "lost behind"]
    assert "behind" not in lines  # it did not run


# --- forking -------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@on_each
def test_a_task_that_forks_has_what_comes_after_it_run_once(executor):
    """By the parent, however the child ends; what is queued is the parent's as well."""
    source = """
    logging.disable()
    parent = os.getpid()

    def fail():
        raise OSError

    def fork(end):
        child = os.fork()
        if not child:
            end()
            return
        say("child ended", os.waitpid(child, 0)[1])

    for end in (int, fail, sys.exit, lambda: os._exit(0)):
        submit(manager, (fork, end), (say, "behind"), after=lambda: say("after"))
        if os.getpid() != parent:
            break
        submit(manager, (say, "next"))
        manager.drain(10)  # Python 3.12 does not fork once the main thread has ended
    """
    flags = ("-W", "ignore::DeprecationWarning")  # of forks beside threads, from 3.12 on
    lines = output(script(executor, source), *flags)
    assert lines == ["child ended 0", "behind", "after", "next"] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@on_each
def test_a_task_whose_child_uses_the_engine(executor):
    """The child's requests have a pool, a loop and an alarm of its own."""
    source = """
    async def later(word):
        await asyncio.sleep(0)
        say(word)

    def flaky(seen=[]):
        seen.append(1)
        if len(seen) == 1:
            raise OSError
        say("tried again")

    def fork():
        child = os.fork()
        if child:
            say("child ended", os.waitpid(child, 0)[1])
            return
        logging.disable()
        submit(manager, (later, "child"), task(flaky, retries=1, backoff=0.01))
        os._exit(len(manager.drain(10)))

    submit(manager, (later, "parent"), fork, (later, "behind"))
    manager.drain(10)
    """
    flags = ("-W", "ignore::DeprecationWarning")
    lines = output(script(executor, source), *flags)
    assert lines == ["parent", "child", "tried again", "child ended 0", "behind"]


# --- changing what it was given ------------------------------------------------------------


def test_a_task_that_changes_its_arguments(manager):
    """Its own tuple and dictionary stay; an object that it was given is the same for all."""
    shared, seen = [1], []

    @task(retries=1, backoff=0.01)
    def change(numbers, *rest, **options):
        seen.append((list(numbers), rest, dict(options)))
        numbers.append(2)
        options["more"] = options.pop("word")
        if len(seen) == 1:
            raise OSError

    batch = batch_of(manager)
    batch.add_task(change, shared, 5, word="given")
    batch.add_task(seen.append, shared)
    manager.submit(batch)
    assert manager.drain(10) == []
    wait_for(lambda: len(seen) == 3, 10, "both attempts and the other task")
    assert seen[0] == ([1], (5,), {"word": "given"})
    assert seen[2] == ([1, 2], (5,), {"word": "given"})
    assert seen[1] is shared


# --- adding for ever -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sync", "async", "with options"])
def test_a_task_that_adds_itself_comes_to_an_end(manager, caplog, monkeypatch, kind):
    """What was added last is reported as lost, and why."""
    monkeypatch.setattr(_attempt, "MAX_ADDED", 200)
    ran = []

    def again():
        ran.append(1)
        current_tasks().add_task(added)

    async def again_async():
        await asyncio.sleep(0)
        again()

    added = {"sync": again, "async": again_async, "with options": task(again, timeout=60)}[kind]
    submit(manager, added)
    assert manager.drain(20) == []
    assert len(ran) == 201
    (record,) = caplog.records
    assert "was lost: the tasks of its batch had added 200 tasks, which is" in record.getMessage()


@pytest.mark.parametrize(
    ("make", "said", "count"),
    [
        (InlineExecutor, "its thread was at 20 batches inside of each other, which is", 20),
        (ThreadExecutor, "a chain of 50 batches had come to it, which is the limit.", 51),
    ],
    ids=["inline", "thread"],
)
def test_tasks_that_have_each_other_run_elsewhere(caplog, monkeypatch, make, said, count):
    """Each by another executor, in a batch of its own: they come to an end as well."""
    monkeypatch.setattr(_attempt, "MAX_ADDED", 50)
    monkeypatch.setattr(_report, "MAX_NESTED", 20)
    manager = TaskManager(make(), executors={"one": make(), "two": make()})
    ran = []

    def again(here, there):
        ran.append(here)
        call = task(again, executor=there, retries=len(ran) % 2, backoff=0)
        current_tasks().add_task(call, there, here)
        if len(ran) == 7:
            raise OSError  # it is tried again, and the chain goes on from there as well

    submit(manager, (again, "one", "two"))
    wait_for(lambda: "was lost" in caplog.text, 20, "the end is told")
    assert manager.shutdown() == []
    assert len(ran) >= count
    assert said in caplog.text


# --- hooks, shutdowns, options -------------------------------------------------------------


@pytest.mark.parametrize("error", [OSError, SystemExit, KeyboardInterrupt, RecursionError])
def test_a_hook_that_raises_harms_no_task(manager, caplog, error):
    """It is logged each time; other hooks hear of everything."""
    ran, heard = [], []

    @manager.on_task
    def fail(event):
        raise error("a bad hook")

    manager.on_task(lambda event: heard.append(event.kind))

    async def later():
        await asyncio.sleep(0)
        ran.append("async")

    in_a_thread(submit, manager, (ran.append, "sync"), later, int)
    assert manager.drain(10) == []
    assert ran == ["sync", "async"]
    assert heard == ["started", "succeeded"] * 3
    assert [record.exc_info[0] for record in caplog.records] == [error] * 6


def test_an_executor_that_is_shut_down_while_requests_arrive(executor):
    """Each task runs once, sync, async or with options, whenever that is."""
    manager, ran = TaskManager(executor), []

    async def later(name):
        ran.append(name)

    def serve(number):
        for each in range(60):
            name = (number, each)
            func = (ran.append, later, task(ran.append, timeout=60))[each % 3]
            submit(manager, (func, name))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=serve, args=(number,)) for number in range(4)]
        for each in threads:
            each.start()
        wait_for(lambda: len(ran) > 20, 10, "requests arrive")
        assert manager.shutdown() == []
        for each in threads:
            each.join(30)
        assert manager.shutdown() == []
    finally:
        sys.setswitchinterval(interval)
    assert len(ran) == len({*ran}) == 240


def test_an_executor_that_nobody_knows_is_refused_where_it_is_added(manager):
    """In a request and in a task; an option that does not exist, where it is declared."""
    refused = []

    def adding():
        with pytest.raises(TaskRefused, match="asks for the executor 'nowhere'"):
            current_tasks().add_task(task(int, executor="nowhere"))
        refused.append("in a task")

    batch = batch_of(manager, adding)
    with pytest.raises(TaskRefused, match="asks for the executor 'nowhere'; the app knows none"):
        batch.add_task(task(int, executor="nowhere"))
    manager.submit(batch)
    assert manager.drain(10) == []
    assert refused == ["in a task"]

    with pytest.raises(TaskRefused, match="A task has no option 'retry'"):
        task(int, retry=3)
    with pytest.raises(TaskRefused, match="executor=3: pass an executor, or the name"):
        TaskOptions(executor=3)


def test_a_record_is_logged_with_the_task_s_id(manager, caplog):
    """In everything that is said of a task that went wrong."""
    with caplog.at_level(logging.WARNING):
        submit(manager, task(lambda: 1 / 0, retries=1, backoff=0.01))
        assert manager.drain(10) == []
    ids = {record.task_id for record in caplog.records}
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    assert len(ids) == 1
