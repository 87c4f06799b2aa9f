"""The task manager: executors, conditions, hooks, and the contract between them."""

from __future__ import annotations

import gc
import logging
import sys
import threading
from contextvars import copy_context
from operator import attrgetter
from weakref import ref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import client, wait_for
from wsgibg import (
    App,
    BackgroundTask,
    BackgroundTasks,
    Depends,
    Executor,
    HTTPException,
    InlineExecutor,
    TaskManager,
    ThreadExecutor,
    current_tasks,
    task,
    wrap,
)
from wsgibg.background import request_collector, source_var
from wsgibg.exceptions import TaskRefused
from wsgibg.records import RETURNED, Outcome
from wsgibg.responses import Response


class Recording(InlineExecutor):
    """Runs inline and notes what it is told."""

    def __init__(self, notes=None, name="", *, durable=False):
        self.notes = [] if notes is None else notes
        self.name = name
        self.durable = durable

    def note(self, what, tasks=()):
        self.notes.append((self.name + what, *(each.args[-1] for each in tasks)))

    def start(self, host):
        self.note("start")

    def check(self, task):
        self.note("check", [task])
        if task.args[-1] == "unfit":
            raise TaskRefused("it does not fit")

    def hold(self, batch):
        self.note("hold", batch.tasks)

    def submit(self, batch):
        self.note("submit", batch.tasks)
        super().submit(batch)

    def discard(self, batch, reason):
        self.note("discard", batch.tasks)
        self.reason = reason


def noting(notes):
    """An app that notes the first byte, the task's run, and the exit of a dependency."""

    def run(word):
        notes.append(("run", word))

    def resource():
        yield
        notes.append(("exit",))

    return run, resource


def serve(app, notes):
    """One request, whose first byte is noted."""

    def starting(environ, start_response):
        def start(*args):
            notes.append(("first byte",))
            return start_response(*args)

        return app(environ, start)

    return client(starting).get("/")


# --- the options ---------------------------------------------------------------------------


def test_after_task_error_is_one_of_two():
    """The message names them."""
    with pytest.raises(ValueError, match=r"after_task_error='halt': use \"continue\" or \"stop\""):
        TaskManager(InlineExecutor(), after_task_error="halt")


@pytest.mark.parametrize(
    ("given", "remedy"),
    [(InlineExecutor, r"Make one: InlineExecutor\(\)\."), ("inline", "Pass an instance of")],
    ids=["class", "name"],
)
def test_what_is_no_executor_is_refused_when_it_is_given(given, remedy):
    """The message names the option and the remedy."""
    with pytest.raises(TypeError, match=rf"^executor=.* is not an executor\. {remedy}"):
        App(executor=given)
    with pytest.raises(TypeError, match=rf"^executors\['pool'\]=.* is not an .*\. {remedy}"):
        App(executors={"pool": given})


def test_several_apps_may_share_a_manager():
    """Then they share executors and hooks."""
    manager = TaskManager(InlineExecutor())
    events = []
    manager.on_task(lambda event: events.append(event.kind))
    for app in (App(tasks=manager), App(tasks=manager)):

        @app.get("/")
        def read(tasks: BackgroundTasks):
            tasks.add_task(print, end="")

        assert app.tasks is manager
        client(app).get("/")

    assert events == ["added", "started", "succeeded"] * 2


# --- executors -----------------------------------------------------------------------------


def test_executors_by_name_and_by_object():
    """An option names the executor that runs the task; the others go to the app's own."""
    notes = []
    own, named, given = (Recording(notes, f"{name} ") for name in ("own", "named", "given"))
    app = App(executor=own, executors={"pool": named})

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(task(lambda word: None, executor="pool"), "a")
        tasks.add_task(task(lambda word: None, executor=given), "b")
        tasks.add_task(lambda word: None, "c")
        tasks.add_task(task(lambda word: None, executor="pool"), "d")

    client(app).get("/")

    assert [note for note in notes if "submit" in note[0]] == [
        ("named submit", "a", "d"),
        ("given submit", "b"),
        ("own submit", "c"),
    ]


def test_an_unknown_executor_is_refused_at_once():
    """In `add_task`, with the known names and the remedy."""
    app = App(executors={"pool": InlineExecutor()})
    refused = []

    @app.get("/")
    def read(tasks: BackgroundTasks):
        with pytest.raises(TaskRefused) as caught:
            tasks.add_task(task(print, executor="pol"))
        refused.append(str(caught.value))

    client(app).get("/")

    (message,) = refused
    assert "builtins.print asks for the executor 'pol'; the app knows 'pool'." in message
    assert "App(executors={" in message


