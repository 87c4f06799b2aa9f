"""An application whose pool and loop have run tasks by the time the process forks."""

from __future__ import annotations

import werkzeug.test
from stopping import app

__all__ = ["app"]


client = werkzeug.test.Client(app)
for number in range(2):
    query = {"job": "loading", "number": number, "seconds": 0}
    client.get("/work", query_string=query, buffered=True)
app.drain(10)
