"""wsgibg: FastAPI's texts with the imports changed, so both run the same application."""

from __future__ import annotations

from benchmarks.peers import Peer
from benchmarks.peers._texts import Substitution, manual_site, sites
from wsgibg import App  # noqa: F401 (asked for here, so that its absence leaves the peer out)

PORT: tuple[Substitution, ...] = (
    (r"^from fastapi import (.*)\bFastAPI\b", r"from wsgibg import \1App as FastAPI"),
    (r"^from fastapi\b", "from wsgibg"),
)
HOP: Substitution = (r"^app = FastAPI\(\)", "app = FastAPI(async_inline=False)")
"""Sends every async step to the loop's thread instead of running it where the request is."""

PEERS = (
    Peer("wsgibg", "wsgi", sites(*PORT), lists_errors=True),
    Peer("wsgibg-manual", "wsgi", manual_site(*PORT), lists_errors=True),
    Peer("wsgibg-manual-hop", "wsgi", manual_site(*PORT, HOP), lists_errors=True),
)