def test_an_unknown_executor_is_refused_inside_a_task_too(caplog):
    """The task that asks for it fails; the others run, also where options sorted them."""
    app = App()
    calls = []

    def asking():
        current_tasks().add_task(task(print, executor="pol"))

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(task(asking, when="always"))
        tasks.add_task(calls.append, "ran")

    client(app).get("/")

    assert calls == ["ran"]
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "the app knows none" in caplog.text


def test_an_executor_is_started_once():
    """Before its first batch."""
    notes = []
    app = App(executor=Recording(notes))

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(lambda word: None, "a")

    client(app).get("/")
    client(app).get("/")

    assert [note[0] for note in notes] == ["check", "start", "submit", "check", "submit"]


def test_an_executor_may_refuse_a_task_at_once():
    """What it cannot carry comes out of `add_task`."""
    app = App(executor=Recording())
    refused = []

    @app.get("/")
    def read(tasks: BackgroundTasks):
        with pytest.raises(TaskRefused, match="it does not fit"):
            tasks.add_task(print, "unfit")
        refused.append(tasks.tasks[:])

    client(app).get("/")

    assert refused == [[]]


def test_an_executor_must_implement_submit():
    """The rest of the contract has defaults that do nothing."""
    executor = Executor()
    executor.start(None)
    executor.hold(request_collector(None))
    executor.discard(request_collector(None), "")

    assert executor.drain(0) == []
    with pytest.raises(NotImplementedError):
        executor.submit(request_collector(None))


def test_an_executor_that_fails_loses_its_batch_and_says_so(caplog):
    """The others get theirs, the waiting exits run, the client notices nothing."""

    class Broken(Executor):
        def submit(self, batch):
            raise OSError("disk full")

    notes = []
    run, resource = noting(notes)
    app = App(executors={"broken": Broken()})

    @app.get("/", dependencies=[Depends(resource, scope="tasks")])
    def read(tasks: BackgroundTasks):
        tasks.add_task(task(run, executor="broken"), "lost")
        tasks.add_task(run, "kept")

    assert client(app).get("/").status_code == 200

    assert notes == [("run", "kept"), ("exit",)]
    lost = [record for record in caplog.records if "was lost" in record.getMessage()]
    assert [record.levelname for record in lost] == ["ERROR"]
    assert "its executor failed (OSError('disk full'))" in lost[0].getMessage()


def test_draining_asks_every_executor_once():
    """Those by name, and those that came with a task; what is left is returned."""

    class Slow(Recording):
        def drain(self, timeout):
            assert 0 <= timeout <= 7
            self.note("drain")
            return [self.name]

    notes = []
    one, two, three = (Slow(notes, name) for name in ("one ", "two ", "three "))
    app = App(executor=one, executors={"same": one, "two": two})

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(task(lambda word: None, executor=three), "a")

    client(app).get("/")

    assert app.drain(7) == ["one ", "two ", "three "]
    assert [note[0] for note in notes if "drain" in note[0]] == [
        "one drain",
        "two drain",
        "three drain",
    ]


def test_a_name_is_resolved_to_its_function():
    """As a worker in another process does it."""
    manager = TaskManager(InlineExecutor())

    assert manager.resolve("tests.test_manager:Recording.note") is Recording.note


# --- hold, submit, discard -----------------------------------------------------------------


def test_a_durable_executor_holds_before_the_first_byte():
    """Then the exits, then the release."""
    notes = []
    run, resource = noting(notes)
    app = App(executor=Recording(notes, durable=True))

    @app.get("/", dependencies=[Depends(resource)])
    def read(tasks: BackgroundTasks):
        tasks.add_task(run, "a")
        tasks.add_task(run, "b")

    serve(app, notes)

    assert notes == [
        ("check", "a"),
        ("check", "b"),
        ("start",),
        ("hold", "a", "b"),
        ("first byte",),
        ("exit",),
        ("submit", "a", "b"),
        ("run", "a"),
        ("run", "b"),
    ]


