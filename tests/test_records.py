"""Knowing: the records of tasks, what is kept of them, and for how long."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import threading
import weakref
from contextvars import ContextVar, copy_context
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.executors.support import output
from tests.support import ROOT, client, wait_for
from wsgibg import (
    App,
    BackgroundTask,
    BackgroundTasks,
    Depends,
    HTTPException,
    InlineExecutor,
    TaskManager,
    ThreadExecutor,
    current_task,
    current_tasks,
    task,
    wrap,
)
from wsgibg import _names as names
from wsgibg._ledger import Ledger, text_of_arguments
from wsgibg._names import named
from wsgibg.background import TaskProgress, TaskRecord, request_collector
from wsgibg.exceptions import TaskRefused
from wsgibg.records import TaskEvent
from wsgibg.responses import Response


def serving(add, **options):
    """An app with one route, whose handler is given the collector; and its client."""
    app = App(**options)

    @app.get("/")
    def handle(tasks: BackgroundTasks) -> None:
        add(tasks)

    return app, client(app)


class Known:
    """Notes the states in which a task is seen, and its record at each moment."""

    def __init__(self):
        self.app = None
        self.records = []

    def look(self, task_id=None):
        self.records.append(self.app.tasks.get(task_id or current_task().id))

    @property
    def states(self):
        return [record and record.state for record in self.records]


# --- which tasks are known -----------------------------------------------------------------


def test_a_task_whose_id_was_read_is_known_from_then_on():
    """In the handler it is held, in its turn running, then it has succeeded."""
    known = Known()
    ids = []

    def add(tasks):
        ids.append(tasks.add_task(known.look).id)
        known.look(ids[0])

    known.app, requests = serving(add)
    before = datetime.now(UTC)
    requests.get("/")
    known.look(ids[0])

    held, running, succeeded = known.records
    assert known.states == ["held", "running", "succeeded"]
    assert [record.attempts for record in known.records] == [0, 1, 1]
    assert {record.id for record in known.records} == set(ids)
    assert succeeded.name == "tests.test_records.Known.look"
    assert (held.started, held.ended, running.ended) == (None, None, None)
    assert before <= held.added == running.added == succeeded.added
    assert succeeded.added <= running.started == succeeded.started <= succeeded.ended
    assert succeeded.ended.utcoffset() == timedelta(0)
    assert (succeeded.error, succeeded.traceback, succeeded.arguments) == ("", "", None)


def test_a_plain_task_that_nobody_named_leaves_no_record():
    """It costs nothing, and there is no id to ask for."""
    app, requests = serving(lambda tasks: tasks.add_task(int, 1))

    requests.get("/")

    assert app.tasks.recent() == []
    assert app.tasks.get("0" * 32) is None


def test_a_task_that_asks_for_its_own_id_is_known_as_well():
    """From that moment on; when it began, nobody took note of."""
    known = Known()
    known.app, requests = serving(lambda tasks: tasks.add_task(known.look))

    requests.get("/")

    (record,) = known.app.tasks.recent()
    assert (known.states, record.state) == (["running"], "succeeded")
    assert (record.started, record.attempts) == (None, 1)
    assert record.added <= record.ended


@pytest.mark.parametrize(
    ("add", "state", "error"),
    [
        (lambda tasks: tasks.add_task(int, "x"), "failed", "ValueError: invalid literal for int"),
        (
            lambda tasks: tasks.add_task(task(int, when="error")),
            "dropped",
            "the request succeeded",
        ),
    ],
    ids=["failed", "dropped"],
)
def test_a_task_that_did_not_simply_succeed_is_known(add, state, error):
    """Also if nobody has read its id; the reason is one line."""
    app, requests = serving(add)

    requests.get("/")

    (record,) = app.tasks.recent()
    assert record.state == state
    assert record.error.startswith(error)
    assert record.ended
    assert app.tasks.get(record.id) == record


def test_a_failure_is_kept_as_text():
    """The traceback as the log has it, and the exception's first line."""

    def fail():
        raise ValueError("first\nsecond")

    app, requests = serving(lambda tasks: tasks.add_task(fail))
    requests.get("/")

    (record,) = app.tasks.recent()
    assert record.error == "ValueError: first"
    assert record.traceback.startswith("Traceback (most recent call last)")
    assert record.traceback.endswith("ValueError: first\nsecond\n")
    assert 'in fail\n    raise ValueError("first\\nsecond")' in record.traceback


