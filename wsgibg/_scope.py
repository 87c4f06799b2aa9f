"""Everything that exists for one request, from its first parameter to the end of its tasks."""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from collections.abc import Callable
from contextvars import Context
from inspect import isawaitable
from typing import Any, ClassVar, Protocol

from werkzeug.exceptions import HTTPException as WerkzeugHTTPException
from werkzeug.wrappers import Response as WerkzeugResponse

from wsgibg._aio import drive, hop
from wsgibg._ending import Ending, StreamEnding
from wsgibg._exits import Exit, leave
from wsgibg.background import (
    CLOSED,
    BackgroundTask,
    BackgroundTasks,
    close_collector,
    request_collector,
    source_var,
)
from wsgibg.exception_handlers import ExceptionHandlers, server_error
from wsgibg.exceptions import ClosedResourceWarning, FastAPIError
from wsgibg.manager import TaskManager
from wsgibg.records import RETURNED, Outcome
from wsgibg.requests import Request
from wsgibg.responses import Response

__all__ = ["Owner", "RequestScope", "StartResponse"]

log = logging.getLogger("wsgibg.app")

StartResponse = Callable[..., Any]
_RESOURCE = ("close", "aclose", "__exit__", "__aexit__")


class Owner(Protocol):
    """What a scope asks of its application."""

    tasks: TaskManager
    handlers: ExceptionHandlers
    debug: bool


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
    #: Entered ``yield`` dependencies, by the moment of their exit.
    early: list[Exit] | None = None
    exits: list[Exit] | None = None
    late: list[Exit] | None = None
    #: Whether async steps are stepped on the lent loop (else each is a hop).
    lent: bool = False
    #: Why the request failed; empty while it has not.
    failure: str = ""
    #: Whether `start_response` was called.
    started: bool = False
    ended: bool = False
    #: The request around this one, if there is one (see `wsgibg.embedding`).
    outer: Any = None
    _request: Request | None = None
    #: The `Response` that handler and dependencies set status and headers on.
    response: Response | None = None
    _warned: ClassVar[set[int]] = set()

    # -------------------------------------------------------------- what a request may ask for
    def request(self) -> Request:
        """The `Request`, made when it is first asked for."""
        if self._request is None:
            path_params = dict(zip(self.path_names, self.values, strict=True))
            self._request = Request(self.environ, app=self.owner, path_params=path_params)
        return self._request

    def collector(self, kind: type[BackgroundTasks] = BackgroundTasks) -> BackgroundTasks:
        """The request's one collector, made when it is first asked for."""
        tasks = self.tasks
        if tasks is None:
            asks = self.exits is not None or self.owner.tasks.checks
            tasks = self.tasks = request_collector(self, asks=asks, kind=kind)
            if self.ended:
                close_collector(tasks)
        return tasks

    def accept(self, task: BackgroundTask) -> None:
        """Look at a task as it is added: can its executor carry it, are its arguments safe?"""
        collector = self.collector()
        if collector.sink is CLOSED:
            CLOSED.accept(task)
        self.owner.tasks.accept(task)
        if task.options is not None:  # it may have come by a collector that was adopted
            collector.has_options = True
        if self.exits and (task.args or task.kwargs):
            given = (*task.args, *task.kwargs.values())
            for _, value in self.exits:
                if any(value is each for each in given) and _is_resource(value):
                    self._warn_closed(task, value)

    def _warn_closed(self, task: BackgroundTask, value: Any) -> None:
        warnings.warn(
            f"{task.name} is given {value!r}, which its dependency closes before the task runs."
            ' Pass an id and open it again in the task, or declare Depends(..., scope="tasks").',
            ClosedResourceWarning,
            stacklevel=4,
        )

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
        has_end = self._has_end()
        self._begin(start_response, status, headers)
        if has_end:
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
            close_collector(self.tasks)

    def respond(self, start_response: StartResponse, response: Any) -> Any:
        """Start a response that a handler (or an exception's handler) returned as an object."""
        if isinstance(response, Response):
            if response.background is not None:
                self.collector().adopt(response.background)
            if not hasattr(response, "wsgi_app"):
                return self._start(start_response, response)
        elif not isinstance(response, WerkzeugResponse):
            msg = f"{response!r} is not a response. Return a Response, or data."
            raise FastAPIError(msg)
        has_end = self._has_end()
        self.started = True
        body = response(self.environ, start_response)
        if not has_end and not self._has_end():
            self.forget()
            return body
        return StreamEnding(body, self, self._own_context(), None)

    def _start(self, start_response: StartResponse, response: Response) -> Any:
        status, headers, body = response.start(self.environ)
        if type(body) is tuple:
            return self.finish(start_response, status, headers, body)
        has_end = self._has_end()
        self._begin(start_response, status, headers)
        wrapper = self.environ.get("wsgi.file_wrapper")
        if not has_end and isinstance(wrapper, type) and isinstance(body, wrapper):
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
    async def recover(self, error: BaseException, start_response: StartResponse) -> Any:
        """Answer a request that failed, after its dependencies have seen the error."""
        left = await self.leave_all(error)
        if left is None:
            left = FastAPIError(
                f"A dependency with yield swallowed {error!r}, so there is no response to send."
                " Raise it again in its except block, or raise an HTTPException instead."
            )
            left.__cause__ = error
        if not isinstance(left, Exception):
            self.failure = f"its request was interrupted ({left!r})"
            self.end(delivered=False)
            raise left
        response = await self._answer(left)
        return self.respond(start_response, response)

    async def leave_all(self, error: BaseException | None) -> BaseException | None:
        """Run every exit that is left, inner ones first."""
        for exits in (self.early, self.exits, self.late):
            if exits:
                error = await leave(exits, error, lent=self.lent)
        return error

    async def _answer(self, error: Exception) -> Response:
        self.failure = f"its request failed ({type(error).__name__}: {error})"
        handler, seen = self.owner.handlers.find(error)
        if isinstance(error, WerkzeugHTTPException) and error.response is not None:
            return error.response  # type: ignore[return-value]  # abort(response) means that one
        if handler is not None:
            try:
                return await self._ask(handler, seen)
            except Exception as other:  # noqa: BLE001 (answered like any other failure)
                error = other
        log.error("The request failed: %r.", error, exc_info=error)
        handler = self.owner.handlers.last_resort()
        if handler is not None and not self.owner.debug:
            return await self._ask(handler, error)
        detail = None
        if self.owner.debug:
            detail = "".join(traceback.format_exception(error))
        return server_error(detail)

    async def _ask(self, handler: Callable[[Request, Any], Any], error: Exception) -> Response:
        answer = handler(self.request(), error)
        return await hop(answer) if isawaitable(answer) else answer

    def stream_failed(self, error: BaseException, context: Context) -> None:
        """Show a broken body's error to the dependencies, before the server hears of it."""
        if self.exits:
            self.failure = f"its response broke ({error!r})"
            left = drive(leave(self.exits, error, lent=self.lent), context)
            if left is not None and left is not error:
                log.error("An exit raised %r after the body had broken.", left, exc_info=left)

    # -------------------------------------------------------------- the end
    def end(self, *, delivered: bool) -> None:
        """Run the exits, then hand over the tasks; once."""
        context, self.context = self.context, None
        if self.ended or context is None:
            return
        self.ended = True
        try:
            if self.exits:
                left = drive(leave(self.exits, None, lent=self.lent), context)
                if left is not None:
                    log.error("An exit raised %r after the response.", left, exc_info=left)
                    self.failure = f"an exit of its request raised {left!r}"
            self.hand_over(delivered=delivered, after=self._after(context))
        except Exception:
            # Whatever it is, the server must not hear of it: it would cut the response off.
            log.exception("The end of a request failed.")
        finally:
            self._request = self.response = None

    def _after(self, context: Context) -> Callable[[], None] | None:
        """The exits that wait for the first attempts of the tasks."""
        late, lent = self.late, self.lent
        if not late:
            return None

        def after() -> None:
            left = drive(leave(late, None, lent=lent), context)
            if left is not None:
                log.error("An exit raised %r after the tasks.", left, exc_info=left)

        return after

    def hand_over(self, *, delivered: bool, after: Callable[[], None] | None = None) -> None:
        """Give the tasks to their manager, or to the application around this one."""
        tasks = self.tasks
        if tasks is None or not tasks.tasks:
            if tasks is not None:
                close_collector(tasks)
            if after is not None:
                after()
            return
        outcome = RETURNED
        if self.failure or not delivered:
            outcome = Outcome(self.failure, delivered)
        outer = source_var.get()
        if after is None and outer is not None and self._give_outwards(outer, tasks, outcome):
            return
        self.owner.tasks.submit(tasks, outcome, after)

    def _give_outwards(self, outer: Any, tasks: BackgroundTasks, outcome: Outcome) -> bool:
        """Leave the tasks to the application around this one, if its request is not over."""
        collector = outer.collector()
        if collector.sink is CLOSED:
            return False
        kept = self.owner.tasks.applicable(tasks, outcome)
        for task in kept:
            task.context.run(source_var.set, outer)
        collector.adopt_all(kept)
        close_collector(tasks)
        self._warn_differing(outer)
        return True

    def _warn_differing(self, outer: Any) -> None:
        inner = self.owner.tasks
        manager = getattr(getattr(outer, "owner", None), "tasks", inner)
        if manager is not inner and inner.differs_from(manager) and id(inner) not in self._warned:
            self._warned.add(id(inner))
            log.warning(
                "An application inside another has task options of its own; its tasks run"
                " by those of the outermost. Give both the same TaskManager to be clear."
            )

    def rescued(self) -> None:
        """End a request whose response nobody closed; runs in a thread of its own."""
        self.warn_unclosed(lambda: self.end(delivered=True))

    def warn_unclosed(self, end: Callable[[], None]) -> None:
        """End the request, and say so where tasks were waiting."""
        waiting = len(self.tasks.tasks) if self.tasks is not None else 0
        end()
        if waiting:
            warnings.warn(
                f"A response was thrown away without close(), with {waiting} background tasks"
                " waiting; they ran all the same. In tests, close responses (buffered=True).",
                ResourceWarning,
                stacklevel=1,
            )


def _is_resource(value: Any) -> bool:
    return any(hasattr(value, name) for name in _RESOURCE)
