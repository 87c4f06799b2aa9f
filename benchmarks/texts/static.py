"""W6 in FastAPI's spelling: exact paths, as many as the loader puts in for the count."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

COUNT = 10

app = FastAPI()

for number in range(COUNT):

    @app.get(f"/static/{number}/page", response_class=PlainTextResponse)
    def page() -> str:
        return "found"