def test_the_line_of_an_exception_group_is_its_own():
    """Not the frame that is drawn around its members."""

    async def fail():
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0, int("x")))

    app, requests = serving(lambda tasks: tasks.add_task(fail))
    requests.get("/")

    (record,) = app.tasks.recent()
    assert record.error.startswith("ExceptionGroup: unhandled errors in a TaskGroup")


def test_a_task_with_options_is_known():
    """From the moment it is added."""
    states = []

    def add(tasks):
        tasks.add_task(task(int, when="always"), 1)
        states.extend(record.state for record in app.tasks.recent())

    app, requests = serving(add)
    requests.get("/")

    (record,) = app.tasks.recent()
    assert (states, record.state) == (["held"], "succeeded")
    assert record.added <= record.started <= record.ended


def test_with_a_hook_every_task_is_known():
    """Sync and async, in whatever way it runs."""
    app, requests = serving(
        lambda tasks: [tasks.add_task(each, 0) for each in (abs, asyncio.sleep)]
    )
    app.on_task(lambda event: None)

    requests.get("/")

    assert [(record.name, record.state) for record in app.tasks.recent()] == [
        ("asyncio.tasks.sleep", "succeeded"),
        ("builtins.abs", "succeeded"),
    ]


def test_async_tasks_are_known_by_their_ids():
    """Those that hop together, those that run on the lent loop, those that nobody named."""
    ids = []

    async def hop():
        await asyncio.sleep(0)
        ids.append(current_task().id)

    async def lend():
        ids.append(current_task().id)

    def add(tasks):
        ids.extend([tasks.add_task(hop).id, tasks.add_task(hop).id, tasks.add_task(lend).id])
        tasks.add_task(hop)

    app, requests = serving(add)
    requests.get("/")

    assert ids[:3] == ids[3:6]
    assert [app.tasks.get(each).state for each in ids[3:]] == ["succeeded"] * 4


def test_what_waits_in_a_pool_is_queued():
    """It is told apart from what runs, and from what has ended."""
    begun, go_on = threading.Event(), threading.Event()
    ids = {}

    def block():
        begun.set()
        go_on.wait(10)

    def add(tasks):
        tasks.add_task(int)  # it ends before the others, and is not known
        ids["running"] = tasks.add_task(block).id
        ids["queued"] = tasks.add_task(int).id

    app, requests = serving(add, executor=ThreadExecutor(workers=1))
    try:
        requests.get("/")
        assert begun.wait(10)
        states = {name: app.tasks.get(each).state for name, each in ids.items()}
        listed = {record.id: record.state for record in app.tasks.recent()}
    finally:
        go_on.set()
    app.drain(10)

    assert states == {"running": "running", "queued": "queued"}
    assert listed == {ids[state]: state for state in states}
    assert {app.tasks.get(each).state for each in ids.values()} == {"succeeded"}


def test_an_id_that_is_read_too_late_tells_nothing():
    """The task has ended, and nobody took note of it."""
    added = []
    app, requests = serving(lambda tasks: added.append(tasks.add_task(int, 1)))

    requests.get("/")

    assert app.tasks.get(added[0].id) is None
    assert app.tasks.recent() == []


def test_a_task_that_was_reported_as_interrupted_may_come_to_its_end():
    """Then its record tells of the end."""
    begun, go_on = threading.Event(), threading.Event()

    def block():
        begun.set()
        go_on.wait(10)

    def add(tasks):
        tasks.add_task(block)
        tasks.add_task(int)

    app, requests = serving(add, executor=ThreadExecutor(workers=1, drain_timeout=0))
    try:
        requests.get("/")
        assert begun.wait(10)
        app.shutdown()
        cut = {record.name: record for record in app.tasks.recent()}
    finally:
        go_on.set()

    lost = cut.pop("builtins.int")
    (interrupted,) = cut.values()
    assert (lost.state, lost.attempts) == ("lost", 0)
    assert lost.error.startswith("it had not started 0 s after the end began")
    assert (interrupted.state, interrupted.attempts) == ("interrupted", 1)
    wait_for(lambda: app.tasks.get(interrupted.id).state == "succeeded")
    assert app.tasks.get(interrupted.id).error == ""


