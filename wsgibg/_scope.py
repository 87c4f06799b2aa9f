"""Everything that exists for one request, from its first parameter to the end of its tasks."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Coroutine
from contextvars import Context
from dataclasses import replace
from threading import RLock
from typing import IO, Any, Protocol

from wsgibg._aio import drive
from wsgibg._attempt import raised_by_signal
from wsgibg._calling import Injecting
from wsgibg._ending import Ending, StreamEnding, is_whole
from wsgibg._exits import Exit, enterable, leave, leave_sync, swallowed
from wsgibg._observers import observers, strictness
from wsgibg._report import report
from wsgibg._resources import check_resources
from wsgibg.background import (
    CLOSED,
    BackgroundTask,
    BackgroundTasks,
    TaskOptions,
    request_collector,
    seal,
)
from wsgibg.exception_handlers import ExceptionHandlers, text_of
from wsgibg.exceptions import FastAPIError
from wsgibg.manager import TaskManager
from wsgibg.records import RETURNED, Outcome
from wsgibg.requests import Request, open_form
from wsgibg.responses import FileResponse, Response

__all__ = ["Owner", "RequestScope", "StartResponse"]

log = logging.getLogger("wsgibg.app")

StartResponse = Callable[..., Any]
#: Reentrant: the __init__ of a collector's subclass may ask for the collector.
_making = RLock()


class Owner(Protocol):
    """What a scope asks of its application."""

    tasks: TaskManager
    handlers: ExceptionHandlers
    debug: bool
    strict: bool

    @property
    def injector(self) -> Injecting:
        """Who resolves what its tasks have injected."""


class RequestScope:
    """One request: its context, its collector, the dependencies that wait for their exit.

    It is made without ``__init__``: what a route does not use stays at the class's default.
    """

    environ: dict[str, Any]
    owner: Owner
    path_names: tuple[str, ...] = ()
    values: tuple[Any, ...] = ()
    context: Context | None = None
    #: The collector, once somebody asked for it.
    tasks: BackgroundTasks | None = None
    collector_kind: type[BackgroundTasks] = BackgroundTasks
    #: Entered ``yield`` dependencies, by the moment of their exit.
    early: list[Exit] | None = None
    exits: list[Exit] | None = None
    late: list[Exit] | None = None
    #: Whether async steps are stepped on the lent loop (else each is a hop).
    lent: bool = False
    #: Whether there may be async steps at all.
    hops: bool = True
    #: Why the request failed; empty while it has not.
    failure: str = ""
    #: Whether `start_response` was called.
    started: bool = False
    ended: bool = False
    #: The collector of the request around this one, if there is one (see `wsgibg.embedding`).
    outer: Any = None
    _request: Request | None = None
    #: The body, where it had to be taken in for another thread.
    spool: IO[bytes] | None = None
    #: The `Response` that handler and dependencies set status and headers on.
    response: Response | None = None

    # -------------------------------------------------------------- what a request may ask for
    def request(self) -> Request:
        """The `Request`, made when it is first asked for."""
        if self._request is None:
            path_params = dict(zip(self.path_names, self.values, strict=True))
            self._request = Request(self.environ, app=self.owner, path_params=path_params)
        return self._request

    def collector(self) -> BackgroundTasks:
        """The request's one collector, made when it is first asked for."""
        if self.tasks is None:
            with _making:
                if self.tasks is None:
                    closes = self.exits is not None or self.early is not None
                    asks = closes or self.owner.tasks.checks
                    made = request_collector(self, asks=asks, kind=self.collector_kind)
                    if self.ended:
                        seal(made)
                    self.tasks = made
        return self.tasks

    def accept(self, task: BackgroundTask) -> None:
        """Look at a task as it is added: can its executor carry it, are its arguments safe?"""
        collector = self.collector()
        if collector.sink is CLOSED and collector.forward is None:
            CLOSED.accept(task)
        self.owner.tasks.check(task, self.owner.injector)
        if task.special or self.owner.tasks.surroundings or observers:
            collector.has_options = True
        closing = (value for _, value in (*(self.early or ()), *(self.exits or ())))
        lasting = (value for _, value in self.late or ())
        strict = self.owner.strict or strictness.on
        check_resources(task, closing, lasting, open_form(self.environ), strict=strict)
        self.owner.tasks.added(task)

    def adopt(self, background: BackgroundTask | BackgroundTasks) -> None:
        """Take over the tasks of a response; those of an error's answer run because of it."""
        tasks = self.collector()
        before = len(tasks.tasks)
        tasks.adopt(background)
        if self.failure:
            for task in tasks.tasks[before:]:
                task._options = replace(task.options or TaskOptions(), when="error")
                tasks.has_options = True

    # -------------------------------------------------------------- the response
    def finish(
        self,
        start_response: StartResponse,
        status: str,
        headers: list[tuple[str, str]],
        chunks: tuple[bytes, ...],
    ) -> Any:
        """Start a response that is whole already.

        Returns:
            The chunks as they are, or an iterable that ends the request when it is closed.
        """
        # PERF: written out, each method that is not called saves 0.06 µs.
        tasks = self.tasks
        if self.started or (tasks is not None and self.owner.tasks.holds):
            has_end = self._has_end()
            self._begin(start_response, status, headers)
        else:
            has_end = bool((tasks is not None and tasks.tasks) or self.exits or self.late)
            self.started = True
            start_response(status, headers)
        if has_end or (self.tasks is not None and self.tasks.tasks):  # (now: a server may add)
            return Ending(chunks, self)
        self.forget()
        return chunks

    def _begin(
        self, start_response: StartResponse, status: str, headers: list[tuple[str, str]]
    ) -> None:
        """Call `start_response`; a second time, in place of what it was told before."""
        if self.started:
            start_response(status, headers, sys.exc_info())
        else:
            self.started = True
            start_response(status, headers)

    def _has_end(self) -> bool:
        """Whether something is left to do after the response; what must be safe before, is."""
        tasks = self.tasks
        if tasks is not None and tasks.tasks:
            if self.owner.tasks.holds:
                self.owner.tasks.hold(tasks, Outcome(self.failure))
            return True
        return bool(self.exits or self.late)

    def forget(self) -> None:
        """Let go of a request that has nothing left to do after its response."""
        self.ended = True
        self.context = None
        if self.tasks is not None:
            left = seal(self.tasks)
            if left:  # a thread of the handler's was just adding
                self._submit_late(left)
        if self._request is not None or self.spool is not None:
            self._close_files()

    def _submit_late(self, left: list[BackgroundTask]) -> None:
        tasks = request_collector(self, asks=True)
        tasks.tasks = left
        tasks.has_options = True
        self.owner.tasks.submit(tasks)

    def _close_files(self) -> None:
        """Close what reading the body opened: uploads, and the body itself."""
        form = open_form(self.environ)
        if form is not None:
            form.close_files()
        if self.spool is not None:
            self.spool.close()

    def respond(self, start_response: StartResponse, response: Any) -> Any:
        """Start a response that a handler (or an exception's handler) returned as an object."""
        if self.response is not None:
            self._adopt_outgoing(self.response)
        if isinstance(response, Response):
            if response.background is not None:
                self.adopt(response.background)
            if not hasattr(response, "wsgi_app"):
                return self._start(start_response, response)
        self.started = True
        environ = self.environ
        if hasattr(response, "wsgi_app"):  # an App in there hands its tasks to this request
            environ = {**environ, "wsgibg.tasks": self.collector()}
        has_end = self._has_end()
        body = response(environ, start_response)
        if not has_end and not self._has_end() and is_whole(body, environ):
            self.forget()
            return body
        return StreamEnding(body, self, self._own_context(), None)

    def _start(self, start_response: StartResponse, response: Response) -> Any:
        environ = self.environ
        is_file = isinstance(response, FileResponse)
        has_end = is_file and self._has_end()
        if has_end:  # the server could not send it by itself, and some give the bare file back
            environ = {key: environ[key] for key in environ if key != "wsgi.file_wrapper"}
        status, headers, body = response.start(environ)
        if type(body) is tuple:
            return self.finish(start_response, status, headers, body)
        has_end = has_end or self._has_end()
        self._begin(start_response, status, headers)
        if is_file and not has_end:
            self.forget()  # left as it is, so that the server may send the file by itself
            return body
        length = next((value for name, value in headers if name.lower() == "content-length"), None)
        return StreamEnding(
            body, self, self._own_context(), None if length is None else int(length)
        )

    def _own_context(self) -> Context:
        if self.context is None:
            msg = "the request's context was dropped before its response"
            raise FastAPIError(msg)
        return self.context

    # -------------------------------------------------------------- failure
    def drive(self, code: Coroutine[Any, Any, Any]) -> Any:
        """Run what answers a failed request, and end the request should even that fail."""
        try:
            return drive(code, enterable(self._own_context()))
        except BaseException as error:
            self.failure = self.failure or f"its request failed ({text_of(error)})"
            self.end(delivered=False)
            raise

    async def leave_all(self, error: BaseException | None) -> BaseException | None:
        """Run every exit that is left, inner ones first."""
        try:
            for exits in (self.early, self.exits, self.late):
                if exits:
                    outer, error = error, await leave(exits, error, lent=self.lent)
                    if error is None and outer is not None and exits is self.early:
                        error = swallowed(outer)  # without a response, none may commit
            return error
        finally:
            error = outer = None  # a frame that holds its own exception is a cycle

    def tell(self, error: BaseException) -> None:
        """Let a test client know of an error that the server does not hear of."""
        errors = self.environ.get("wsgibg.errors")
        if errors is not None:
            errors.append(error)

    def stream_failed(self, error: BaseException, context: Context) -> None:
        """Show a broken body's error to the dependencies, before the server hears of it."""
        self.failure = f"its response broke ({text_of(error)})"
        if self.exits or self.late:
            left = drive(self.leave_all(error), enterable(context))
            if left is not None and left is not error:
                log.error("An exit raised %r after the body had broken.", left, exc_info=left)

    # -------------------------------------------------------------- the end
    def end(self, *, delivered: bool) -> None:
        """Run the exits, then hand over the tasks; once."""
        context, self.context = self.context, None
        if self.ended or context is None:
            return
        left: BaseException | None = None
        try:
            # PERF: the common end is written out, each method that is not called saves 0.06 µs.
            if self.exits:
                left = self._leave(context) if self.hops else context.run(leave_sync, self.exits)
                if left is not None:
                    log.error("An exit raised %s after the response.", text_of(left), exc_info=left)
                    self.tell(left)
                    self.failure = f"an exit of its request raised {text_of(left)}"
            if self.response is not None:
                self._adopt_outgoing(self.response)
            self.ended = True  # from here on nobody gets a collector that takes tasks
            waits = self.late or self.spool is not None or self._request is not None
            if waits or self.tasks is not None:
                self.hand_over(delivered=delivered, after=self._after(context) if waits else None)
            if left is not None and not isinstance(left, Exception) and raised_by_signal(left):
                raise left
        except Exception as error:  # noqa: BLE001 (told, with each task)
            self.end_failed(error)
        finally:
            del left  # its traceback keeps this frame

    def end_failed(self, error: Exception) -> None:
        """Tell of it; the server must not hear of it: it would cut the response off."""
        log.error("The end of a request failed.", exc_info=error)
        self.tell(error)
        reason = f"the end of its request failed ({text_of(error)})"
        for task in seal(self.collector()):
            report(self.owner.tasks, "lost", task, reason)

    def _leave(self, context: Context) -> BaseException | None:
        """Run async exits after the response; a loop that is gone fails them."""
        try:
            return drive(leave(self.exits or [], None, lent=self.lent), enterable(context))
        except Exception as error:  # noqa: BLE001 (told like an exit's own)
            return error

    def _adopt_outgoing(self, given: Response) -> None:
        """Take over the tasks that were set on the injected `Response`."""
        background, given.background = given.background, None
        if background is not None:
            self.collector().adopt(background)

    def _after(self, context: Context) -> Callable[[], None] | None:
        """What waits for the first attempts of the tasks: late exits, files of the body."""
        late, lent = self.late, self.lent
        files = self.spool is not None or (
            self._request is not None and open_form(self.environ) is not None
        )
        if not late and not files:
            return None

        def after() -> None:
            if late:
                left = drive(leave(late, None, lent=lent), context)
                if left is not None:
                    log.error("An exit raised %r after the tasks.", left, exc_info=left)
                    self.tell(left)
            if files:
                self._close_files()

        return after

    def hand_over(self, *, delivered: bool, after: Callable[[], None] | None = None) -> None:
        """Give the tasks to their manager, or to the application around this one."""
        tasks = self.tasks
        if tasks is None or not tasks.tasks:
            if tasks is not None and (left := seal(tasks)):
                self._submit_late(left)
            if after is not None:
                after()
            return
        outcome = RETURNED
        if self.failure or not delivered:
            outcome = Outcome(self.failure, delivered)
        # The application around this one marks the environ; a context variable would also be
        # there for what merely runs in the same thread.
        outer = self.outer or self.environ.get("wsgibg.tasks")
        around: Any = None if outer is None or outer is tasks else outer.sink
        if after is None and outer is not None and around not in (None, CLOSED):
            self.owner.tasks.give_outwards(tasks, outcome, outer, around.owner.tasks)
        else:
            self.owner.tasks.submit(tasks, outcome, after)

    def rescued(self, close: Callable[[], None]) -> None:
        """Close a response that nobody closed, and say so where tasks were waiting.

        Runs in a thread of its own.
        """
        waiting = len(self.tasks.tasks) if self.tasks is not None else 0
        try:
            close()
        except Exception:
            log.exception("A response that was thrown away could not be closed.")
        if waiting:
            warnings.warn(
                f"A response was thrown away without close(), with {waiting} background tasks"
                " waiting; they ran all the same. In tests, close responses (buffered=True), or use"
                " wsgibg.testing.TestClient.",
                ResourceWarning,
                stacklevel=1,
            )
