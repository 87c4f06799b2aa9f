"""What a task may know of the request that added it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from flask import Flask, current_app, has_request_context, request
from werkzeug.datastructures import EnvironHeaders, ImmutableMultiDict

__all__ = ["RequestSnapshot", "Snapshots", "current_request", "snapshot_var"]


@dataclass(frozen=True, slots=True)
class RequestSnapshot:
    """A request as it was when a task was added: values that stay when the request is gone.

    Files and a body that is no form are left out; pass what a task needs of them.

    Args:
        method: such as ``"POST"``.
        url: the whole URL.
        path: the path below the application's root.
        endpoint: the name of the view, if one was found.
        view_args: what the view was called with.
        args: the query.
        form: the fields of the form.
        headers: the headers.
        cookies: the cookies.
        remote_addr: the client's address.
        user_id: what ``BackgroundTasks(user_id=...)`` has returned.
    """

    method: str
    url: str
    path: str
    endpoint: str | None
    view_args: Mapping[str, Any]
    args: ImmutableMultiDict[str, str]
    form: ImmutableMultiDict[str, str]
    headers: EnvironHeaders
    cookies: ImmutableMultiDict[str, str]
    remote_addr: str | None
    user_id: Any


@dataclass(frozen=True)
class Snapshots:
    """What an application wants its tasks to know of requests.

    Args:
        wanted: whether they know anything.
        user_id: who is signed in, asked while the request is handled.
    """

    wanted: bool
    user_id: Callable[[], Any] | None

    def take(self) -> RequestSnapshot:
        """Note the request that is being handled."""
        kept = ("CONTENT_TYPE", "CONTENT_LENGTH")
        environ = {
            name: value
            for name, value in request.environ.items()
            if name in kept or name.startswith("HTTP_")
        }
        return RequestSnapshot(
            method=request.method,
            url=request.url,
            path=request.path,
            endpoint=request.endpoint,
            view_args=MappingProxyType(dict(request.view_args or {})),
            args=ImmutableMultiDict(request.args),
            form=ImmutableMultiDict(request.form),
            headers=EnvironHeaders(environ),
            cookies=ImmutableMultiDict(request.cookies),
            remote_addr=request.remote_addr,
            user_id=self.user_id() if self.user_id is not None else None,
        )


#: The request that a task was added in.
snapshot_var: ContextVar[RequestSnapshot | None] = ContextVar("wsgibg.flask.snapshot", default=None)


def snapshots_of(app: Flask) -> Snapshots | None:
    """What an application wants its tasks to know of requests; None if nothing."""
    found = getattr(app.extensions.get("wsgibg"), "snapshots", None)
    return found if isinstance(found, Snapshots) and found.wanted else None


def current_request() -> RequestSnapshot:
    """The request that the running task was added in, as it was then.

    In a view it is the request that is being handled, so that a function works in both.

    Returns:
        The snapshot, which cannot be changed.

    Raises:
        RuntimeError: there is none.
    """
    if has_request_context():
        wanted = snapshots_of(current_app)
        if wanted is not None:
            return wanted.take()
    elif (found := snapshot_var.get()) is not None:
        return found
    msg = (
        "current_request() knows of no request here. It is for views and for tasks that were"
        " added in one, of an application with BackgroundTasks(app, request_snapshot=True)."
    )
    raise RuntimeError(msg)
