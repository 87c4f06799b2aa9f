"""W6 in FastAPI's spelling: paths with a parameter, as many as the loader puts in."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

COUNT = 10

app = FastAPI()

for number in range(COUNT):

    @app.get(f"/kind/{number}/{{name}}", response_class=PlainTextResponse)
    def show(name: str) -> str:
        return name
