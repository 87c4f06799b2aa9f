"""Flask's own tutorial application with one more line: its tests pass, and mails go out.

It is taken from Flask's source distribution, of the version that is installed.
"""

from __future__ import annotations

import os
import re
import socket
import socketserver
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection
from importlib.metadata import version
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import urlencode

import pytest

from tests.support import ROOT, free_port, missing, wait_for

PATIENCE = 20.0  # seconds

BEFORE = "    return app\n"
LINE = "    import wsgibg.integrations.flask as wsgibg; wsgibg.BackgroundTasks(app)\n"

#: What sends the mails: nothing of the tutorial's code is changed for it.
MAILED = """
import smtplib
from email.message import EmailMessage

from flask import current_app, request, request_finished
from flaskr import create_app
from flaskr.db import get_db
from wsgibg import current_tasks

app = create_app()
PORT = {port}


def send_mail(username):
    found = get_db().execute("SELECT id FROM user WHERE username = ?", (username,)).fetchone()
    mail = EmailMessage()
    mail["From"], mail["To"] = "shop@example.com", f"{{username}}@example.com"
    mail["Subject"] = f"You are number {{found['id']}} of {{current_app.name}}"
    with smtplib.SMTP("127.0.0.1", PORT, timeout=20) as server:
        server.send_message(mail)


@request_finished.connect_via(app)
def welcome(sender, response, **extra):
    if request.endpoint == "auth.register" and response.status_code == 302:
        current_tasks().add_task(send_mail, request.form["username"])
"""


@pytest.fixture(scope="module", name="source")
def _source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive, from the package index."""
    folder = tmp_path_factory.mktemp("flask")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--no-binary", "flask", f"flask=={version('flask')}", "--dest", str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=100)
    archives = list(folder.glob("*.tar.gz"))
    if not archives:
        print(done.stdout, done.stderr, file=sys.stderr)
        missing("Flask's source distribution")
    return archives[0]


@pytest.fixture(name="flaskr")
def _flaskr(source: Path, tmp_path: Path) -> Path:
    """The tutorial's folder, with the line."""
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.glob("*/examples/tutorial")
    module = folder / "flaskr" / "__init__.py"
    text = module.read_text(encoding="utf-8")
    assert text.count(BEFORE) == 1
    module.write_text(text.replace(BEFORE, LINE + BEFORE), encoding="utf-8")
    return folder


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}


def test_its_own_tests_pass(flaskr):
    """All of them, as they are."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=flaskr,
        env=environment(flaskr),
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 3,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 24


class Mailbox(socketserver.ThreadingTCPServer):
    """An SMTP server that keeps what it is sent, and takes its time if it is told to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Delivery)
        self.mails: SimpleQueue[str] = SimpleQueue()
        self.gate = threading.Event()


class Delivery(socketserver.StreamRequestHandler):
    """One conversation (RFC 5321), up to the message."""

    server: Mailbox

    def handle(self) -> None:
        self.server.gate.wait(PATIENCE)
        self.say("220 mailbox")
        for line in iter(self.rfile.readline, b""):
            word = line.split()[0].upper()
            if word == b"DATA":
                self.say("354 go on")
                lines = iter(self.rfile.readline, b".\r\n")
                self.server.mails.put(b"".join(lines).decode())
            self.say("221 bye" if word == b"QUIT" else "250 fine")

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@pytest.fixture(name="mailbox")
def _mailbox() -> Iterator[Mailbox]:
    with Mailbox() as mailbox:
        thread = threading.Thread(target=mailbox.serve_forever, args=(0.05,))
        thread.start()
        yield mailbox
        mailbox.gate.set()
        mailbox.shutdown()
        thread.join()


def test_a_mail_goes_out_after_the_answer(flaskr, mailbox):
    """It is there while the mail's server is silent; the task asks the tutorial's database."""
    (flaskr / "mailed.py").write_text(MAILED.format(port=mailbox.server_address[1]))
    flask = [sys.executable, "-m", "flask", "--app", "mailed"]
    env = environment(flaskr)
    subprocess.run([*flask, "init-db"], cwd=flaskr, env=env, check=True, timeout=PATIENCE)
    port = free_port()
    with (flaskr / "output.txt").open("wb") as output:
        server = subprocess.Popen(
            [*flask, "run", "--port", str(port)], cwd=flaskr, env=env, stdout=output, stderr=output
        )
    try:
        wait_for(lambda: answers(port), PATIENCE, "flaskr answers")

        assert register(port, "ada") == (302, "/auth/login")
        assert mailbox.mails.empty()
        mailbox.gate.set()

        mail = mailbox.mails.get(timeout=PATIENCE)
        assert "To: ada@example.com" in mail
        assert "Subject: You are number 1 of flaskr" in mail
    finally:
        server.terminate()
        server.wait(PATIENCE)
    assert "Traceback" not in (flaskr / "output.txt").read_text()


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def register(port: int, username: str) -> tuple[int, str | None]:
    """Fill in the form, over a connection of its own."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    form = urlencode({"username": username, "password": "secret"})
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/auth/register", form, kind)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status, response.getheader("Location")
