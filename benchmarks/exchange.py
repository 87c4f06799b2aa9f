"""One request of the benchmark, as a WSGI server and as an ASGI server would hand it over."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from wsgiref.util import FileWrapper

HEADERS = {
    "Host": "shop.example:8000",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "application/json, text/plain;q=0.9, */*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.7,fr;q=0.3",
    "Accept-Encoding": "gzip, deflate, br",
    "Referer": "https://shop.example/catalogue",
    "Cookie": "session=5f2c9a7e41; theme=dark",
    "Authorization": "Bearer-4711",
    "Connection": "keep-alive",
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Proto": "https",
    "X-Request-Id": "0b6d7c1e-6a52-4a83-9a0e-3f2f4a1d8c55",
}
"""The twelve headers of every request: a browser's, behind a reverse proxy."""


@dataclass(frozen=True)
class Request:
    """A request, independent of the interface it arrives by.

    `path` is decoded, as both interfaces want it; `body` implies a JSON content type.
    """

    method: str
    path: str
    query: str = ""
    body: bytes = b""

    @cached_property
    def headers(self) -> dict[str, str]:
        """The headers, with those that describe the body where there is one."""
        if not self.body:
            return HEADERS
        described = {"Content-Type": "application/json", "Content-Length": str(len(self.body))}
        return HEADERS | described

    @cached_property
    def environ_template(self) -> dict[str, Any]:
        """The keys gunicorn's sync worker gives; copied for every request, never passed itself."""
        environ: dict[str, Any] = {
            "wsgi.errors": sys.stderr,
            "wsgi.version": (1, 0),
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.input_terminated": True,
            "SERVER_SOFTWARE": "gunicorn",
            "gunicorn.socket": None,
            "REQUEST_METHOD": self.method,
            "QUERY_STRING": self.query,
            "RAW_URI": self._target,
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "https",
            "REMOTE_ADDR": "127.0.0.1",
            "REMOTE_PORT": "49152",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000",
            "PATH_INFO": self.path,
            "SCRIPT_NAME": "",
        }
        for name, value in self.headers.items():
            key = name.upper().replace("-", "_")
            environ[key if key.startswith("CONTENT_") else f"HTTP_{key}"] = value
        return environ

    def environ(self) -> dict[str, Any]:
        """Return a fresh environ with an unread body."""
        environ = self.environ_template.copy()
        environ["wsgi.input"] = io.BytesIO(self.body)
        return environ

    @cached_property
    def scope_template(self) -> dict[str, Any]:
        """The keys uvicorn gives; its mutable values are copied for every request."""
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": ("127.0.0.1", 8000),
            "client": ("127.0.0.1", 49152),
            "scheme": "https",
            "method": self.method,
            "root_path": "",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": self.query.encode(),
            "headers": [(n.lower().encode(), v.encode()) for n, v in self.headers.items()],
            "state": {},
        }

    def scope(self) -> dict[str, Any]:
        """Return a fresh ASGI scope."""
        scope = self.scope_template.copy()
        scope["headers"] = scope["headers"].copy()
        scope["state"] = {}
        return scope

    @cached_property
    def message(self) -> dict[str, Any]:
        """The ASGI event that carries the whole body; copied for every `receive()`."""
        return {"type": "http.request", "body": self.body, "more_body": False}

    @property
    def _target(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path