def test_a_held_batch_is_discarded_if_the_commit_fails():
    """The reason is given; tasks for the error case are submitted."""
    notes = []
    run, _ = noting(notes)
    executor = Recording(notes, durable=True)
    app = App(executor=executor)

    def transaction():
        yield
        raise OSError("no commit")

    @app.get("/", dependencies=[Depends(transaction)])
    def read(tasks: BackgroundTasks):
        tasks.add_task(run, "a")
        tasks.add_task(task(run, when="error"), "e")
        tasks.add_task(task(run, when="always"), "x")

    client(app).get("/")

    assert [note for note in notes if note[0] != "check"] == [
        ("start",),
        ("hold", "a", "x"),
        ("discard", "a"),
        ("submit", "e", "x"),
        ("run", "e"),
        ("run", "x"),
    ]
    assert "no commit" in executor.reason


def test_a_request_that_failed_holds_only_what_will_run():
    """Before the error's response; the others were never held, so nothing is discarded."""
    notes = []
    run, _ = noting(notes)
    app = App(executor=Recording(notes, durable=True))

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(run, "a")
        tasks.add_task(task(run, when="error"), "e")
        raise HTTPException(409)

    serve(app, notes)

    assert notes[2:] == [
        ("start",),
        ("hold", "e"),
        ("first byte",),
        ("submit", "e"),
        ("run", "e"),
    ]


def test_a_batch_that_cannot_be_held_fails_its_request():
    """The client must not be told that its task was accepted."""

    class Full(Recording):
        def hold(self, batch):
            super().hold(batch)
            raise OSError("disk full")

    notes = []
    run, _ = noting(notes)
    app = App(executor=Full(notes, durable=True))

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(run, "a")

    assert serve(app, notes).status_code == 500
    assert ("run", "a") not in notes


def test_a_durable_executor_that_came_with_its_task_holds_as_well():
    """The manager learns of it at `add_task`."""
    notes = []
    run, _ = noting(notes)
    app = App()

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(task(run, executor=Recording(notes, durable=True)), "a")
        tasks.add_task(run, "inline")

    serve(app, notes)

    assert notes.index(("hold", "a")) < notes.index(("first byte",))


def test_a_discard_that_fails_is_logged(caplog):
    """The other tasks run."""

    class Stubborn(Recording):
        def discard(self, batch, reason):
            raise OSError("locked")

    notes = []
    run, _ = noting(notes)
    manager = TaskManager(Stubborn(notes, durable=True))
    tasks = request_collector(manager, asks=True)
    tasks.add_task(run, "a")
    tasks.add_task(task(run, when="always"), "x")
    manager.hold(tasks)
    manager.hold(tasks)  # what is held is not held again

    manager.submit(tasks, Outcome("it failed"))

    assert [note[0] for note in notes if note[0] != "check"] == ["start", "hold", "submit", "run"]
    assert "could not discard" in caplog.text


# --- when ----------------------------------------------------------------------------------

CONDITIONS = ("returned", "delivered", "error", "always")
OUTCOMES = {
    RETURNED: {"returned", "delivered", "always"},
    Outcome(delivered=False): {"returned", "always"},
    Outcome("it failed"): {"error", "always"},
    Outcome("it failed", delivered=False): {"error", "always"},
}


@pytest.mark.parametrize("outcome", OUTCOMES, ids=str)
def test_conditions_and_outcomes(outcome, caplog):
    """Every condition meets every outcome; what does not apply is dropped with a warning."""
    manager = TaskManager(InlineExecutor())
    ran = []
    tasks = request_collector(manager)
    for when in CONDITIONS:
        tasks.add_task(task(ran.append, when=when), when)

    with caplog.at_level(logging.WARNING, "wsgibg.background"):
        manager.submit(tasks, outcome)

    assert set(ran) == OUTCOMES[outcome]
    assert len(caplog.records) == len(CONDITIONS) - len(ran)
    for record in caplog.records:
        assert (record.levelname, record.exc_info) == ("WARNING", None)
        assert record.task_id
        assert f"was dropped: {outcome.why_not()}." in record.getMessage()


def test_a_task_added_by_a_task_has_its_own_condition(caplog):
    """A condition that the request does not meet drops it, one that it meets lets it run."""
    app = App()
    ran = []

    def adding():
        current_tasks().add_task(task(ran.append, when="error"), "error")
        current_tasks().add_task(task(ran.append, when="always"), "always")
        current_tasks().add_task(ran.append, "plain")

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(adding)

    client(app).get("/")

    assert ran == ["always", "plain"]
    assert "the request succeeded" in caplog.text


def test_a_task_added_by_a_task_goes_to_its_own_executor():
    """Between executors there is no order."""
    notes = []
    app = App(executors={"other": Recording(notes)})
    ran = []

    def adding():
        current_tasks().add_task(task(ran.append, executor="other"), "a")
        current_tasks().add_task(ran.append, "b")

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(adding)

    client(app).get("/")

    assert sorted(ran) == ["a", "b"]
    assert ("submit", "a") in notes


