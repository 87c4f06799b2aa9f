"""The request as handlers see it."""

from __future__ import annotations

from wsgibg.requests._body import iter_body, read_body
from wsgibg.requests._cookies import parse_cookies
from wsgibg.requests._forms import open_form, read_form
from wsgibg.requests._request import Request

__all__ = ["Request", "iter_body", "open_form", "parse_cookies", "read_body", "read_form"]
