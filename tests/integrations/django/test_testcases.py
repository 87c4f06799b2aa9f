"""Django's own test cases: in a `TestCase`, which never commits, tasks run all the same."""

from __future__ import annotations

import threading
from contextlib import suppress
from http.client import HTTPConnection
from unittest import skipUnless

from django.db import connection, transaction
from django.http import HttpResponse
from django.test import LiveServerTestCase, TestCase, TransactionTestCase, override_settings

from tests.integrations.django.site import urls
from tests.integrations.django.site.models import Note
from wsgibg import current_tasks, task
from wsgibg.integrations.django import on_commit
from wsgibg.integrations.django._tasks import available

if available:
    from tests.integrations.django.site import tasks


class Views:
    """The views of both kinds of test cases; each answers with what its tasks have done."""

    databases = ("default", "other")

    def answer(self, work):
        self.notes = []

        def view(request):
            work(self.notes.append)
            return HttpResponse("hello")

        urls.current = view
        self.addCleanup(setattr, urls, "current", None)
        self.client.get("/")
        return self.notes

    def saved(self, add):
        with transaction.atomic():
            note = Note.objects.create(text="paid")
            current_tasks().add_task(lambda: add(Note.objects.get(pk=note.pk).text))

    def undone(self, add):
        current_tasks().add_task(add, "before")
        try:
            with transaction.atomic():
                current_tasks().add_task(add, "never")
                current_tasks().add_task(task(add, when="error"), "error")
                raise KeyError
        except KeyError:
            current_tasks().add_task(add, "sorry")

    def two(self, add):
        with transaction.atomic():
            current_tasks().add_task(add, 1)
            with transaction.atomic("other"):
                current_tasks().add_task(add, 2)
                on_commit("default").add_task(add, 3)
                transaction.set_rollback(True, "other")

    def test_a_block_that_ended_well(self):
        """Its tasks run, and see its rows."""
        assert self.answer(self.saved) == ["paid"]

    def test_a_block_that_was_rolled_back(self):
        """Its tasks are dropped."""
        with self.assertLogs("wsgibg.background", "WARNING") as logs:
            assert self.answer(self.undone) == ["before", "error", "sorry"]
        assert "was rolled back" in logs.output[0]

    def test_two_databases(self):
        """Each block counts for its own."""
        assert self.answer(self.two) == [1, 3]


class InTestCase(Views, TestCase):
    """The test is a transaction that is rolled back."""

    def test_hooks_are_captured_without_ours(self):
        """`captureOnCommitCallbacks` shows what the project has registered, and nothing else."""

        def work(add):
            self.saved(add)
            with transaction.atomic():
                transaction.on_commit(lambda: add("hook"))

        with self.captureOnCommitCallbacks(execute=True) as callbacks:
            assert self.answer(work) == ["paid"]
        assert len(callbacks) == 1
        assert self.notes == ["paid", "hook"]

    def test_a_block_of_the_test_itself(self):
        """The test's own block around the request is no reason to wait."""
        with transaction.atomic():
            assert self.answer(self.saved) == ["paid"]

    def test_a_block_that_is_still_open(self):
        """What was added in it waits for its end, which the request has not seen."""

        def work(add):
            current_tasks().add_task(add, 1)
            current_tasks().add_task(add, 2)

        with transaction.atomic():
            assert self.answer(work) == []
            assert Note.objects.count() == 0
        assert self.notes == [1, 2]
        with self.assertLogs("wsgibg.background", "WARNING") as logs:
            with transaction.atomic():
                self.answer(work)
                transaction.set_rollback(True)
            assert self.notes == []
        assert len(logs.output) == 2
        assert connection.execute_wrappers == []

    def test_blocks_within_a_block(self):
        """The innermost one counts, or the one that it is a part of."""

        def work(add):
            current_tasks().add_task(add, "hello")

        with transaction.atomic():
            with transaction.atomic(), transaction.atomic(savepoint=False):
                assert self.answer(work) == []
            assert self.notes == ["hello"]

    def test_a_block_without_a_savepoint(self):
        """Its rollback is that of the whole test: its tasks are dropped."""

        def work(add):
            try:
                with transaction.atomic(savepoint=False):
                    current_tasks().add_task(add, "never")
                    raise KeyError
            except KeyError:
                pass

        with self.assertLogs("wsgibg.background", "WARNING"):
            assert self.answer(work) == []
        transaction.set_rollback(False)

    def test_the_connection_is_left_alone(self):
        """A task closes nothing that is inside the transaction of the test."""
        Note.objects.create(text="mine")
        self.answer(lambda add: current_tasks().add_task(lambda: add(Note.objects.count())))
        assert self.notes == [1]
        assert Note.objects.count() == 1
        assert connection.in_atomic_block


@skipUnless(available, "there are no Django tasks")
@override_settings(TASKS={"default": {"BACKEND": "wsgibg.integrations.django.TasksBackend"}})
class Enqueued(TestCase):
    """Django's own tasks, outside a request."""

    databases = ("default", "other")

    def enqueue(self, *, wrong):
        with suppress(KeyError), transaction.atomic():
            result = tasks.note.enqueue("hello")
            assert not Note.objects.exists()
            if wrong:
                raise KeyError
        result.refresh()
        return result

    def test_they_wait_for_the_block(self):
        """They run when it ends, as if it was committed."""
        assert self.enqueue(wrong=False).errors == []
        assert Note.objects.count() == 1

    def test_they_are_dropped_with_the_block(self):
        """They have failed when it ends."""
        (error,) = self.enqueue(wrong=True).errors
        assert "was rolled back" in error.traceback
        assert not Note.objects.exists()


class InTransactionTestCase(Views, TransactionTestCase):
    """The test commits."""


class InLiveServer(Views, LiveServerTestCase):
    """A server's threads answer, over a socket."""

    def answer(self, work):
        """Ask by HTTP; what ends the request may come a moment after its response."""
        self.notes = []
        ended = threading.Event()

        def view(request):
            work(self.notes.append)
            current_tasks().add_task(ended.set)
            return HttpResponse("hello")

        urls.current = view
        self.addCleanup(setattr, urls, "current", None)
        connection = HTTPConnection(self.server_thread.host, self.server_thread.port, timeout=20)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"hello"
        connection.close()
        assert ended.wait(20)
        return self.notes
