"""Checked by mypy and pyright, never run: raising and reading errors.

A line that must be refused carries an ignore comment for each checker; both report an ignore that
is not needed, so a mistake that passes is an error here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_type

from werkzeug.exceptions import HTTPException as WerkzeugHTTPException

from wsgibg.exceptions import HTTPException, RequestValidationError

not_found = HTTPException(404, detail={"item": 3}, headers={"X-Error": "yes"})
assert_type(not_found.status_code, int)

caught_by_werkzeug: WerkzeugHTTPException = not_found

HTTPException("404")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
HTTPException()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

assert_type(RequestValidationError([]).errors(), Sequence[Any])
