"""The backend for Django's own tasks: what `django.tasks` asks of one, and where tasks run."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from contextlib import nullcontext
from contextvars import copy_context
from importlib import import_module

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.wsgi import WSGIHandler
from django.db import transaction
from django.http import HttpResponse
from django.test import override_settings
from django.utils import timezone, translation

from tests.integrations.django.conftest import by_client
from tests.integrations.django.site.models import Note
from tests.support import ROOT, client, wait_for
from wsgibg import InlineExecutor, ThreadExecutor, current_tasks, wrap
from wsgibg.integrations.django import (
    TaskNotRun,
    TasksBackend,
    _middleware,
    _results,
    _tasks,
    task_manager,
)

if not _tasks.available:  # (Django 5.2 without the package)
    pytest.skip("there are no Django tasks", allow_module_level=True)

from tests.integrations.django.site import tasks
from wsgibg.pytest_plugin import TaskFixture

api = import_module(type(tasks.add).__module__.partition(".base")[0])
exceptions = import_module(f"{api.__name__}.exceptions")
InvalidTask = getattr(exceptions, "InvalidTask", None) or exceptions.InvalidTaskError
Missing = exceptions.TaskResultDoesNotExist
Status = api.TaskResultStatus

BACKEND = "wsgibg.integrations.django.TasksBackend"


def backend(**params):
    return override_settings(TASKS={"default": {"BACKEND": BACKEND, **params}})


@pytest.fixture(autouse=True)
def _backend():
    with backend():
        yield


@pytest.fixture(name="in_request")
def _in_request(serve):
    """`in_request(function)` calls it in a view, and gives what it has returned."""

    def in_request(function, **options):
        made = []

        def view(request):
            made.append(function())
            return HttpResponse("hello")

        serve(view)
        by_client(**options)
        return made[0] if made else None

    return in_request


# ------------------------------------------------------------------ the contract
def test_it_says_what_it_can():
    """Its results can be had from another thread; it neither defers nor sorts."""
    made = api.task_backends["default"]

    assert isinstance(made, TasksBackend)
    assert made.alias == "default"
    flags = ("async_task", "get_result", "defer", "priority")
    assert [getattr(made, f"supports_{flag}") for flag in flags] == [True, True, False, False]
    assert list(made.check()) == []


@pytest.mark.parametrize("task", [tasks.add, tasks.add_async], ids=["sync", "async"])
def test_a_result_outside_a_request(task):
    """With the inline executor the task has run when `enqueue` returns."""
    result = task.enqueue(1, b=2)

    assert result.status == Status.SUCCESSFUL
    assert result.is_finished
    assert result.return_value == 3
    assert result.enqueued_at <= result.started_at <= result.finished_at
    assert result.last_attempted_at == result.started_at
    assert (result.args, result.kwargs) == ([1], {"b": 2})
    assert (result.task, result.backend) == (task, "default")
    assert (result.attempts, len(result.worker_ids), result.errors) == (1, 1, [])


@pytest.mark.parametrize("task", [tasks.add, tasks.add_async], ids=["sync", "async"])
def test_a_result_in_a_request(in_request, task):
    """It is ready until the response is closed, and its id is the background task's."""

    def enqueue():
        result = task.enqueue(1, b=2)
        (added,) = current_tasks().tasks
        assert (added.id, added.name) == (result.id, f"{tasks.__name__}.{task.name}")
        assert result.status == Status.READY
        assert task.get_result(result.id).status == Status.READY
        with pytest.raises(ValueError, match="not finished"):
            _ = result.return_value
        return result

    result = in_request(enqueue)

    assert result.status == Status.READY
    result.refresh()
    assert (result.status, result.return_value) == (Status.SUCCESSFUL, 3)
    assert task_manager().get(result.id).state == "succeeded"


@async_to_sync
async def enqueued_async(task, *args):
    result = await task.aenqueue(*args)
    assert (await task.aget_result(result.id)).id == result.id
    await result.arefresh()
    return result


def test_the_async_methods():
    """They are Django's own, over the same results."""
    assert enqueued_async(tasks.add, 1).return_value == 1
    assert enqueued_async(tasks.add_async, 1).return_value == 1


@pytest.mark.parametrize(
    ("task", "args", "error"),
    [
        (tasks.fail, ["value"], ValueError),
        (tasks.fail, ["exit"], SystemExit),
        (tasks.fail_async, [], ValueError),
    ],
)
def test_a_task_that_fails(task, args, error, caplog):
    """Its result has the class and the traceback, and the logs have them too."""
    result = task.enqueue(*args)

    assert result.status == Status.FAILED
    with pytest.raises(ValueError, match="Task failed"):
        _ = result.return_value
    (told,) = result.errors
    assert told.exception_class is error
    assert told.traceback.endswith(f"{error.__name__}: as it was told\n")
    assert result.finished_at >= result.started_at
    assert {each.name for each in caplog.records} == {"wsgibg.background", api.signals.logger.name}


