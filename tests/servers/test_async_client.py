"""One `httpx.AsyncClient` for all requests, threads and tasks."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.servers.harness import PATIENCE, Server, exchange
from tests.support import missing, wait_for

REQUESTS = 40
CLIENTS = 4


class Upstream(ThreadingHTTPServer):
    """A server that repeats what it is asked, and counts its connections."""

    daemon_threads = True
    connections = 0

    def process_request(self, request, client_address):
        self.connections += 1
        super().process_request(request, client_address)


class Repeat(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: the second would wait for an acknowledgement

    def do_GET(self):
        body = self.path.partition("=")[2].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(("127.0.0.1", 0), Repeat) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("name", ["gunicorn-sync", "gunicorn-gthread", "gunicorn-gevent"])
def test_an_async_client_made_once_serves_all_requests_and_tasks(
    serve: Callable[..., Server], upstream: Upstream, name: str
):
    """Handlers and tasks of many threads use its connections, request after request."""
    if importlib.util.find_spec("httpx") is None:
        missing("httpx")
    port = upstream.server_address[1]
    server = serve(name, "upstream:app", UPSTREAM=f"http://127.0.0.1:{port}")
    job = server.job("ask")

    def ask_some(client: int) -> list[bytes]:
        connection = server.connect()
        paths = [
            f"/ask?job={job.name}&what={client * REQUESTS + number}" for number in range(REQUESTS)
        ]
        answers = [exchange(connection, path).body for path in paths]
        connection.close()
        return answers

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = [answer for some in pool.map(ask_some, range(CLIENTS)) for answer in some]

    everything = CLIENTS * REQUESTS
    assert answers == [b'"%d"' % number for number in range(everything)]
    wait_for(lambda: len(job.lines()) == everything, PATIENCE, "every task has told")
    assert sorted(job.lines()) == sorted(f"told {number}" for number in range(everything))
    # Two in every request; connections are reused, so there are only as many as there are
    # requests at a time, each with a handler and a task that may still be running.
    assert upstream.connections <= 2 * CLIENTS
