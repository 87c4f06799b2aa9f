"""Tasks and transactions: what is rolled back has no task."""

from __future__ import annotations

import threading
from contextvars import copy_context
from functools import partial

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.db import connections, transaction
from django.db.utils import ConnectionDoesNotExist
from django.http import HttpResponse
from django.test import override_settings

from tests.integrations.django.conftest import by_client
from tests.integrations.django.site.models import Note
from tests.support import client, wait_for
from wsgibg import InlineExecutor, ThreadExecutor, current_tasks, task, wrap
from wsgibg.background import BackgroundTask
from wsgibg.integrations.django import on_commit, task_manager
from wsgibg.integrations.django._transactions import Parked, Wait


@pytest.fixture
def notes():
    return []


class Rollback(Exception):
    """Ends a block without its work."""


@pytest.fixture(name="work")
def _work(ask):
    """`work(function)` calls the function as a view that returns."""

    def work(function):
        def view(request):
            function()
            return HttpResponse("hello")

        return ask(view)

    return work


def rolled_back(function, using="default"):
    with pytest.raises(Rollback), transaction.atomic(using):
        function()
        raise Rollback


def dropped(caplog):
    return [each.getMessage() for each in caplog.records if "was dropped" in each.getMessage()]


def test_a_task_sees_what_was_committed(work, notes):
    """It was added inside the block, and runs after the response."""

    def pay():
        with transaction.atomic():
            note = Note.objects.create(text="paid")
            current_tasks().add_task(lambda: notes.append(Note.objects.get(pk=note.pk).text))

    work(pay)

    assert notes == ["paid"]


def test_a_task_of_a_transaction_that_is_rolled_back_is_dropped(work, notes, caplog):
    """The view has gone on, and what it adds outside runs."""

    def pay():
        rolled_back(lambda: current_tasks().add_task(notes.append, "never"))
        current_tasks().add_task(notes.append, "sorry")

    work(pay)

    assert notes == ["sorry"]
    (line,) = dropped(caplog)
    assert line.endswith("was dropped: its transaction on the database 'default' was rolled back.")


def test_a_savepoint_is_a_transaction_too(work, notes, caplog):
    """The block around it is committed, and the inner one is not."""

    def pay():
        with transaction.atomic():
            current_tasks().add_task(notes.append, 1)
            rolled_back(lambda: current_tasks().add_task(notes.append, "never"))
            with transaction.atomic():
                current_tasks().add_task(notes.append, 2)

    work(pay)

    assert notes == [1, 2]
    assert len(dropped(caplog)) == 1


def test_an_outer_rollback_takes_the_inner_block_along(work, notes, caplog):
    """A savepoint that was released is worth what its transaction is."""

    def inner():
        with transaction.atomic():
            current_tasks().add_task(notes.append, "never")

    work(lambda: rolled_back(inner))

    assert notes == []
    assert len(dropped(caplog)) == 1


def test_tasks_keep_their_order(work, notes):
    """The moment of the commit does not matter."""

    def pay():
        with transaction.atomic():
            current_tasks().add_task(notes.append, 1)
            with transaction.atomic("other"):
                current_tasks().add_task(notes.append, 2)
            on_commit(()).add_task(notes.append, 3)
            current_tasks().add_task(notes.append, 4)
        current_tasks().add_task(notes.append, 5)

    work(pay)

    assert notes == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("using", ["default", "other"])
def test_every_open_database_is_waited_for(work, notes, caplog, using):
    """A task may rely on both; one that is rolled back is enough to drop it."""
    kept = "other" if using == "default" else "default"

    def add():
        current_tasks().add_task(notes.append, "both")
        on_commit(using=kept).add_task(notes.append, kept)
        on_commit(using=[kept]).add_task(notes.append, [kept])
        on_commit(using=using).add_task(notes.append, using)
        on_commit(using=()).add_task(notes.append, "none")

    def pay():
        with transaction.atomic(kept):
            rolled_back(add, using)

    work(pay)

    assert notes == [kept, [kept], "none"]
    assert len(dropped(caplog)) == 2


def test_what_a_task_waits_for_is_not_inherited(work, notes):
    """What it adds itself waits for the transactions around that."""

    def first():
        with transaction.atomic():
            current_tasks().add_task(notes.append, "never")
            transaction.set_rollback(True)
        current_tasks().add_task(notes.append, "second")

    def pay():
        with transaction.atomic():
            on_commit().add_task(first)

    work(pay)

    assert notes == ["second"]


def test_a_task_that_adds_tasks_to_its_batch(work, notes, caplog):
    """Those of a transaction that is rolled back are dropped, the others run after it."""

    def first():
        with transaction.atomic():
            current_tasks().add_task(notes.append, 1)
            current_tasks().add_task(task(notes.append, when="always"), 2)
        rolled_back(lambda: current_tasks().add_task(notes.append, "never"))

    work(lambda: current_tasks().add_task(first))

    assert notes == [1, 2]
    assert len(dropped(caplog)) == 1


