"""A project as `django-admin startproject` makes it, and one changed line of its settings."""

from __future__ import annotations

import difflib
import os
import subprocess
import sys
from http.client import HTTPConnection
from importlib.util import find_spec

import pytest

from tests.support import ROOT, free_port, wait_for

LINE = '    "wsgibg.integrations.django.BackgroundTasksMiddleware",\n'

# What the project has of its own: a page, and tests of it.
VIEWS = """
from django.contrib.auth.models import Group
from django.http import HttpResponse

def count(request):
    return HttpResponse(f"{Group.objects.count()} orders")
"""
URLS = """
from django.contrib import admin
from django.urls import path
from orders import views

urlpatterns = [path("admin/", admin.site.urls), path("orders/", views.count)]
"""
TESTS = """
from django.contrib.auth.models import Group, User
from django.test import TestCase

class OrderTests(TestCase):
    def test_count(self):
        Group.objects.create(name="one")
        self.assertContains(self.client.get("/orders/"), "1 orders")

    def test_admin(self):
        self.client.force_login(User.objects.create_superuser("ada"))
        self.assertContains(self.client.get("/admin/auth/group/"), "Select group to change")

    def test_missing(self):
        self.assertEqual(self.client.get("/nowhere/").status_code, 404)
"""
SETTINGS = """
_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
if "MAILERS" in globals():  # (since Django 6.1)
    MAILERS = {"default": {"BACKEND": _BACKEND, "OPTIONS": {"file_path": BASE_DIR / "mails"}}}
else:
    EMAIL_BACKEND, EMAIL_FILE_PATH = _BACKEND, BASE_DIR / "mails"
"""

# What comes with the changed line.
MORE_VIEWS = """
import os
import time

from django.core.mail import send_mail
from django.db import transaction
from wsgibg import current_tasks

def send_receipt(pk):
    gate = os.environ.get("GATE")
    deadline = time.monotonic() + 30
    while gate and not os.path.exists(gate) and time.monotonic() < deadline:
        time.sleep(0.01)
    send_mail("Receipt", f"for {Group.objects.get(pk=pk).name}", None, ["ada@example.com"])

def order(request, name):
    with transaction.atomic():
        group = Group.objects.create(name=name)
        current_tasks().add_task(send_receipt, group.pk)
    return HttpResponse("thank you")
"""
MORE_URLS = """
urlpatterns.append(path("order/<name>/", views.order))
"""
MORE_TESTS = """
from django.core import mail

class MailTests(TestCase):
    def test_receipt(self):
        self.client.get("/order/socks/")
        self.assertEqual([each.body for each in mail.outbox], ["for socks"])
"""


class Project:
    """The generated project."""

    def __init__(self, folder):
        self.folder = folder

    def run(self, *command, **variables):
        run = subprocess.run(
            [sys.executable, *command],
            cwd=self.folder,
            env=self.environment(**variables),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout + run.stderr

    def environment(self, **variables):
        return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default", **variables}

    def change(self, name, change):
        path = self.folder / name
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        after = change(before)
        path.write_text(after, encoding="utf-8")
        lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), n=0)
        return [line for line in lines if not line.startswith(("---", "+++", "@@"))]

    def test(self):
        """Run its own test suite, and tell how many tests there were."""
        output = self.run("manage.py", "test")
        (line,) = [line for line in output.splitlines() if line.startswith("Ran ")]
        assert "\nOK" in output
        return int(line.split()[1])


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("shop"))
    project.run("-m", "django", "startproject", "shop", ".")
    project.run("manage.py", "startapp", "orders")
    project.change("orders/views.py", lambda _: VIEWS)
    project.change("orders/tests.py", lambda _: TESTS)
    project.change("shop/urls.py", lambda _: URLS)
    project.change("shop/settings.py", lambda text: text + SETTINGS)
    assert project.test() == 3
    return project


@pytest.fixture(scope="module")
def changed(project):
    """The project with the one line."""
    line = project.change(
        "shop/settings.py", lambda text: text.replace("MIDDLEWARE = [\n", f"MIDDLEWARE = [\n{LINE}")
    )
    assert line == [f"+{LINE}"]
    return project


def test_its_own_tests_are_still_green(changed):
    """The line changes nothing for requests that add no task."""
    assert changed.test() == 3


@pytest.fixture(scope="module")
def served(changed):
    """The project with a view that adds a task, and a database."""
    changed.change("orders/views.py", lambda text: text + MORE_VIEWS)
    changed.change("shop/urls.py", lambda text: text + MORE_URLS)
    changed.change("orders/tests.py", lambda text: text + MORE_TESTS)
    changed.run("manage.py", "migrate")
    return changed


def test_a_test_case_sees_the_mail(served):
    """In the project's own `TestCase` the task has run when the client returns."""
    assert served.test() == 4


SERVERS = {
    "runserver": ["manage.py", "runserver", "--noreload", "127.0.0.1:{port}"],
    "gunicorn": [
        "-m",
        "gunicorn",
        "--no-control-socket",
        "--bind",
        "127.0.0.1:{port}",
        "shop.wsgi",
    ],
}


@pytest.mark.parametrize("server", SERVERS)
def test_a_mail_is_sent_after_the_response(served, tmp_path, server):
    """Over a socket: the client has its whole response while the mail is not sent yet."""
    if server == "gunicorn" and find_spec("gunicorn") is None:
        pytest.skip("gunicorn is not installed here")
    port, gate, mails = free_port(), tmp_path / "gate", served.folder / "mails"
    output = tmp_path / "output.txt"
    command = [part.format(port=port) for part in SERVERS[server]]
    with (
        output.open("wb") as file,
        subprocess.Popen(
            [sys.executable, *command],
            cwd=served.folder,
            env=served.environment(GATE=str(gate)),
            stdout=file,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            wait_for(lambda: answer(port, "orders/"), 30, f"{server} answers")
            assert answer(port, f"order/{server}/") == b"thank you"
            assert not [each for each in texts(mails) if f"for {server}" in each]
            gate.touch()
            wait_for(lambda: [each for each in texts(mails) if f"for {server}" in each], 20)
        finally:
            gate.touch()
            process.terminate()
    assert "Traceback" not in output.read_text(encoding="utf-8")


def answer(port, path):
    """What a client reads; nothing while nobody listens."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", f"/{path}")
        return connection.getresponse().read()
    except ConnectionRefusedError:
        return b""
    finally:
        connection.close()


def texts(folder):
    return [each.read_text(encoding="utf-8") for each in folder.glob("*")]
