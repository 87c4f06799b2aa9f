"""A plan's steps, written out once as one straight-line Python function.

attrs and dataclasses write ``__init__`` in the same way. The function is registered in
`linecache`, so tracebacks show its lines, and ``wsgibg explain`` prints it. A request whose data
are wrong is finished by `wsgibg._interpret`, from the same steps.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from wsgibg._aio import drive, lending_possible
from wsgibg._emit import Mode, emit
from wsgibg._interpret import Resume, interpret
from wsgibg._recovery import recover
from wsgibg._returns import Returns
from wsgibg._scope import Owner, RequestScope
from wsgibg._steps import Plan
from wsgibg.exceptions import FastAPIError

__all__ = ["Compiled", "Entry"]

Entry = Callable[[dict[str, Any], Callable[..., Any], tuple[Any, ...]], Any]


class Compiled:
    """A route ready to serve.

    Args:
        plan: its steps.
        returns: what becomes of the handler's result.
        owner: the application.
        title: ``"POST /items"``, for tracebacks.
        async_inline: whether steps that cannot suspend may borrow the idle loop.
        max_content_length: the largest body that is read, in bytes.
        strict_content_type: whether a body without Content-Type is not taken for JSON.
    """

    def __init__(
        self,
        plan: Plan,
        returns: Returns,
        owner: Owner,
        title: str,
        *,
        async_inline: bool = True,
        max_content_length: int | None = None,
        strict_content_type: bool = True,
        head: bool = False,
    ) -> None:
        self.plan = plan
        self.returns = returns
        self.owner = owner
        self.title = title
        self.max_content_length = max_content_length
        self.strict_content_type = strict_content_type
        self.head = head
        self.mode: Mode = "sync"
        if plan.asynchronous:
            lends = async_inline and not plan.hops and lending_possible()
            self.mode = "lend" if lends else "hop"
        #: Whether the executors want to see each task as it is added.
        self.asks: bool = owner.tasks.checks
        self.source: str
        self.namespace: dict[str, Any]
        self.source, self.namespace = emit(self)
        self.handle: Callable[..., Any] = self._made()

    def _made(self) -> Callable[..., Any]:
        name, count = f"<wsgibg {self.title}", 1
        filename = name + ">"
        lines = self.source.splitlines(keepends=True)
        # Another app may have a route of this title; what is the same text may share its place.
        while linecache.cache.setdefault(filename, (len(self.source), None, lines, filename)) != (
            len(self.source),
            None,
            lines,
            filename,
        ):
            count += 1
            filename = f"{name} #{count}>"
        exec(compile(self.source, filename, "exec"), self.namespace)  # noqa: S102
        made: Callable[..., Any] = self.namespace["handle"]
        return made

    def entry(self) -> Entry:
        """What the application calls with environ, start_response and the path's values."""
        handle = self.handle
        shared = {
            "owner": self.owner,
            "path_names": self.plan.path_names,
            "lent": self.mode == "lend",
            "hops": self.mode != "sync",
            "collector_kind": self.plan.collector,
        }
        # What all requests of the route share stands at its own class: nothing is set for it.
        new_scope = type("RequestScope", (RequestScope,), shared)
        hops = self.mode == "hop"

        def enter_route(
            environ: dict[str, Any], start_response: Callable[..., Any], values: tuple[Any, ...]
        ) -> Any:
            scope = new_scope()
            scope.environ = environ
            scope.values = values
            context = scope.context = copy_context()
            try:
                if hops:
                    return drive(handle(scope, environ, start_response, values), context)
                return context.run(handle, scope, environ, start_response, values)
            except BaseException as error:  # noqa: BLE001 (answered, or raised again, there)
                return self.failed(scope, error, start_response)

        return enter_route

    def failed(
        self, scope: RequestScope, error: BaseException, start_response: Callable[..., Any]
    ) -> Any:
        """Finish a request whose compiled function was left by an exception."""
        if scope.context is None:
            raise error  # the server refused a response that was whole: it is the server's
        code = self._finish(scope, error, start_response)
        del error  # a frame that holds its own exception is a cycle, and so are its callers'
        return scope.drive(code)

    def _raised(self, error: BaseException) -> bool:
        """Whether the compiled function itself raised an error, and nothing that it called."""
        last = error.__traceback__
        while last is not None and last.tb_next is not None:
            last = last.tb_next
        return last is not None and last.tb_frame.f_code is self.handle.__code__

    async def _finish(
        self, scope: RequestScope, error: BaseException, start_response: Callable[..., Any]
    ) -> Any:
        try:
            if type(error) is Resume:
                try:
                    return await interpret(self, scope, start_response, error)
                except BaseException as other:  # noqa: BLE001 (answered below)
                    error = other
            if isinstance(error, StopIteration) and self._raised(error):
                unyielding = FastAPIError(
                    "A dependency ended without a yield; it must yield once. Its line is above."
                )
                unyielding.__cause__ = error
                error = unyielding
            return await recover(scope, error, start_response)
        finally:
            del error  # a frame that holds its own exception is a cycle