def test_a_hand_made_task_is_known_by_the_id_that_its_maker_read():
    """Its use in the response has the same id; it may be given to several requests."""
    app = App()
    background = BackgroundTask(int, 1)
    ids = []

    @app.get("/first")
    def first():
        made = BackgroundTask(int, 2)
        ids.append(made.id)
        return Response(background=made)

    @app.get("/shared")
    def shared():
        return Response(background=background)

    client(app).get("/first")
    assert [app.tasks.get(each).state for each in ids] == ["succeeded"]

    ids.append(background.id)
    assert app.tasks.get(ids[1]).state == "held"
    for _ in range(2):
        client(app).get("/shared")
        assert app.tasks.get(ids[1]).state == "succeeded"


def test_an_app_inside_another_still_knows_its_tasks():
    """The outer manager carries them, and is asked for what the inner one does not know."""
    known = Known()
    ids = []

    def add(tasks):
        tasks.add_task(task(known.look, when="always"), None)
        ids.append(tasks.add_task(known.look).id)

    known.app, _ = serving(add)
    outer = wrap(known.app)
    client(outer).get("/")

    assert known.states == ["running", "running"]
    assert known.app.tasks.get(ids[0]).state == "succeeded"
    assert [record.state for record in known.app.tasks.recent()] == ["succeeded"] * 2
    assert known.app.tasks.recent() == outer.tasks.recent()


def test_a_task_added_to_the_requests_collector_while_its_batch_runs_is_queued():
    """The collector hands it on to the batch that took over its tasks."""
    states = []

    def add(tasks):
        request = copy_context()

        def adding():
            states.append(app.tasks.get(request.run(tasks.add_task, int).id).state)

        tasks.add_task(task(adding, when="always"))

    app, requests = serving(add)
    requests.get("/")

    assert states == ["queued"]
    assert [record.state for record in app.tasks.recent()] == ["succeeded"] * 2


def test_applications_inside_each_other_by_turns_ask_each_other_once():
    """What nobody knows is not known."""
    one, two = Ledger(None), Ledger(None)
    one.follow(two)
    two.follow(one)
    each = BackgroundTask(int)
    two.note(TaskEvent("started", each))

    assert one.get(each.id).state == "running"
    assert (one.get("unknown"), two.get("unknown")) == (None, None)


def test_managers_do_not_see_each_others_tasks():
    """Neither while they wait nor afterwards."""
    other = App()
    seen = []
    ids = []

    def look():
        seen.extend([other.tasks.get(current_task().id), *other.tasks.recent()])

    app, requests = serving(lambda tasks: ids.append(tasks.add_task(look).id))
    requests.get("/")

    assert [record for record in seen if record] == []
    assert other.tasks.get(ids[0]) is None
    assert app.tasks.get(ids[0]).state == "succeeded"


# --- recent --------------------------------------------------------------------------------


def test_recent_gives_the_newest_first():
    """At most as many as asked for, a hundred by default."""

    def add(tasks):
        for number in range(120):
            tasks.add_task(task(int, when="always"), number)
        tasks.add_task(task(float, when="always"))

    app, requests = serving(add)
    requests.get("/")

    assert len(app.tasks.recent()) == 100
    assert [record.name for record in app.tasks.recent(2)] == ["builtins.float", "builtins.int"]
    assert len(app.tasks.recent(1_000)) == 121
    assert app.tasks.recent(0) == []
    with pytest.raises(ValueError, match=r"recent\(limit=-1\): it must be at least 0\."):
        app.tasks.recent(-1)


# --- arguments -----------------------------------------------------------------------------


