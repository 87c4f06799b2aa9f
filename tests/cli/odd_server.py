"""A server with every bad habit: odd_server.py MODULE:APP PORT.

It closes connections without announcing it, breaks off where a file is asked for, and ignores
SIGTERM.
"""

from __future__ import annotations

import signal
import socket
import sys
from importlib import import_module
from threading import Thread


def serve(connection: socket.socket, app) -> None:
    """Answer one request; the connection is closed when the application's work is done."""
    head = connection.recv(10_000).decode()  # the whole of it: unread bytes would be a reset, too
    method, url, *_ = head.split()
    path, _, query = url.partition("?")
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query}
    if path.endswith("/file"):
        connection.close()
        return

    def start_response(status, headers, exc_info=None):
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())

    body = app(environ, start_response)
    for chunk in body:
        connection.sendall(chunk)
    if hasattr(body, "close"):
        body.close()
    connection.close()  # what the client has sent meanwhile is answered with a reset


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    module, _, name = sys.argv[1].partition(":")
    served = getattr(import_module(module), name)
    listening = socket.create_server(("127.0.0.1", int(sys.argv[2])))
    while True:
        Thread(target=serve, args=(listening.accept()[0], served), daemon=True).start()
