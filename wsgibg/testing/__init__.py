"""A client for tests: what it returns from has ended, tasks included."""

from __future__ import annotations

from wsgibg.testing._client import ClientOptions, TestClient
from wsgibg.testing._cookies import ClientCookies
from wsgibg.testing._request import RequestOptions
from wsgibg.testing._response import HTTPStatusError, ResponseHeaders, TestResponse

__all__ = [
    "ClientCookies",
    "ClientOptions",
    "HTTPStatusError",
    "RequestOptions",
    "ResponseHeaders",
    "TestClient",
    "TestResponse",
]