class Customer:
    """Has a representation that must not be made."""

    def __repr__(self):
        raise AssertionError("a record ran code of the application")


class Colour(Enum):
    RED = 1


def test_arguments_are_shown_only_when_asked_for():
    """While the task has not ended, and afterwards if it did not succeed."""
    seen = []

    def work(word, *, times):
        own = current_task().id
        seen.extend([app.tasks.get(own), app.tasks.get(own, arguments=True)])
        if times > 2:
            raise ValueError(word)

    def add(tasks):
        for times in (2, 3):
            seen.append(app.tasks.get(tasks.add_task(work, "ada", times=times).id, arguments=True))

    app, requests = serving(add)
    requests.get("/")

    text = ["'ada', times=2", "'ada', times=3"]
    assert [record.arguments for record in seen] == [*text, None, text[0], None, text[1]]
    failed, succeeded = app.tasks.recent()
    assert (failed.arguments, succeeded.arguments) == (None, None)
    assert app.tasks.get(failed.id, arguments=True).arguments == text[1]
    assert app.tasks.get(succeeded.id, arguments=True).arguments is None


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((1, 2.5, True, None, b"x", "ada"), "1, 2.5, True, None, b'x', 'ada'"),
        (([1, {"a": (2,)}], {3}), "[1, {'a': (2,)}], {3}"),
        (
            (datetime(2024, 5, 1, tzinfo=UTC), Path("a")),
            "datetime.datetime(2024, 5, 1, 0, 0, tzinf",
        ),
        ((Customer(), [Customer()]), "<tests.test_records.Customer>, [<tests.test_records.Custome"),
        ((Colour.RED,), "<tests.test_records.Colour>"),
        (("x" * 1_000,), "'xxxxxx"),
        ((list(range(1_000)),), "[0, 1, 2, 3, 4, 5, ...]"),
        ((10**5_000,), "<builtins.int>"),
    ],
    ids=["plain", "containers", "library", "objects", "enum", "long", "many", "digits"],
)
def test_arguments_as_text_are_short_and_run_no_code(arguments, text):
    """Python's own types by their representation, everything else by its class."""
    shown = text_of_arguments(BackgroundTask(lambda *args: None, *arguments))

    assert shown.startswith(text[:40]) or (text == "<builtins.int>" and len(shown) < 100)
    assert len(shown) <= 160


def test_many_arguments_are_cut_off():
    """The whole text has at most 500 characters."""
    shown = text_of_arguments(BackgroundTask(lambda *args: None, *["x" * 50] * 50))

    assert (len(shown), shown[-1]) == (500, "…")


# --- progress ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sync", "hop", "lend"])
def test_a_task_tells_of_its_progress(kind):
    """The record has the last of it, the hooks hear each; the task becomes known by it."""
    seen = []

    def step(number):
        current_task().progress(number, 2, f"step {number}")
        seen.append(app.tasks.recent()[0])

    def sync():
        step(1)
        step(2)

    async def hop():
        step(1)
        await asyncio.sleep(0)
        step(2)

    async def lend():
        sync()

    app, requests = serving(
        lambda tasks: tasks.add_task({"sync": sync, "hop": hop, "lend": lend}[kind])
    )
    requests.get("/")

    numbers = [TaskProgress(1, 2, "step 1"), TaskProgress(2, 2, "step 2")]
    assert [(record.state, record.progress) for record in seen] == [
        ("running", each) for each in numbers
    ]
    (record,) = app.tasks.recent()
    assert (record.state, record.progress) == ("succeeded", numbers[1])

    events = []
    app.on_task(events.append)
    requests.get("/")
    told = [event for event in events if event.kind == "progress"]
    assert [(event.progress, event.attempt) for event in told] == [(each, 1) for each in numbers]
    assert [event.kind for event in events if event.kind != "progress"] == [
        "added",
        "started",
        "succeeded",
    ]


def test_progress_needs_neither_total_nor_message():
    """And takes fractions."""
    app, requests = serving(lambda tasks: tasks.add_task(lambda: current_task().progress(0.5)))

    requests.get("/")

    assert app.tasks.recent()[0].progress == (0.5, None, "")


