"""W5 in FastAPI's spelling: ten dependencies, `domain.overview` is the same by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header

from benchmarks.domain import LOG

app = FastAPI()

# ---------------------------------------------------------------- third level


def get_settings() -> dict[str, int]:
    return {"page_size": 20}


def get_clock() -> int:
    return 1200


def get_connection() -> Iterator[dict[str, str]]:
    try:
        yield {"region": "eu"}
    finally:
        LOG.append("connection closed")


Settings = Annotated[dict[str, int], Depends(get_settings)]
Clock = Annotated[int, Depends(get_clock)]
Connection = Annotated[dict[str, str], Depends(get_connection)]

# ---------------------------------------------------------------- second level


def get_session(connection: Connection, settings: Settings) -> Iterator[dict[str, Any]]:
    try:
        yield {"connection": connection, "size": settings["page_size"]}
    finally:
        LOG.append("session closed")


def get_user(authorization: Annotated[str, Header()], connection: Connection) -> str:
    return authorization + "@" + connection["region"]


def get_limits(settings: Settings, clock: Clock) -> int:
    return settings["page_size"] + clock


Session = Annotated[dict[str, Any], Depends(get_session)]
User = Annotated[str, Depends(get_user)]
Limits = Annotated[int, Depends(get_limits)]

# ---------------------------------------------------------------- first level


def get_page(number: int, settings: Settings) -> int:
    return number * settings["page_size"]


def get_account(user: User, session: Session) -> tuple[str, int]:
    return (user, session["size"])


def get_audit(user: User, clock: Clock) -> tuple[str, int]:
    return (user, clock)


def get_permissions(user: User, limits: Limits) -> tuple[str, int]:
    return (user, limits)


@app.get("/overview")
def overview(
    page: Annotated[int, Depends(get_page)],
    account: Annotated[tuple[str, int], Depends(get_account)],
    audit: Annotated[tuple[str, int], Depends(get_audit)],
    permissions: Annotated[tuple[str, int], Depends(get_permissions)],
) -> dict[str, Any]:
    return {"page": page, "account": account, "audit": audit, "permissions": permissions}
