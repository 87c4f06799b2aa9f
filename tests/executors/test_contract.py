"""What every executor that runs tasks in this process promises."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextvars import ContextVar

import pytest

from tests.executors.support import batch_of, submit
from tests.support import client
from wsgibg import (
    App,
    BackgroundTasks,
    Depends,
    TaskManager,
    _attempt,
    current_task,
    current_tasks,
    wrap,
)

variable: ContextVar[str] = ContextVar("variable")


def test_the_tasks_of_a_batch_run_in_order(manager):
    """Async ones among them; drained, nothing is left."""
    ran = []

    async def note_later(number):
        await asyncio.sleep(0)
        ran.append(number)

    async def note_at_once(number):
        ran.append(number)

    kinds = [ran.append, note_later, note_at_once, note_later]
    submit(manager, *((kinds[number % 4], number) for number in range(20)))

    assert manager.drain(10) == []
    assert ran == list(range(20))


def test_each_batch_runs_once(manager):
    """Many small ones."""
    ran = []
    for number in range(200):
        submit(manager, (ran.append, number))

    assert manager.drain(10) == []
    assert sorted(ran) == list(range(200))


def recurse():
    recurse()


async def cancel_itself():
    asyncio.current_task().cancel()
    await asyncio.sleep(0)


def raising(error):
    raise error


async def raising_async(error):
    await asyncio.sleep(0)
    raise error


ERRORS = [
    ValueError("wrong"),
    SystemExit(3),
    MemoryError(),
    GeneratorExit(),
    StopIteration(),
    asyncio.CancelledError(),
    BaseException("all"),
]


@pytest.mark.parametrize("call", [raising, raising_async], ids=lambda one: one.__name__)
@pytest.mark.parametrize("error", ERRORS, ids=lambda one: type(one).__name__)
def test_a_task_may_raise_anything(manager, caplog, call, error):
    """It is logged with the task's id, and the next task runs."""
    if call is raising_async and isinstance(error, StopIteration | GeneratorExit):
        pytest.skip("no coroutine can raise it")
    ran = []

    failing = submit(manager, (call, error), (ran.append, 1)).tasks[:1]

    assert manager.drain(10) == []
    assert ran == [1]
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert "failed" in record.getMessage()
    assert record.task_id
    assert failing == [] or record.task_id == failing[0].id


@pytest.mark.parametrize("call", [recurse, cancel_itself], ids=lambda one: one.__name__)
def test_a_task_may_fail_in_odd_ways(manager, caplog, call):
    """Without end, or by cancelling itself: it is a failure like others."""
    ran = []

    submit(manager, call, (ran.append, 1))

    assert manager.drain(10) == []
    assert ran == [1]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_the_batch_ends_with_a_failure_if_it_is_to(executor, caplog):
    """What comes after it is dropped, with a warning."""
    manager = TaskManager(executor, after_task_error="stop")
    ran = []

    submit(manager, (ran.append, 1), (raising, ValueError("wrong")), (ran.append, 2))

    assert manager.drain(10) == []
    assert ran == [1]
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_hooks_hear_of_each_task(manager):
    """In order, for one batch."""
    events = []
    manager.on_task(lambda event: events.append((event.kind, event.task.args)))

    submit(manager, (str, 1), (str, 2))

    assert manager.drain(10) == []
    assert events == [
        ("started", (1,)),
        ("succeeded", (1,)),
        ("started", (2,)),
        ("succeeded", (2,)),
    ]


def test_each_task_has_its_own_context(manager):
    """That of `add_task`; what it changes is seen by no other."""
    seen = []

    def change(word):
        seen.append(variable.get())
        variable.set(word)

    variable.set("outside")
    submit(manager, (change, "one"), (change, "two"))

    assert manager.drain(10) == []
    assert seen == ["outside", "outside"]
    assert variable.get() == "outside"


def test_a_task_knows_itself_and_its_batch(manager):
    """`current_task()` and `current_tasks()` work in sync and in async tasks."""
    seen = []

    def look():
        seen.append(current_task().id)
        current_tasks().add_task(seen.append, "added")

    async def look_async():
        await asyncio.sleep(0)
        seen.append(current_task().id)

    tasks = batch_of(manager, look, look_async)
    ids = [task.id for task in tasks.tasks]
    manager.submit(tasks)

    assert manager.drain(10) == []
    assert seen == [*ids, "added"]


def test_after_a_batch_nothing_is_added_to_it(manager):
    """Who keeps the collector for longer is refused."""
    kept = []
    submit(manager, lambda: kept.append(current_tasks()))
    assert manager.drain(10) == []

    with pytest.raises(Exception, match="came after its request and its tasks had ended"):
        kept[0].add_task(print)


def test_late_exits_come_after_the_tasks(executor):
    """A dependency of scope "tasks" is open until then, and is left where they ran."""
    app = App(executor=executor)
    notes = []

    def resource():
        yield notes
        notes.append(("exit", threading.current_thread()))

    @app.get("/")
    def read(tasks: BackgroundTasks, notes=Depends(resource, scope="tasks")):
        tasks.add_task(lambda: notes.append(("task", threading.current_thread())))

    assert client(app).get("/").status_code == 200

    assert app.drain(10) == []
    (first, ran_in), (second, left_in) = notes
    assert (first, second) == ("task", "exit")
    assert ran_in is left_in


def test_a_foreign_application_drains_and_shuts_down(executor):
    """`wrap` has both methods."""
    ran = []

    def foreign(environ, start_response):
        current_tasks().add_task(ran.append, 1)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    app = wrap(foreign, executor=executor)
    client(app).get("/")

    assert app.drain(10) == []
    assert ran == [1]
    assert app.shutdown() == []
    client(app).get("/")
    assert ran == [1, 1]


def test_managers_may_share_an_executor(executor):
    """Each hears of its own tasks."""
    heard = {}
    for name in ("one", "two"):
        manager = TaskManager(executor)
        heard[name] = []
        manager.on_task(lambda event, name=name: heard[name].append(event.task.args))
        submit(manager, (str, name))

    assert manager.drain(10) == []
    assert heard == {name: [(name,)] * 2 for name in ("one", "two")}


def test_a_task_that_adds_itself_for_ever_comes_to_an_end(manager, caplog, monkeypatch):
    """At the documented limit, what was added last is reported as lost, and why."""
    assert _attempt.MAX_ADDED == 100_000
    monkeypatch.setattr(_attempt, "MAX_ADDED", 1000)
    ran = []

    def again():
        ran.append(1)
        current_tasks().add_task(again)

    with caplog.at_level(logging.ERROR, "wsgibg.background"):
        submit(manager, again)
        assert manager.drain(20) == []

    assert len(ran) == 1001
    (record,) = caplog.records
    assert "was lost: the tasks of its batch had added 1000 tasks" in record.getMessage()