def test_progress_may_be_told_from_another_thread_until_the_task_ends():
    """What comes later changes nothing."""
    contexts = []

    def work():
        context = current_task()
        contexts.append(context)
        thread = threading.Thread(target=context.progress, args=(1,))
        thread.start()
        thread.join()

    app, requests = serving(lambda tasks: tasks.add_task(work))
    requests.get("/")
    contexts[0].progress(2)

    (record,) = app.tasks.recent()
    assert (record.state, record.progress) == ("succeeded", (1, None, ""))


def test_progress_that_comes_too_late_makes_no_record():
    """The task had ended, and nobody knew it."""
    contexts = []
    app, requests = serving(lambda tasks: tasks.add_task(lambda: contexts.append(current_task())))

    requests.get("/")
    contexts[0].progress(1)

    assert app.tasks.recent() == []


# --- nothing is kept -----------------------------------------------------------------------


class Thing:
    """Something that can be weakly referred to."""


variable: ContextVar[object] = ContextVar("variable")


def fail_with(thing):
    raise ValueError(thing)


@pytest.mark.parametrize("run", [lambda thing: None, fail_with], ids=["succeeded", "failed"])
def test_a_record_keeps_nothing_of_its_task_alive(run, monkeypatch):
    """No argument, no context and no exception, without the garbage collector's help."""
    refs = []
    records = []

    def add(tasks):
        thing, value = Thing(), Thing()
        variable.set(value)
        added = tasks.add_task(run, thing)
        records.append(app.tasks.get(added.id, arguments=True))
        refs.extend([weakref.ref(thing), weakref.ref(value)])

    app, requests = serving(add)
    app.on_task(lambda event: None)
    monkeypatch.setattr(logging.getLogger("wsgibg.background"), "disabled", True)
    gc.collect()
    gc.disable()
    try:
        requests.get("/")
        assert [ref() for ref in refs] == [None, None]
    finally:
        gc.enable()

    assert app.tasks.get(records[0].id).ended


def test_a_named_task_that_is_never_handed_over_leaves_nothing():
    """Its collector was thrown away; the id is not known any more."""
    tasks = request_collector(None)
    identifier = tasks.add_task(int).id
    app = App()
    assert app.tasks.get(identifier).state == "held"

    del tasks

    assert app.tasks.get(identifier) is None
    assert identifier not in named


def test_a_task_that_a_hook_knows_leaves_nothing_if_it_vanishes():
    """Whoever had it has thrown it away, without a word."""
    manager = TaskManager(InlineExecutor())
    manager.on_task(lambda event: None)
    tasks = request_collector(manager, asks=True)
    tasks.add_task(int)
    assert [record.state for record in manager.recent()] == ["held"]

    del tasks

    assert manager.recent() == []


def test_a_named_task_of_a_failed_request_is_dropped():
    """Its record says so; its name is forgotten."""
    ids = []

    def add(tasks):
        ids.append(tasks.add_task(int).id)
        raise HTTPException(409)

    app, requests = serving(add)
    assert requests.get("/").status_code == 409

    assert app.tasks.get(ids[0]).state == "dropped"
    assert ids[0] not in named


def test_a_task_that_ended_needs_no_name_any_more():
    """Those that are not named run unwatched again."""
    kept = []

    def add(tasks):
        kept.append(tasks.add_task(int, 1))
        assert kept[-1].id in named

    _, requests = serving(add)
    requests.get("/")

    assert kept[0].id not in named


def test_names_are_bounded(monkeypatch):
    """A task that is named beyond the bound runs as if nobody had asked."""
    monkeypatch.setattr(names, "MAX_NAMED", len(named) + 1)
    ids = []
    app, requests = serving(lambda tasks: ids.extend([tasks.add_task(int).id for _ in range(3)]))

    requests.get("/")

    assert [app.tasks.get(each) is not None for each in ids] == [True, False, False]