def test_a_result_that_json_cannot_express():
    """It is the task's failure; arguments are refused at once."""
    (error,) = tasks.give_an_object.enqueue().errors

    assert error.exception_class is TypeError
    with pytest.raises(TypeError):
        tasks.add.enqueue(object())
    with pytest.raises(TypeError):
        tasks.add_async.enqueue(a=object())


def test_a_task_that_takes_its_context():
    """It comes first, and tells of the result."""
    result = tasks.tell.enqueue("hello")

    assert result.return_value == [result.id, 1, "hello"]


def test_signals_are_sent(in_request, caplog):
    """Django's own receivers write the three steps down."""
    caplog.set_level("DEBUG", logger=api.signals.logger.name)

    for result in (tasks.add.enqueue(1), in_request(lambda: tasks.add.enqueue(1))):
        lines = [each.getMessage() for each in caplog.records if result.id in each.getMessage()]
        assert [line.partition(tasks.add.name)[2] for line in lines] == [
            " enqueued backend=default",
            " state=RUNNING",
            " state=SUCCESSFUL",
        ]


def test_what_it_cannot_do_is_refused():
    """`using` asks the backend, and so does `enqueue`."""
    for wrong in ({"run_after": timezone.now()}, {"priority": 5}, {"queue_name": "other"}):
        with pytest.raises(InvalidTask):
            tasks.add.using(**wrong)
    elsewhere = tasks.add
    with backend(QUEUES=["mail"]):
        with pytest.raises(InvalidTask, match="not valid for backend"):
            elsewhere.enqueue(1)
        assert tasks.add.using(queue_name="mail").enqueue(1).return_value == 1


def test_a_result_that_is_not_known():
    """It is of another process, or long ended, or of another task."""
    with pytest.raises(Missing):
        tasks.add.get_result("nothing")
    with pytest.raises(exceptions.TaskResultMismatch):
        tasks.tell.get_result(tasks.add.enqueue(1).id)


def test_the_results_are_bounded():
    """Of those that have ended the last thousand are known."""
    kept = _results.Results(size=2)
    entries = [tasks.add.enqueue(number) for number in range(3)]
    for entry in entries:
        kept.put(entry.id, _results.results._ended[entry.id])
        kept.hear(_results.TaskEvent("started", _Named(entry.id)))
        kept.hear(_results.TaskEvent("succeeded", _Named(entry.id)))

    assert [each.id for each in entries[1:]] == list(kept._ended)
    assert kept._open == {}


class _Named:
    """Stands for a background task, of which its id is all that is asked."""

    def __init__(self, identifier):
        self._id = self
        self.id = identifier


# ------------------------------------------------------------------ where tasks run
def test_the_pool_runs_it(in_request):
    """With a pool it runs in a thread of that, in a request and outside."""
    executor = ThreadExecutor(workers=1)
    with override_settings(WSGIBG={"EXECUTOR": executor}):
        for result in (in_request(lambda: tasks.add.enqueue(1)), tasks.add.enqueue(1)):
            wait_for(lambda result=result: tasks.add.get_result(result.id).is_finished)
    executor.shutdown()


def test_results_are_seen_from_other_threads():
    """Django makes a backend in each; the results are one and the same."""
    identifier = tasks.add.enqueue(1).id
    seen = []

    thread = threading.Thread(target=lambda: seen.append(tasks.add.get_result(identifier)))
    thread.start()
    thread.join()

    assert seen[0].return_value == 1


def test_it_waits_for_the_commit(in_request):
    """In a request it is dropped with the transaction, and has failed then."""

    def enqueue(text, rolled_back):
        with transaction.atomic():
            result = tasks.note.enqueue(text)
            transaction.set_rollback(rolled_back)
        return result

    kept = in_request(lambda: enqueue("kept", rolled_back=False))
    gone = in_request(lambda: enqueue("gone", rolled_back=True))

    kept.refresh()
    gone.refresh()
    assert (kept.status, gone.status) == (Status.SUCCESSFUL, Status.FAILED)
    assert [each.text for each in Note.objects.all()] == ["kept"]
    (error,) = gone.errors
    assert error.exception_class is TaskNotRun
    assert error.traceback.startswith("dropped: its transaction on the database 'default'")


def test_it_waits_for_the_commit_outside_a_request():
    """A management command may enqueue inside `atomic`."""
    with transaction.atomic():
        result = tasks.note.enqueue("kept")
        assert tasks.note.get_result(result.id).status == Status.READY

    assert tasks.note.get_result(result.id).status == Status.SUCCESSFUL


@pytest.fixture(name="rows")
def _rows():
    Note.objects.bulk_create(Note(text=str(number)) for number in range(5))
    return range(5)


@pytest.mark.parametrize("task", [tasks.count, tasks.count_async], ids=["sync", "async"])
@pytest.mark.parametrize("block", [nullcontext, transaction.atomic], ids=["at once", "commit"])
def test_the_connection_of_the_code_that_enqueues_is_its_own(rows, task, block):
    """An inline task in the middle of it closes nothing: it may be reading rows."""
    results = []
    for _ in Note.objects.iterator(chunk_size=2):
        with block():
            results.append(task.enqueue())

    for result in results:
        result.refresh()
    assert [each.status for each in results] == [Status.SUCCESSFUL for _ in rows]