def test_conditions_hold_for_the_transaction(work, notes):
    """A task for errors runs if its transaction came to nothing, though the view returned."""

    def add():
        for when in ("returned", "delivered", "error", "always"):
            current_tasks().add_task(task(notes.append, when=when), when)

    def both():
        rolled_back(add)
        notes.append("and")
        with transaction.atomic():
            add()

    work(both)

    assert notes == ["and", "error", "always", "returned", "delivered", "always"]


def test_atomic_requests(ask, notes, monkeypatch, caplog):
    """The whole view is a transaction."""
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)

    def view(request):
        Note.objects.create(text=request.path)
        current_tasks().add_task(lambda: notes.append(Note.objects.get().text))
        if request.path == "/wrong":
            raise KeyError("x")
        if request.path == "/set":
            transaction.set_rollback(True)
        return HttpResponse("hello")

    for path in ("/wrong", "/set", "/right"):
        ask(view, path=path)

    assert notes == ["/right"]
    first, second = dropped(caplog)
    assert "its request failed (KeyError: 'x')" in first
    assert "its transaction on the database 'default' was rolled back" in second


def test_a_hook_that_fails_takes_no_task_along(work, notes, caplog):
    """Django drops the functions behind it, but the tasks were committed, and run."""

    def fail():
        raise KeyError("x")

    def pay():
        with pytest.raises(KeyError), transaction.atomic():
            current_tasks().add_task(notes.append, "before")
            transaction.on_commit(fail)
            transaction.on_commit(partial(notes.append, "never"))
            current_tasks().add_task(notes.append, "behind")

    work(pay)

    assert notes == ["before", "behind"]
    assert dropped(caplog) == []


def test_a_hook_that_fails_after_the_request(serve, notes, caplog):
    """Tasks that have waited for its transaction come before it, in their order."""

    def fail():
        raise KeyError("x")

    def view(request):
        for number in range(2):
            current_tasks().add_task(notes.append, number)
        transaction.on_commit(partial(notes.append, "hook"))
        transaction.on_commit(fail)
        for number in range(2, 4):
            current_tasks().add_task(notes.append, number)
        return HttpResponse("hello")

    serve(view)
    with pytest.raises(KeyError), transaction.atomic():
        by_client()

    assert notes == [0, 1, 2, 3, "hook"]
    assert dropped(caplog) == []


def test_manual_transactions_are_not_waited_for(work, notes):
    """Without autocommit there is no moment to wait for, except inside `atomic`."""

    def pay():
        transaction.set_autocommit(False)
        try:
            current_tasks().add_task(notes.append, 1)
            transaction.rollback()
        finally:
            transaction.set_autocommit(True)

    work(pay)

    assert notes == [1]


@pytest.mark.parametrize("ends", ["commit", "rollback"])
def test_a_transaction_around_the_request(serve, notes, caplog, ends):
    """Its tasks wait on, after the request, for what becomes of it."""

    def view(request):
        current_tasks().add_task(notes.append, "task")
        on_commit("other").add_task(notes.append, "other")
        return HttpResponse("hello")

    serve(view)
    with transaction.atomic():
        with transaction.atomic("other"):
            by_client()
            assert notes == []
        assert notes == ["other"]
        if ends == "rollback":
            transaction.set_rollback(True)

    if ends == "commit":
        assert notes == ["other", "task"]
    else:
        wait_for(lambda: dropped(caplog))
        assert notes == ["other"]


def test_whoever_commits_after_the_request_keeps_the_connection(serve, notes):
    """That code is in the middle of something, such as reading rows."""
    Note.objects.bulk_create(Note(text=str(number)) for number in range(5))

    def view(request):
        current_tasks().add_task(lambda: notes.append(Note.objects.count()))
        return HttpResponse("hello")

    serve(view)
    for _ in Note.objects.iterator(chunk_size=2):
        with transaction.atomic():
            by_client()

    assert notes == [5] * 5


def test_conditions_within_a_transaction_around_the_request(serve, notes, caplog):
    """What waits for an error is dropped with the request that has none."""

    def view(request):
        current_tasks().add_task(task(notes.append, when="error"), "error")
        current_tasks().add_task(task(notes.append, when="always"), "always")
        return HttpResponse("hello")

    serve(view)
    with transaction.atomic():
        by_client()
        assert notes == ["always"]
    assert dropped(caplog)[0].endswith("was dropped: the request succeeded.")
    assert notes == ["always"]


def test_one_of_two_transactions_around_the_request(serve, notes):
    """What was committed in the request is not waited for any more."""

    def view(request):
        with transaction.atomic("other"):
            current_tasks().add_task(notes.append, "task")
        return HttpResponse("hello")

    serve(view)
    with transaction.atomic():
        by_client()
        assert notes == []

    assert notes == ["task"]


