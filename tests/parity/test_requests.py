"""A request says what Starlette's says of the same request."""

from __future__ import annotations

import io
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import UploadFile as StarletteUpload
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import Request as StarletteRequest
from starlette.requests import cookie_parser

from wsgibg.datastructures import UploadFile
from wsgibg.exceptions import HTTPException
from wsgibg.requests import Request, parse_cookies


def finish(coroutine: Any) -> Any:
    """What a coroutine returns that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")


def starlette_request(body: bytes, kind: str, query: str = "") -> StarletteRequest:
    """The request as an ASGI server would describe it."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    scope = {
        "type": "http",
        "app": None,
        "method": "POST",
        "query_string": query.encode("latin-1"),
        "headers": [(b"content-type", kind.encode("latin-1"))],
    }
    return StarletteRequest(scope, receive)


def our_request(body: bytes, kind: str, query: str = "") -> Request:
    """The request as a WSGI server would describe it."""
    return Request(
        {
            "REQUEST_METHOD": "POST",
            "QUERY_STRING": query,
            "CONTENT_TYPE": kind,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
        }
    )


def read(form: Any) -> list[Any]:
    """A form as plain values; its files are closed."""
    items = []
    for name, value in form.multi_items():
        if isinstance(value, UploadFile | StarletteUpload):
            content = value.file.read()
            value.file.close()
            items.append((name, value.filename, value.size, value.content_type, content))
        else:
            items.append((name, value))
    return items


def outcome(request: Any, **limits: Any) -> Any:
    """The form, or the answer that reading it ends with."""
    try:
        return read(finish(request.form(**limits).__await__()))
    except (HTTPException, StarletteHTTPException) as error:
        return error.status_code, error.detail


LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "max_fields": st.integers(0, 3),
        "max_files": st.integers(0, 3),
        "max_part_size": st.integers(0, 6),
    },
)


@settings(max_examples=300)
@given(body=st.text("ab=&;+%C3A4 ", max_size=30), limits=LIMITS)
def test_urlencoded_forms_are_starlettes(body: str, limits: dict[str, Any]) -> None:
    """With the same limits and the same words where one is exceeded."""
    limits.pop("max_part_size", None)
    kind = "application/x-www-form-urlencoded"
    theirs = outcome(starlette_request(body.encode(), kind), **limits)
    assert outcome(our_request(body.encode(), kind), **limits) == theirs


PARTS = st.lists(
    st.tuples(
        st.sampled_from([None, "a", "b"]),
        st.none() | st.sampled_from(["", "a.txt"]),
        st.none() | st.sampled_from(["text/plain", "image/png"]),
        st.sampled_from([b"", b"1", b"\xc3\xa4", b"\xff", b"seven..", b"\r\n--x"]),
    ),
    max_size=4,
)


@settings(max_examples=300)
@given(parts=PARTS, limits=LIMITS, charset=st.sampled_from(["", "; charset=latin-1"]))
def test_multipart_forms_are_starlettes(
    parts: list[Any], limits: dict[str, Any], charset: str
) -> None:
    """Fields, files, names, sizes, types, limits; a part without a name."""
    body = b""
    for name, filename, kind, content in parts:
        body += b"--xyz\r\nContent-Disposition: form-data"
        body += f'; name="{name}"'.encode() if name is not None else b""
        body += f'; filename="{filename}"'.encode() if filename is not None else b""
        body += f"\r\nContent-Type: {kind}".encode() if kind else b""
        body += b"\r\n\r\n" + content + b"\r\n"
    body += b"--xyz--\r\n"
    kind = f"multipart/form-data; boundary=xyz{charset}"
    theirs = outcome(starlette_request(body, kind), **limits)
    assert outcome(our_request(body, kind), **limits) == theirs


@given(kind=st.sampled_from(["", "text/plain", "multipart/form-data", "MULTIPART/FORM-DATA"]))
def test_what_is_no_form_is_starlettes(kind: str) -> None:
    """An empty form, or a 400 where the delimiter is missing."""
    assert outcome(our_request(b"a=1", kind)) == outcome(starlette_request(b"a=1", kind))


@given(st.text('ab=; "\\012,é', max_size=20))
def test_cookies_are_starlettes(field: str) -> None:
    """Whatever is in the field."""
    assert parse_cookies(field) == cookie_parser(field)


@given(st.text("ab=&+%C3A4é;", max_size=20))
def test_query_parameters_are_starlettes(query: str) -> None:
    """Also bytes that should have been escaped."""
    ours, theirs = our_request(b"", "", query), starlette_request(b"", "", query)
    assert ours.query_params.multi_items() == theirs.query_params.multi_items()
