"""One declaration on FastAPI and on us, one request to both, and the answers side by side.

FastAPI is called as an ASGI server calls it and we are called as a WSGI server calls us, from the
same raw request: no client stands between that could tidy up paths, headers or bodies.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from io import BytesIO
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote_to_bytes

import fastapi
import fastapi.encoders
import fastapi.exceptions
import fastapi.responses
import fastapi.security
import starlette.exceptions
from werkzeug.test import run_wsgi_app

import wsgibg
import wsgibg.encoders
import wsgibg.exceptions
import wsgibg.params
import wsgibg.responses
from tests.support import checked

__all__ = ["RUNNER", "Answer", "Ask", "Pair", "both", "refused_by_both"]

# PERF: one loop for all requests, whose threads wait for the next one: 0.7 ms instead of 1.9.
RUNNER = asyncio.Runner()

RESPONSES = (
    "HTMLResponse",
    "JSONResponse",
    "PlainTextResponse",
    "RedirectResponse",
    "StreamingResponse",
)
MARKERS = ("APIRouter", "BackgroundTasks", "Body", "Cookie", "Depends", "HTTPException", "Header")
MARKERS += ("Path", "Query", "Request", "Response", "Security", "status")

Pairs = Sequence[tuple[str, str]]
Declare = Callable[[Any], Any]


# ------------------------------------------------------------------ names
def _names(package: Any, **others: Any) -> SimpleNamespace:
    """What a declaration takes from its framework, and a list of what was called."""
    found = {name: getattr(package, name) for name in MARKERS}
    return SimpleNamespace(calls=[], **found, **others)


def fastapi_names() -> SimpleNamespace:
    """FastAPI's names."""
    return _names(
        fastapi,
        App=fastapi.FastAPI,
        ours=False,
        SecurityScopes=fastapi.security.SecurityScopes,
        RequestValidationError=fastapi.exceptions.RequestValidationError,
        AnyHTTPException=starlette.exceptions.HTTPException,
        jsonable_encoder=fastapi.encoders.jsonable_encoder,
        **{name: getattr(fastapi.responses, name) for name in RESPONSES},
    )


def our_names() -> SimpleNamespace:
    """Ours, with an app that ends a request in FastAPI's order."""

    def app(**options: Any) -> wsgibg.App:
        options.setdefault("dependency_scope", "tasks")
        return wsgibg.App(after_task_error="stop", **options)

    return _names(
        wsgibg,
        App=app,
        ours=True,
        SecurityScopes=wsgibg.params.SecurityScopes,
        RequestValidationError=wsgibg.exceptions.RequestValidationError,
        AnyHTTPException=wsgibg.HTTPException,
        jsonable_encoder=wsgibg.encoders.jsonable_encoder,
        **{name: getattr(wsgibg.responses, name) for name in RESPONSES},
    )


# ------------------------------------------------------------------ requests, answers
@dataclass(frozen=True)
class Ask:
    """A request, raw.

    Args:
        method: in upper case.
        target: path and query as they stand in the request line.
        headers: fields in order.
        content: the body; nothing sends no ``Content-Length`` either.
        root: what a proxy or server has taken off the path.
    """

    method: str
    target: str
    headers: Pairs = ()
    content: bytes | None = None
    root: str = ""

    @property
    def path(self) -> bytes:
        return unquote_to_bytes(self.target.partition("?")[0])

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    def fields(self) -> list[tuple[str, str]]:
        """The header fields that a client sends: those given, Host and Content-Length."""
        found = list(self.headers)
        names = {name.lower() for name, _ in found}
        if "host" not in names:
            found.insert(0, ("Host", "testserver"))
        if self.content is not None and "content-length" not in names:
            found.append(("Content-Length", str(len(self.content))))
        return found