# --- after ---------------------------------------------------------------------------------


def test_after_is_called_once_all_executors_are_done():
    """Whatever their number, and if there is nothing to run as well."""
    manager = TaskManager(InlineExecutor(), executors={"other": InlineExecutor()})
    for count in range(4):
        notes = []
        tasks = request_collector(manager)
        for number in range(count):
            chosen = task(notes.append, executor="other" if number % 2 else None)
            tasks.add_task(chosen, number)

        manager.submit(tasks, Outcome(delivered=False), lambda notes=notes: notes.append("after"))

        assert notes == [*sorted(range(count), key=lambda number: number % 2), "after"]


# --- hooks ---------------------------------------------------------------------------------


def test_hooks_hear_of_everything(caplog):
    """Each event names its task; a failure brings its traceback as text."""
    app = App()
    events = []

    @app.on_task
    def hear(event):
        events.append((event.kind, event.task.args, event.reason.splitlines()[-1:]))

    def act(word):
        if word == "bad":
            raise ValueError(word)

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(act, "good")
        tasks.add_task(act, "bad")
        tasks.add_task(task(act, when="error"), "unwanted")

    client(app).get("/")

    assert events == [
        ("added", ("good",), []),
        ("added", ("bad",), []),
        ("added", ("unwanted",), []),
        ("dropped", ("unwanted",), ["the request succeeded"]),
        ("started", ("good",), []),
        ("succeeded", ("good",), []),
        ("started", ("bad",), []),
        ("failed", ("bad",), ["ValueError: bad"]),
    ]


def test_a_hook_that_leaves_harms_nobody(caplog):
    """Its `sys.exit()` is a failure like any other."""
    calls = []
    app = App()

    @app.on_task
    def hook(event):
        sys.exit(1)

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(calls.append, 1)
        tasks.add_task(calls.append, 2)

    client(app).get("/")

    assert calls == [1, 2]
    assert caplog.text.count("A task hook failed") == 6


def test_a_hook_that_raises_harms_nobody(caplog):
    """It is logged with the task's id; the other hooks hear, the tasks run."""
    app = App()
    calls, events = [], []

    @app.on_task
    def broken(event):
        raise LookupError("hook")

    app.on_task(lambda event: events.append(event.kind))

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(calls.append, 1)

    assert client(app).get("/").status_code == 200
    assert (calls, events) == ([1], ["added", "started", "succeeded"])
    assert caplog.text.count("A task hook failed") == 3
    assert all(record.task_id for record in caplog.records)


@pytest.mark.parametrize("register", ["on_task", "tasks.on_task"])
def test_a_hook_that_comes_after_the_first_request_hears_of_everything_too(register):
    """Routes that were compiled without it are compiled anew."""
    app = App()
    events = []

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(int)

    requests = client(app)
    requests.get("/")
    attrgetter(register)(app)(lambda event: events.append(event.kind))
    requests.get("/")

    assert events == ["added", "started", "succeeded"]


def test_a_hook_makes_every_app_of_a_shared_manager_tell():
    """Those that served before as well; one that is gone is not kept for it."""
    manager = TaskManager(InlineExecutor())
    events = []

    def make():
        app = App(tasks=manager)

        @app.get("/")
        def read(tasks: BackgroundTasks):
            tasks.add_task(int)

        client(app).get("/")
        return app

    apps = [make(), make()]
    gone = ref(make())
    gc.collect()
    assert gone() is None
    manager.on_task(lambda event: events.append(event.kind))
    for app in apps:
        client(app).get("/")

    assert events == ["added", "started", "succeeded"] * 2


def test_a_hook_hears_of_tasks_that_a_response_or_a_dependency_brings():
    """They are added when they are adopted, once each."""
    app = App()
    events = []
    app.on_task(lambda event: events.append((event.kind, event.task.args)))

    def dependency():
        made = BackgroundTasks()
        made.add_task(int, 1)
        return made

    @app.get("/", dependencies=[Depends(dependency)])
    def read():
        return Response(background=BackgroundTask(int, 2))

    client(app).get("/")

    assert [event for event in events if event[0] == "added"] == [("added", (1,)), ("added", (2,))]
    assert [event for event in events if event[0] == "succeeded"] == [
        ("succeeded", (1,)),
        ("succeeded", (2,)),
    ]


