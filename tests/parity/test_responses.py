"""A response sends what Starlette's sends."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette import responses as theirs

from wsgibg import responses as ours

GET = {"REQUEST_METHOD": "GET"}
# Starlette sends these with their type, which RFC 9110 has no use for.
BODILESS = (101, 204, 304)


def sent_by_us(response: ours.Response) -> Any:
    """Status, fields (names in lower case, sorted) and body."""
    status, pairs, body = response.start(GET)
    fields = sorted((name.lower(), value) for name, value in pairs)
    return int(status[:3]), fields, b"".join(body)  # type: ignore[arg-type]


def sent_by_starlette(response: theirs.Response) -> Any:
    """The same of an ASGI response, but for what a bodiless one carries too much."""
    fields = sorted(
        (name.decode(), value.decode("latin-1")) for name, value in response.raw_headers
    )
    if response.status_code not in BODILESS:
        return response.status_code, fields, bytes(response.body)
    fields = [one for one in fields if one[0] not in ("content-type", "content-length")]
    return response.status_code, fields, b""


CLASSES = ["Response", "HTMLResponse", "PlainTextResponse", "JSONResponse"]
HEADERS = st.none() | st.dictionaries(
    st.sampled_from(["X-Tag", "x-other", "Content-Type", "Vary"]), st.sampled_from(["1", "text/x"])
)


@settings(max_examples=300)
@given(
    kind=st.sampled_from(CLASSES),
    content=st.none() | st.sampled_from(["", "hä", "<p>"]),
    code=st.sampled_from([101, 200, 201, 204, 205, 304, 404, 500, 299]),
    headers=HEADERS,
    media_type=st.sampled_from([None, "text/x", "image/png", "text/x; Charset=latin-1"]),
)
def test_responses_are_starlettes(
    kind: str, content: Any, code: int, headers: Any, media_type: str | None
) -> None:
    """Any class, content, status, fields and type."""
    args = (content, code, headers, media_type)
    one, other = getattr(ours, kind)(*args), getattr(theirs, kind)(*args)
    assert sent_by_us(one) == sent_by_starlette(other)
    one, other = getattr(ours, kind)(*args), getattr(theirs, kind)(*args)
    for response in (one, other):
        response.headers["X-More"] = "1"
        response.headers.setdefault("vary", "Origin")
    assert sent_by_us(one) == sent_by_starlette(other)


@given(
    url=st.text('/a?#=&% ä:@[]"<>\\\r\n', max_size=12),
    code=st.sampled_from([302, 303, 307]),
    headers=HEADERS,
)
def test_redirects_are_starlettes(url: str, code: int, headers: Any) -> None:
    """Whatever has to be escaped."""
    one = ours.RedirectResponse(url, code, headers)
    assert sent_by_us(one) == sent_by_starlette(theirs.RedirectResponse(url, code, headers))


COOKIES = st.fixed_dictionaries(
    {"key": st.sampled_from(["a", "session-id"])},
    optional={
        "value": st.text('ab ;="\\,ä', max_size=6),
        "max_age": st.sampled_from([None, 0, 60]),
        "expires": st.sampled_from([None, "Wed, 21 Oct 2015 07:28:00 GMT"]),
        "path": st.sampled_from([None, "/", "/x"]),
        "domain": st.sampled_from([None, "example.org"]),
        "secure": st.booleans(),
        "httponly": st.booleans(),
        "samesite": st.sampled_from([None, "lax", "strict", "none"]),
    },
)


@settings(max_examples=300)
@given(options=COOKIES)
def test_cookies_are_starlettes(options: dict[str, Any]) -> None:
    """Every attribute, in any combination."""
    one, other = ours.Response(), theirs.Response()
    for response in (one, other):
        response.set_cookie(**options)  # type: ignore[attr-defined]
    assert one.headers.getlist("set-cookie") == other.headers.getlist("set-cookie")


@pytest.mark.parametrize("options", [{}, {"path": "/x", "domain": "example.org", "secure": True}])
def test_deleted_cookies_are_starlettes(options: dict[str, Any]) -> None:
    """But for the second in which they expire."""
    one, other = ours.Response(), theirs.Response()
    for response in (one, other):
        response.delete_cookie("a", **options)  # type: ignore[attr-defined]
    ours_says, theirs_says = (
        [part for part in response.headers["set-cookie"].split("; ") if "expires" not in part]
        for response in (one, other)
    )
    assert ours_says == theirs_says


@pytest.mark.parametrize("filename", [None, "a.css", "naïve.txt", 'a "b".png'])
@pytest.mark.parametrize("kind", ["attachment", "inline"])
def test_files_are_described_as_starlettes(tmp_path: Path, filename: str | None, kind: str) -> None:
    """Type, name, length, time and tag."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"hello")
    os.utime(path, (1e9 + 0.25, 1e9 + 0.25))
    options: dict[str, Any] = {
        "filename": filename,
        "content_disposition_type": kind,
        "stat_result": path.stat(),
    }
    one, other = ours.FileResponse(path, **options), theirs.FileResponse(path, **options)
    expected = dict(other.headers)
    # Ranges are not served yet.
    expected.pop("accept-ranges", None)
    assert dict(one.headers) == expected