@dataclass(frozen=True)
class Answer:
    """What came back, and what was called meanwhile.

    Args:
        status: the status code.
        headers: fields, names in lower case, sorted.
        body: the body.
        calls: what the declaration noted in ``ns.calls``.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    calls: list[Any] = field(default_factory=list)

    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str:
        return ", ".join(value for each, value in self.headers if each == name)


def _sorted(pairs: Pairs) -> list[tuple[str, str]]:
    """Header fields in an order of their own; the methods in Allow have none in FastAPI."""
    lowered = [(name.lower(), value) for name, value in pairs]
    return sorted(
        (name, ", ".join(sorted(value.split(", "))) if name == "allow" else value)
        for name, value in lowered
    )


# ------------------------------------------------------------------ FastAPI
def ask_fastapi(app: Any, ask: Ask) -> Answer:
    """Call an ASGI app as uvicorn does; an error that it raises after its 500 is dropped."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": ask.method,
        "scheme": "http",
        "path": ask.root + ask.path.decode("utf-8", "replace"),
        "raw_path": ask.target.partition("?")[0].encode("latin-1"),
        "query_string": ask.query.encode("latin-1"),
        "root_path": ask.root,
        "headers": [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in ask.fields()
        ],
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
    }
    sent: list[dict[str, Any]] = []
    incoming = [{"type": "http.request", "body": ask.content or b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if not incoming:
            await asyncio.Event().wait()  # the client does not go away
        return incoming.pop()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def call() -> None:
        try:
            await app(scope, receive, send)
        except Exception:
            if not sent:
                raise

    RUNNER.run(call(), context=copy_context())
    pairs = [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in sent[0]["headers"]
    ]
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return Answer(sent[0]["status"], _sorted(pairs), b"" if ask.method == "HEAD" else body)


# ------------------------------------------------------------------ us
def environ_of(ask: Ask) -> dict[str, Any]:
    """The environ that a WSGI server makes of a request (PEP 3333)."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": ask.method,
        "SCRIPT_NAME": ask.root,
        "PATH_INFO": ask.path.decode("latin-1"),
        "QUERY_STRING": ask.query,
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(ask.content or b""),
        "wsgi.errors": BytesIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    environ["wsgi.errors"] = SimpleNamespace(
        flush=lambda: None, write=lambda text: None, writelines=lambda lines: None
    )
    for name, value in ask.fields():
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        environ[key] = f"{environ[key]}, {value}" if key in environ else value
    return environ


def ask_us(app: Any, ask: Ask) -> Answer:
    """Call a WSGI app through the standard library's validator, to its very end."""
    chunks, status, headers = run_wsgi_app(checked(app), environ_of(ask), buffered=True)
    return Answer(int(status.split()[0]), _sorted(list(headers)), b"".join(chunks))


# ------------------------------------------------------------------ both
class Pair:
    """A declaration made twice."""

    def __init__(self, declare: Declare) -> None:
        self.their_names, self.our_names = fastapi_names(), our_names()
        self.theirs, self.ours = declare(self.their_names), declare(self.our_names)

    def answers(self, ask: Ask) -> tuple[Answer, Answer]:
        """FastAPI's answer and ours."""
        answers = []
        for side, app, names in (
            (ask_fastapi, self.theirs, self.their_names),
            (ask_us, self.ours, self.our_names),
        ):
            del names.calls[:]
            answer = side(app, ask)
            answers.append(Answer(answer.status, answer.headers, answer.body, list(names.calls)))
        return answers[0], answers[1]

    def ask(self, ask: Ask) -> Answer:
        """Send a request to both; the answer, which has to be the same."""
        theirs, ours = self.answers(ask)
        assert ours == theirs, f"{ask}\n  FastAPI: {theirs}\n       we: {ours}"
        return ours

    def request(
        self,
        method: str,
        target: str,
        headers: dict[str, str] | Pairs = (),
        *,
        json: Any = ...,
        content: bytes | None = None,
        root: str = "",
    ) -> Answer:
        """Send a request to both.

        Args:
            method: in upper case.
            target: path and query.
            headers: fields.
            json: a body, which is sent as JSON.
            content: a body as it is.
            root: what a proxy or server has taken off the path.
        """
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
        if json is not ...:
            content = _dumped(json)
            pairs.append(("Content-Type", "application/json"))
        return self.ask(Ask(method, target, tuple(pairs), content, root))

    def get(self, target: str, headers: dict[str, str] | Pairs = (), **rest: Any) -> Answer:
        """`request` with GET."""
        return self.request("GET", target, headers, **rest)

    def post(self, target: str, headers: dict[str, str] | Pairs = (), **rest: Any) -> Answer:
        """`request` with POST."""
        return self.request("POST", target, headers, **rest)


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


def both(declare: Declare) -> Pair:
    """Make a declaration with FastAPI's names and with ours.

    Args:
        declare: is given a namespace (``ns.App``, ``ns.Depends``, ``ns.calls`` …) and returns the
            app.
    """
    return Pair(declare)


def refused_by_both(declare: Declare) -> str:
    """Make a declaration that cannot work on both; what we say of it."""
    try:
        declare(fastapi_names())
    except Exception:
        pass
    else:
        raise AssertionError("FastAPI takes this declaration.")
    try:
        declare(our_names())
    except wsgibg.exceptions.RegistrationError as error:
        return str(error)
    raise AssertionError("We take this declaration, and FastAPI refuses it.")
