"""What a type checker says of injected views; checked by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, assert_type

from flask import Flask

from wsgibg import BackgroundTasks, Depends, Injected, Query, wrap
from wsgibg.embedding import WrappedApp, inject


class Session:
    """What is injected."""


def get_session() -> Session:
    return Session()


flask = Flask(__name__)


@flask.get("/users/<int:user_id>")
@inject
def read_user(
    user_id: int,
    tasks: BackgroundTasks,
    session: Annotated[Session, Depends(get_session)],
    q: str = Query(""),
) -> dict[str, int]:
    """Flask takes what `inject` gives."""
    tasks.add_task(print, q)
    return {"id": user_id + id(session)}


@flask.get("/")
@inject
async def read_later(session: Session = Depends(get_session)) -> str:
    """An async view is a sync one then."""
    return str(id(session))


@inject
def plain(pk: int, session: Annotated[Session, Depends(get_session)] = Injected) -> int:
    return pk + id(session)


assert_type(plain, Callable[..., int])
assert_type(plain(1), int)
assert_type(read_later(), str)
assert_type(plain(1, session=Session()), int)

wrapped: WrappedApp = wrap(flask.wsgi_app)
assert_type(wrapped.dependency_overrides, dict[Any, Any])
wrapped.dependency_overrides[get_session] = Session