def test_a_parked_task_is_dropped_once(notes, caplog):
    """Its transaction comes to nothing, or is committed: one of the two is told."""
    drop = partial(task_manager()._drop, reason="it came to nothing")
    with transaction.atomic():
        wait = Wait(connections["default"])
        parked = Parked(BackgroundTask(print), (wait,), notes.append, drop)
        parked.rescued(parked.rolled_back)
        parked.rescued(parked.rolled_back)

    assert len(dropped(caplog)) == 1
    assert notes == []


def test_a_transaction_that_is_committed_as_its_task_begins_to_wait(notes):
    """Another thread may do that, after it was asked and before somebody waits."""
    added = BackgroundTask(print)
    with transaction.atomic():
        first = Wait(connections["default"])
    with transaction.atomic():
        second = Wait(connections["default"])
        Parked(added, (first, second), notes.append, notes.append)
        assert notes == []
    assert notes == [added]
    Parked(added, (first, second), notes.append, notes.append)
    assert notes == [added, added]


def test_a_thread_that_has_just_committed(serve, notes, caplog):
    """The functions that it was given to call then may take longer than the request."""
    committed, ended = threading.Event(), threading.Event()
    threads = []

    def slow():
        committed.set()
        assert ended.wait(10)

    def pay():
        with transaction.atomic():
            transaction.on_commit(slow)
            current_tasks().add_task(notes.append, "task")
        connections.close_all()

    def view(request):
        threads.append(threading.Thread(target=copy_context().run, args=(pay,)))
        threads[0].start()
        assert committed.wait(10)
        return HttpResponse("hello")

    serve(view)
    by_client()
    ended.set()
    threads[0].join()

    assert notes == ["task"]
    assert dropped(caplog) == []


def test_an_error_within_a_transaction_around_the_request(serve, notes, caplog):
    """A failed request does not wait to drop its tasks."""

    def view(request):
        current_tasks().add_task(notes.append, "task")
        raise KeyError("x")

    serve(view)
    with transaction.atomic():
        by_client(raise_request_exception=False)
        assert len(dropped(caplog)) == 1

    assert notes == []


def test_the_pool_waits_as_well(serve, notes, caplog):
    """The decision is made before the tasks are handed over."""
    executor = ThreadExecutor(workers=1)

    def view(request):
        with transaction.atomic():
            note = Note.objects.create(text="paid")
            current_tasks().add_task(lambda: notes.append(Note.objects.get(pk=note.pk).text))
        rolled_back(lambda: current_tasks().add_task(notes.append, "never"))
        return HttpResponse("hello")

    serve(view)
    with override_settings(WSGIBG={"EXECUTOR": executor}):
        by_client()
        assert task_manager().drain() == []

    assert notes == ["paid"]
    assert len(dropped(caplog)) == 1
    executor.shutdown()


class Durable(InlineExecutor):
    """Notes what it holds."""

    durable = True

    def __init__(self):
        self.held = []

    def hold(self, batch):
        self.held += [each.args for each in batch.tasks]


def test_what_is_rolled_back_is_not_held(work, notes):
    """A durable executor never hears of it."""
    executor = Durable()

    def pay():
        rolled_back(lambda: current_tasks().add_task(notes.append, "never"))
        current_tasks().add_task(notes.append, "kept")

    with override_settings(WSGIBG={"EXECUTOR": executor}):
        work(pay)

    assert executor.held == [("kept",)]
    assert notes == ["kept"]


def test_inside_wrap(serve, notes, caplog):
    """The middleware decides before it leaves its tasks to `wrap`."""

    def view(request):
        with transaction.atomic():
            current_tasks().add_task(notes.append, "kept")
        rolled_back(lambda: current_tasks().add_task(notes.append, "never"))
        return HttpResponse("hello")

    serve(view)
    client(wrap(WSGIHandler())).get("/")

    assert notes == ["kept"]
    assert len(dropped(caplog)) == 1


def test_on_commit_needs_the_middleware(notes):
    """A collector of somebody else's knows nothing of transactions."""
    seen = []

    def bare(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        with pytest.raises(RuntimeError) as refused:
            on_commit("other").add_task(notes.append, 1)
        seen.append(str(refused.value))
        return [b"hello"]

    client(wrap(bare)).get("/")

    assert seen[0].startswith("on_commit('other') needs the middleware")
    with pytest.raises(RuntimeError, match="outside a request"):
        on_commit().add_task(notes.append, 1)


def test_an_alias_that_does_not_exist(work):
    """Django's own error says so, in the view."""

    def pay():
        with pytest.raises(ConnectionDoesNotExist):
            on_commit("nowhere").add_task(print)

    work(pay)
