"""The application, loaded by a process that has served a request by the time it forks."""

from __future__ import annotations

import werkzeug.test
from served import app, application

__all__ = ["application"]


client = werkzeug.test.Client(app)
client.get("/order", query_string={"job": "loading"}, buffered=True)