def test_a_hook_in_a_wrapped_application_hears_of_everything():
    """Also where it is registered after the first request."""

    def legacy(environ, start_response):
        current_tasks().add_task(int)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    app = wrap(legacy)
    events = []
    client(app).get("/")
    app.tasks.on_task(lambda event: events.append(event.kind))
    client(app).get("/")

    assert events == ["added", "started", "succeeded"]


@pytest.mark.parametrize("moment", ["added", "started", "succeeded"])
def test_a_slow_hook_holds_up_nobody_else(moment):
    """No lock is held while it runs: others add, name, run and look up their tasks."""
    app = App(executor=ThreadExecutor(workers=2))
    entered, go_on = threading.Event(), threading.Event()
    ids = []

    @app.on_task
    def slow(event):
        if (event.kind, event.task.args) == (moment, ("slow",)):
            entered.set()
            go_on.wait(10)

    @app.get("/{word}")
    def read(word: str, tasks: BackgroundTasks):
        ids.append(tasks.add_task(str, word).id)
        return ids[-1]

    thread = threading.Thread(target=client(app).get, args=("/slow",))
    thread.start()
    try:
        assert entered.wait(10)
        fast = client(app).get("/fast").json
        wait_for(lambda: app.tasks.get(fast).state == "succeeded")
        assert "succeeded" in [record.state for record in app.tasks.recent()]
    finally:
        go_on.set()
        thread.join(10)
    app.drain(10)

    assert [app.tasks.get(each).state for each in ids] == ["succeeded"] * 2


async def hook_async(event):
    """Nobody would await it."""


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        (None, r"on_task\(\) was given None, which cannot be called\. Pass a function\."),
        (hook_async, r"the async function hook_async, which nobody would await\. Pass a def"),
    ],
    ids=["none", "async"],
)
def test_what_cannot_be_a_hook_is_refused(hook, message):
    """At once, and nobody listens then."""
    app = App()

    with pytest.raises(TypeError, match=message):
        app.on_task(hook)

    assert not app.tasks.watched


# --- a model -------------------------------------------------------------------------------

TASKS = st.lists(
    st.tuples(
        st.sampled_from([None, *CONDITIONS]),
        st.sampled_from([None, "other"]),
        st.sampled_from(["sync", "async", "failing", "async failing", "adding"]),
    ),
    max_size=8,
)


def model(specs, outcome, stop):
    """What runs, by executor: the rules once more, in a few lines."""
    ran = {None: [], "other": []}
    stopped = set()
    pending = {None: [], "other": []}
    for number, (when, executor, kind) in enumerate(specs):
        if (when or "returned") in OUTCOMES[outcome]:
            pending[executor].append((number, kind))
    for executor, batch in pending.items():
        for name, kind in batch:
            if executor in stopped:
                break
            ran[executor].append(name)
            if kind == "adding":
                batch.append((f"added by {name}", "sync"))
            if "failing" in kind and stop:
                stopped.add(executor)
    return ran


@given(specs=TASKS, outcome=st.sampled_from(list(OUTCOMES)), stop=st.booleans())
def test_what_runs_and_in_which_order(specs, outcome, stop):
    """Random tasks, conditions, executors and outcomes against the model."""
    logging.getLogger("wsgibg.background").disabled = True
    manager = TaskManager(
        InlineExecutor(),
        executors={"other": InlineExecutor()},
        after_task_error="stop" if stop else "continue",
    )
    ran = {None: [], "other": []}
    tasks = request_collector(manager)

    def act(executor, number, kind):
        ran[executor].append(number)
        if kind == "adding":
            added = ran[executor].append
            current_tasks().add_task(task(added) if number % 2 else added, f"added by {number}")
        if "failing" in kind:
            raise ValueError(number)

    async def act_async(*args):
        act(*args)

    from_request = within(tasks)
    for number, (when, executor, kind) in enumerate(specs):
        func = act_async if "async" in kind else act
        if when or executor:
            func = task(func, when=when or "returned", executor=executor)
        from_request(tasks.add_task, func, executor, number, kind)

    try:
        manager.submit(tasks, outcome)
    finally:
        logging.getLogger("wsgibg.background").disabled = False

    assert ran == model(specs, outcome, stop)


class Source:
    """A request, as far as `current_tasks()` asks."""

    def __init__(self, tasks):
        self.collector = lambda: tasks


def within(tasks):
    """Runs functions as inside the request whose collector it is."""
    context = copy_context()
    context.run(source_var.set, Source(tasks))
    return context.run