async def read_async(task):
    return [await task.aenqueue() async for _ in Note.objects.all().aiterator(chunk_size=2)]


@pytest.mark.parametrize("task", [tasks.count, tasks.nothing_async], ids=["sync", "async"])
def test_the_connection_of_async_code_is_its_own_too(rows, task):
    """It is asked in a thread of asgiref's, and so it is where the task is enqueued."""
    assert len(asyncio.run(read_async(task))) == len(rows)


def test_what_is_around_a_task_outside_a_request():
    """It finds the language of where it was added, and its connection in a pool is closed."""
    executor = ThreadExecutor(workers=1)
    with override_settings(WSGIBG={"EXECUTOR": executor}):
        with translation.override("nl"):
            result = tasks.count.enqueue()
        assert task_manager().drain() == []
    executor.shutdown()

    result.refresh()
    assert result.return_value == "nl"
    assert tasks.seen[-1].connection is None


def test_a_fixture_that_runs_nothing():
    """Whoever watches the tasks of the process has the say outside of requests as well."""
    with TaskFixture("off") as fixture:
        result = tasks.note.enqueue("never")

    assert fixture.assert_added(tasks.note, "never")
    assert not Note.objects.exists()
    result.refresh()
    assert not result.is_finished


def test_a_request_that_fails(in_request):
    """Its tasks are dropped like all others."""
    made = []

    def enqueue():
        made.append(tasks.add.enqueue(1))
        raise KeyError("x")

    in_request(enqueue, raise_request_exception=False)

    made[0].refresh()
    assert made[0].status == Status.FAILED
    assert "its request failed (KeyError" in made[0].errors[0].traceback


def test_the_options_of_a_backend():
    """They are those of `wsgibg.task`: here the task is tried again."""
    tasks.failures.append(ValueError("not yet"))
    with backend(OPTIONS={"retries": 2, "backoff": 0}):
        result = tasks.fail_first.enqueue()
        wait_for(lambda: tasks.fail_first.get_result(result.id).is_finished)
        result.refresh()

    assert (result.return_value, result.attempts) == ("at last", 2)
    assert [each.exception_class for each in result.errors] == [ValueError]


@pytest.mark.parametrize("options", [{"retry": 2}, {"retries": -1}])
def test_wrong_options_are_refused(options):
    """When the backend is made, which is when the first task is declared."""
    with backend(OPTIONS=options), pytest.raises(ImproperlyConfigured, match="not options of"):
        _ = api.task_backends["default"]


def test_a_task_enqueues_another(in_request):
    """It joins the end of the batch."""
    first = in_request(tasks.add_another.enqueue)
    first.refresh()

    assert tasks.add.get_result(first.return_value).return_value == 1


def test_a_thread_of_the_view_that_is_late(serve):
    """While the tasks run it may still enqueue; after them a task is on its own."""
    contexts = []
    made = []

    def late():
        made.append(contexts[0].run(tasks.add.enqueue, 1))

    def view(request):
        contexts.append(copy_context())
        current_tasks().add_task(late)
        return HttpResponse("hello")

    serve(view)
    by_client()
    late()

    assert [tasks.add.get_result(each.id).return_value for each in made] == [1, 1]


def test_inside_wrap(serve):
    """Whoever carries the tasks, the results are told."""
    made = []

    def view(request):
        made.append(tasks.add.enqueue(1))
        return HttpResponse("hello")

    serve(view)
    client(wrap(WSGIHandler())).get("/")
    with override_settings(MIDDLEWARE=[]):
        app = wrap(WSGIHandler())
        client(app).get("/")
        client(app).get("/")

    assert [tasks.add.get_result(each.id).return_value for each in made] == [1, 1, 1]


class Choosy(InlineExecutor):
    """Refuses every task."""

    def check(self, task):
        raise TypeError("not mine")


def test_what_the_executor_refuses_leaves_no_result():
    """The error is the caller's."""
    before = len(_results.results._open)

    with (
        override_settings(WSGIBG={"EXECUTOR": Choosy()}),
        pytest.raises(TypeError, match="not mine"),
    ):
        tasks.add.enqueue(1)

    assert len(_results.results._open) == before


def test_without_django_tasks(monkeypatch):
    """Before Django 6 they are a package, which the error names, when the server starts."""
    monkeypatch.setattr(_tasks, "available", False)
    monkeypatch.setattr(_middleware, "available", False)

    with pytest.raises(ImproperlyConfigured, match="install the package django-tasks"):
        TasksBackend("default", {})
    with pytest.raises(ImproperlyConfigured, match="install the package django-tasks"):
        WSGIHandler()


BARE = """
import sys

sys.modules["django.tasks"] = sys.modules["django_tasks"] = None
from wsgibg.integrations.django import BackgroundTasksMiddleware, TasksBackend

try:
    TasksBackend("default", {})
except Exception as error:
    print(type(error).__name__)
"""


def test_the_middleware_does_without_django_tasks():
    """The package may be imported all the same."""
    run = subprocess.run(
        [sys.executable, "-c", BARE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (run.stdout, run.stderr) == ("ImproperlyConfigured\n", "")
