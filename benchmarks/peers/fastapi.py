"""FastAPI: all `async def` (its best), all `def`, and W3 in its manual's mixture."""

from __future__ import annotations

import fastapi  # noqa: F401 (asked for here, so that its absence leaves the peer out)

from benchmarks.peers import Peer
from benchmarks.peers._texts import ASYNC, manual_site, sites

PEERS = (
    Peer("fastapi-async", "asgi", sites(ASYNC), lists_errors=True),
    Peer("fastapi-def", "asgi", sites(), lists_errors=True),
    Peer("fastapi-manual", "asgi", manual_site(), lists_errors=True),
)