def test_long_texts_are_shortened(caplog):
    """An error of a million characters does not stay."""

    def fail():
        current_task().progress(1, message="m" * 1_000_000)
        raise ValueError("x" * 1_000_000)

    app, requests = serving(lambda tasks: tasks.add_task(fail))
    requests.get("/")

    (record,) = app.tasks.recent()
    assert len(record.error) == len(record.progress.message) == 500
    assert len(record.traceback) == 10_000


FORKS = {
    "by Python": "import os; fork = os.fork",
    # As uWSGI does, without `os.register_at_fork`: in C, and the interpreter does not hear of it.
    "by C": "import ctypes, os; fork = ctypes.PyDLL(None).fork",
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("way", FORKS)
def test_a_forked_child_has_no_names(way):
    """The parent's tasks are the parent's to run; the child's own are known in it."""
    script = f"""
        {FORKS[way]}
        from wsgibg import App, BackgroundTask
        app = App()
        task, own = BackgroundTask(print), BackgroundTask(print)
        def known(id): return app.tasks.get(id) is not None
        task.id
        pid = fork()
        if not pid:
            own.id
            told = known(task.id), known(own.id)
            os.write(1, f"child {{told}}\\n".encode())
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        print(known(task.id))
    """
    assert output(script) == ["child (False, True)", "True"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_has_no_records():
    """Neither of what has ended in the parent, nor of what it runs."""
    script = """
        import os
        from tests.executors.support import Gate, submit
        from wsgibg import TaskManager, ThreadExecutor, task
        manager, gate = TaskManager(ThreadExecutor(workers=1)), Gate()
        submit(manager, task(str, timeout=60))
        assert manager.drain(10) == []
        submit(manager, task(gate, timeout=60), task(str, timeout=60))
        gate.begun.wait(10)
        def states(): return sorted(each.state for each in manager.recent())
        pid = os.fork()
        if not pid:
            os.write(1, f"child {states()}\\n".encode())
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        print(states())
        gate.opened.set()
    """
    assert output(script, "-W", "ignore::DeprecationWarning") == [
        "child []",
        "['queued', 'running', 'succeeded']",
    ]


# --- the ledger ----------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.integers(0, 11),
        st.sampled_from(
            ["added", "started", "progress", "retried", "succeeded", "failed", "dropped"]
        ),
        st.integers(1, 3),
    ),
    max_size=80,
)
ENDS = ("succeeded", "failed", "dropped")


@given(steps=STEPS, size=st.integers(0, 4))
def test_the_ledger_keeps_what_has_not_ended_and_the_last_that_have(steps, size):
    """Random events of a few tasks; the model is a dictionary and a list."""
    ledger = Ledger(None, size)
    tasks = [BackgroundTask(int, number) for number in range(12)]
    live, ended = {}, []  # states of those that have not ended; numbers of those that have
    for number, kind, attempt in steps:
        event = TaskEvent(kind, tasks[number], "why", attempt, TaskProgress(number))
        ledger.note(event)
        if kind == "progress":
            if number not in ended:
                live[number] = "running"
        elif kind in ENDS:
            if number not in ended:
                ended.append(number)
            live.pop(number, None)
        else:
            # It runs once more: what is known of its first end grows old all the same.
            ended = [other if other != number else None for other in ended]
            live[number] = {"added": "held", "started": "running", "retried": "retrying"}[kind]
        ended = ended[max(0, len(ended) - size) :]

        known = {
            number: record.state
            for number, each in enumerate(tasks)
            if (record := ledger.get(each.id)) and (number in live or record.ended)
        }
        over = {number for number, state in known.items() if state in ENDS}
        assert {number: known[number] for number in live} == live
        assert over == {number for number in ended if number is not None}
        assert len(ledger) == len(live) + len(over) <= len(live) + size


