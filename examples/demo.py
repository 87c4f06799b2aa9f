"""Watch a background task: the answer is here at once, the task's line comes later.

Run it with `python examples/demo.py`. It serves `send_notification.py` under Werkzeug's
development server, sends it a request over a socket, and waits for the line in the log.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import TypeVar

HERE = Path(__file__).parent
PATIENCE = 20.0  # seconds for each step
SERVE = (
    "import sys; from werkzeug.serving import run_simple; from send_notification import app; "
    "run_simple('127.0.0.1', int(sys.argv[1]), app, threaded=True)"
)

T = TypeVar("T")


def main() -> None:
    """Serve, post, and say when what came."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        log, server_log = Path(folder, "log.txt"), Path(folder, "server.txt")
        with server_log.open("wb") as output:
            server = subprocess.Popen(
                [sys.executable, "-c", SERVE, str(port)],
                cwd=HERE,
                env={**os.environ, "NOTIFICATION_LOG": str(log)},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_for(lambda: answers(server, port), "The server does not answer")
            print(f"send_notification.py is served on http://127.0.0.1:{port}")
            show(port, log)
        except TimeoutError as error:
            sys.exit(f"{error}. The server said:\n{server_log.read_text(errors='replace')}")
        finally:
            server.terminate()
            server.wait()


def show(port: int, log: Path) -> None:
    """Post a request; print the answer and the task's line, each with its time."""
    path = "/send-notification/ada@example.com"
    print(f"POST {path}")
    start = time.perf_counter()
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("POST", path)
    response = connection.getresponse()
    body = response.read().decode()
    print(f"  after {milliseconds(start)} ms the answer: {response.status} {body}")
    connection.close()
    line = wait_for(lambda: first_line(log), "The task has written nothing")
    print(f"  after {milliseconds(start)} ms the task's line in the log: {line}")


def answers(server: subprocess.Popen[bytes], port: int) -> bool:
    """Whether somebody listens on the port."""
    if server.poll() is not None:
        message = f"The server ended with status {server.returncode}"
        raise TimeoutError(message)
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def first_line(log: Path) -> str:
    """The first complete line of the log, or nothing yet."""
    text = log.read_text(encoding="utf-8") if log.exists() else ""
    return text.splitlines()[0] if "\n" in text else ""


def wait_for(predicate: Callable[[], T], complaint: str) -> T:
    """Ask every few milliseconds until the answer is true."""
    deadline = time.monotonic() + PATIENCE
    while not (answer := predicate()):
        if time.monotonic() > deadline:
            message = f"{complaint} after {PATIENCE:g} s"
            raise TimeoutError(message)
        time.sleep(0.005)
    return answer


def milliseconds(start: float) -> int:
    """Milliseconds since `start`, rounded."""
    return round((time.perf_counter() - start) * 1000)


if __name__ == "__main__":
    main()
