"""A test's request, in httpx's words or Werkzeug's, as Werkzeug's `EnvironBuilder`."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import IO, Any, TypedDict
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from werkzeug.datastructures import Authorization, FileStorage, Headers
from werkzeug.test import EnvironBuilder

__all__ = ["Pairs", "RequestOptions", "build", "header_list", "redirected", "url_of"]

Pairs = Mapping[str, Any] | Iterable[tuple[str, Any]]


class RequestOptions(TypedDict, total=False):
    """What describes a request: httpx's options, and those of Werkzeug's `EnvironBuilder`.

    Of httpx: ``params``, ``json``, ``content``, ``data`` (a form; text or bytes are sent as they
    are), ``files``, ``headers``, ``cookies`` (for this request, besides the client's), ``auth``,
    ``follow_redirects``. ``timeout`` and ``extensions`` are taken and mean nothing: there is no
    network.

    Of Werkzeug: ``query_string``, ``base_url`` (its path is the ``SCRIPT_NAME``), ``buffered``
    (whether the response is read and closed, which is the default), and the others.
    """

    params: Pairs | str | bytes | None
    json: Any
    content: Any
    data: Any
    files: Any
    headers: Pairs | None
    cookies: Pairs | None
    auth: tuple[str, str] | Authorization | None
    follow_redirects: bool | None
    timeout: Any
    extensions: Any

    query_string: Mapping[str, Any] | str | None
    base_url: str | None
    buffered: bool
    input_stream: IO[bytes] | None
    content_type: str | None
    content_length: int | None
    errors_stream: IO[str] | None
    multithread: bool
    multiprocess: bool
    run_once: bool
    environ_base: Mapping[str, Any] | None
    environ_overrides: Mapping[str, Any] | None
    mimetype: str | None


def build(
    url: str,
    options: dict[str, Any],
    *,
    base_url: str,
    root_path: str,
    headers: Headers,
    environ: Mapping[str, Any],
) -> EnvironBuilder:
    """Make a builder.

    Args:
        url: absolute, or to be joined to the base URL.
        options: see `RequestOptions`; without those that are no part of the request.
        base_url: the client's.
        root_path: the client's ``SCRIPT_NAME``.
        headers: the client's.
        environ: further items of the environ.
    """
    given = urlsplit(url)
    base = urlsplit(options.pop("base_url", None) or base_url)
    path = given.path
    if given.netloc:
        base = given
    elif base.geturl() == base_url and base.path.strip("/"):  # httpx joins it to the path
        path = f"{base.path.rstrip('/')}/{path.lstrip('/')}"
        base = base._replace(path="")
    script_name = root_path if base is given or not base.path.strip("/") else base.path
    query = _query(options.pop("params", None))
    if query is None:
        query = options.pop("query_string", None)
    if query is None:
        query = given.query
    merged = Headers(headers)
    for name, value in _merging(merged, header_list(options.pop("headers", None))):
        merged.add(name, value)
    options["environ_base"] = {**environ, **(options.pop("environ_base", None) or {})}
    _add_cookies(merged, options.pop("cookies", None))
    _add_body(merged, options)
    return EnvironBuilder(
        f"/{path.lstrip('/')}" if not path.startswith("/") else path,
        base_url=urlunsplit((base.scheme or "http", base.netloc, script_name, "", "")),
        query_string=query,
        headers=merged,
        **options,
    )


def url_of(environ: Mapping[str, Any]) -> str:
    """The URL that the client asked for, whatever its ``Host`` header said."""
    scheme: str = environ["wsgi.url_scheme"]
    host: str = environ["SERVER_NAME"]
    port = str(environ["SERVER_PORT"])
    if port != {"http": "80", "https": "443"}.get(scheme):
        host = f"{host}:{port}"
    path = f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}"
    query: str = environ.get("QUERY_STRING", "")
    path = quote(path.encode("latin-1"), safe="/!$&'()*+,;=:@~")
    return urlunsplit((scheme, host, path, query, ""))


def header_list(headers: Pairs | None) -> list[tuple[str, str]]:
    """Headers as pairs of text."""
    return [(_text(name), _text(value)) for name, value in _pairs(headers)]


def _merging(known: Headers, given: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Make room for headers that replace those of the client."""
    for name, _ in given:
        known.remove(name)
    return given


def _pairs(given: Pairs | None) -> Iterator[tuple[str, Any]]:
    if given is None:
        return
    items = getattr(given, "multi_items", None) or getattr(given, "items", None)
    yield from given if items is None else items()  # type: ignore[misc]  # pairs, in either form


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return str(value)


def _plain(value: Any) -> str:
    """A value of a query or a form as httpx writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _flat(given: Pairs) -> Iterator[tuple[str, str]]:
    for name, value in _pairs(given):
        for each in value if isinstance(value, (list, tuple)) else [value]:
            yield name, _plain(each)


def _query(params: Pairs | str | bytes | None) -> str | None:
    if params is None:
        return None
    if isinstance(params, (str, bytes)):
        return _text(params).removeprefix("?")
    return urlencode(list(_flat(params)))


def _add_cookies(headers: Headers, cookies: Pairs | None) -> None:
    given = [f"{name}={_text(value)}" for name, value in _pairs(cookies)]
    if given:
        headers["Cookie"] = "; ".join([*headers.getlist("Cookie"), *given])


# ------------------------------------------------------------------ the body
def _add_body(headers: Headers, options: dict[str, Any]) -> None:
    """Replace httpx's options for the body by Werkzeug's."""
    content = options.pop("content", None)
    data, files = options.get("data"), options.pop("files", None)
    given = options.pop("json", None)
    if given is not None:
        if data is not None or content is not None or files:
            raise TypeError("A request has one body: give json, or data and files, or content.")
        content = json.dumps(given, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        headers.setdefault("Content-Type", "application/json")
    if content is not None:
        options["data"] = _bytes(content)
        return
    if files or isinstance(data, (Mapping, list, tuple)):
        options["data"] = _form(data or (), files)
        if files:
            headers.setdefault("Content-Type", "multipart/form-data")


def _bytes(content: Any) -> bytes:
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, bytes):
        return content
    if hasattr(content, "read"):
        return _bytes(content.read())
    return b"".join(content)


def _form(data: Pairs, files: Any) -> dict[str, list[Any]]:
    form: dict[str, list[Any]] = {}
    for name, value in _pairs(data):
        # Werkzeug's way to send a file: the stream, or a tuple that begins with it.
        is_file = hasattr(value, "read") or (
            isinstance(value, tuple) and value and hasattr(value[0], "read")
        )
        several = isinstance(value, (list, tuple)) and not is_file
        for each in value if several else [value]:
            plain = not is_file and not hasattr(each, "read") and not isinstance(each, tuple)
            form.setdefault(name, []).append(_plain(each) if plain else each)
    for name, value in _pairs(files):
        form.setdefault(name, []).append(_file(name, value))
    return form


def _file(field: str, given: Any) -> Any:
    """A file as httpx describes it: its content, or ``(filename, content, type, headers)``."""
    name: str | None
    if isinstance(given, tuple):
        name, content, *more = given
    else:
        name, content, more = Path(str(getattr(given, "name", "upload"))).name, given, []
    kind = more[0] if more else None
    if name is None and kind is None and isinstance(content, (str, bytes)):
        return content if isinstance(content, str) else content.decode()
    stream = content if hasattr(content, "read") else BytesIO(_bytes(content))
    guessed = mimetypes.guess_type(name or "")[0] or "application/octet-stream"
    headers = Headers(header_list(more[1])) if len(more) > 1 else None
    if headers is not None and kind is None:
        kind = headers.get("Content-Type")
    return FileStorage(stream, name, field, kind or guessed, headers=headers)


# ------------------------------------------------------------------ redirects
def redirected(environ: dict[str, Any], status: int, location: str) -> EnvironBuilder:
    """The request that follows a redirect, by httpx's rules.

    Args:
        environ: the environ of the request that was redirected.
        status: the redirect's status.
        location: where it leads; relative to the request.
    """
    stream = environ["wsgi.input"]
    known = {name: environ[name] for name in ("REMOTE_ADDR", "REMOTE_PORT") if name in environ}
    builder = EnvironBuilder.from_environ(environ, environ_base=known)
    target = urlsplit(location)
    if target.netloc and target.netloc != builder.host:
        builder.headers.pop("Authorization", None)
        builder.host, builder.url_scheme = target.netloc, target.scheme or builder.url_scheme
    elif target.scheme:
        builder.url_scheme = target.scheme
    path = target.path or "/"
    if not path.startswith("/"):
        path = f"{builder.script_root}{builder.path}".rpartition("/")[0] + "/" + path
    root = builder.script_root
    if root and (path == root or path.startswith(root + "/")):
        path = path[len(root) :]
    else:
        builder.script_root = ""
    builder.path = builder.request_uri = path or "/"
    builder.query_string = target.query
    builder.headers.pop("Cookie", None)
    kept = status in (307, 308) or builder.method == "HEAD"
    if not kept and (status != 301 or builder.method == "POST"):
        builder.method = "GET"
        builder.input_stream = builder.content_type = builder.content_length = None
        builder.headers.pop("Transfer-Encoding", None)
    else:
        stream.seek(0)
    return builder