def test_attempts_and_the_reason_of_the_last_one():
    """What a retry tells is shown until the next attempt begins."""
    ledger = Ledger(None)
    each = BackgroundTask(int)
    told = []
    for kind, attempt, reason in [
        ("added", 1, ""),
        ("started", 1, ""),
        ("retried", 1, "Traceback\nOSError: no route\n"),
        ("started", 2, ""),
        ("failed", 2, "Traceback\nOSError: no host\n"),
    ]:
        ledger.note(TaskEvent(kind, each, reason, attempt))
        record = ledger.get(each.id)
        told.append((record.state, record.attempts, record.error, bool(record.traceback)))

    assert told == [
        ("held", 0, "", False),
        ("running", 1, "", False),
        ("retrying", 1, "OSError: no route", True),
        ("running", 2, "", False),
        ("failed", 2, "OSError: no host", True),
    ]


def test_a_task_that_is_parked_and_taken_up_again_goes_on_with_its_record():
    """Its attempts are counted on, and it was added when it was added."""
    ledger = Ledger(None)
    each = BackgroundTask(int)
    for kind, attempt in [("added", 1), ("started", 1), ("parked", 1)]:
        ledger.note(TaskEvent(kind, each, attempt=attempt))
    parked = ledger.get(each.id)

    ledger.note(TaskEvent("started", each, attempt=2))

    again = ledger.get(each.id)
    assert (parked.state, parked.attempts, bool(parked.ended)) == ("parked", 1, True)
    assert (again.state, again.attempts, again.ended) == ("running", 2, None)
    assert again.added == parked.added


def test_a_record_does_not_change():
    """It is a picture of its moment, and is frozen."""
    ledger = Ledger(None)
    each = BackgroundTask(int)
    ledger.note(TaskEvent("started", each))
    record = ledger.get(each.id)
    ledger.note(TaskEvent("succeeded", each))

    assert isinstance(record, TaskRecord)
    assert record.state == "running"
    with pytest.raises(AttributeError):
        record.state = "failed"


def test_threads_may_record_and_ask_at_the_same_time():
    """Nothing is broken and nothing grows, however they meet."""
    interval = sys.getswitchinterval()
    ledger = Ledger(None, 20)
    errors = []

    def record():
        for _ in range(150):
            each = BackgroundTask(int)
            for kind in ("added", "started", "succeeded"):
                ledger.note(TaskEvent(kind, each))
            seen = ledger.get(each.id)
            if seen is not None and (seen.state, seen.ended is None) != ("succeeded", False):
                errors.append(seen)

    def ask():
        for _ in range(150):
            for seen in ledger.recent(50):
                if seen.state == "succeeded" and seen.ended is None:
                    errors.append(seen)

    threads = [threading.Thread(target=target) for target in (record, record, record, ask, ask)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(interval)

    assert errors == []
    assert 15 <= len(ledger) <= 20  # threads that throw out the oldest may meet


# --- hooks and records ---------------------------------------------------------------------


def test_a_refused_task_was_never_added():
    """No hook hears of it, no record is left."""
    app = App(strict=True)
    events = []
    app.on_task(lambda event: events.append(event.kind))

    def session():
        with (ROOT / "pyproject.toml").open() as file:
            yield file

    @app.get("/")
    def handle(tasks: BackgroundTasks, file=Depends(session)) -> None:
        with pytest.raises(TaskRefused, match="closes before the task runs"):
            tasks.add_task(print, file)

    client(app).get("/")

    assert (events, app.tasks.recent()) == ([], [])


def test_a_hook_sees_the_record_of_what_it_is_told():
    """The record is written first."""
    app, requests = serving(lambda tasks: tasks.add_task(int, 1))
    seen = []

    @app.on_task
    def hook(event):
        seen.append((event.kind, app.tasks.get(event.task.id).state))

    requests.get("/")

    assert seen == [("added", "held"), ("started", "running"), ("succeeded", "succeeded")]


def test_a_task_added_by_a_task_is_told_of():
    """In the thread of the task that adds it."""
    ran = []

    def adding():
        current_tasks().add_task(ran.append, 1)

    app, requests = serving(lambda tasks: tasks.add_task(adding))
    events = []
    app.on_task(lambda event: events.append((event.kind, event.task.args)))
    requests.get("/")

    assert events == [
        ("added", ()),
        ("started", ()),
        ("added", (1,)),
        ("succeeded", ()),
        ("started", (1,)),
        ("succeeded", (1,)),
    ]
