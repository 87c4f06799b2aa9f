"""A Django response that ends its request when it is closed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Self

from wsgibg._ending import rescue
from wsgibg._foreign import ForeignScope, ForeignTasks
from wsgibg.background import source_var

__all__ = ["end_with"]


class _Chunks(list[bytes]):
    """The content of a response, which knows whether it was sent."""

    sent: Any = None

    def __iter__(self) -> Iterator[bytes]:
        # Each iterator tells how much is left; reading the content again is no news.
        iterator = super().__iter__()
        self.sent = self.sent or iterator
        return iterator

    @property
    def unfinished(self) -> bool:
        """Whether somebody began to iterate, and did not come to the end."""
        return self.sent is not None and self.sent.__length_hint__() > 0


class _Steps:
    """The body of a streamed response, each step of which is a part of its request."""

    def __init__(self, body: Any, scope: ForeignScope) -> None:
        self.body = body
        self.scope = scope
        self.unfinished = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        self.unfinished = True
        try:
            return self.scope.inside(next, self.body)
        except StopIteration:
            self.unfinished = False
            raise
        except BaseException as error:
            self.scope.broke(error)
            raise


class _AsyncSteps(_Steps):
    """The same for an async body."""

    __iter__ = None  # type: ignore[assignment]  # (by that Django tells one from the other)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        self.unfinished = True
        before = source_var.get()
        source_var.set(self.scope.tasks)
        try:
            return await anext(self.body)
        except StopAsyncIteration:
            self.unfinished = False
            raise
        except BaseException as error:
            self.scope.broke(error)
            raise
        finally:
            source_var.set(before)


class _Close:
    """Stands in for a response's ``close``: that first, then the end of the request, once.

    Django's own end comes before the tasks: the response's resources are closed and
    ``request_finished`` is sent, so a task that takes long keeps no connection of the request.
    """

    def __init__(
        self, response: Any, body: _Chunks | _Steps, tasks: ForeignTasks, scope: ForeignScope
    ) -> None:
        self._response = response
        self._close: Callable[[], object] = response.close
        self._body = body
        self._tasks = tasks
        self._scope: ForeignScope | None = scope

    def __call__(self) -> None:
        scope, self._scope = self._scope, None
        response, self._response = self._response, None
        if scope is None:
            return
        if vars(response).get("close") is self:
            del response.close  # (a circle otherwise)
        close = self._close
        del self._close, response
        try:
            scope.inside(close)
        finally:
            self._tasks.environ = None
            scope.end_foreign(delivered=not self._body.unfinished)

    def __del__(self) -> None:
        if self._scope is not None:
            rescue(self._scope, self)


def end_with(response: Any, tasks: ForeignTasks, scope: ForeignScope) -> None:
    """Have a request end when its response is closed.

    Args:
        response: a Django response.
        tasks: the request's collector.
        scope: the request.
    """
    body: _Chunks | _Steps = _Chunks()
    if not response.streaming:
        if hasattr(response, "_container"):  # (a class of the project's own may do without)
            body = response._container = _Chunks(response._container)
    else:
        if tasks.tasks and hasattr(response, "file_to_stream"):
            response.file_to_stream = None  # not every server closes a file that it sends itself
        kind = _AsyncSteps if response.is_async else _Steps
        # Not by way of `streaming_content`: a FileResponse would forget its file.
        body = response._iterator = kind(response._iterator, scope)
    response.close = _Close(response, body, tasks, scope)
