"""What HTTP says about a file on disk, apart from its content."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from email.utils import formatdate
from mimetypes import guess_type
from typing import Any, BinaryIO
from urllib.parse import quote

CHUNK_SIZE = 64 * 1024


def media_type_of(name: str | os.PathLike[str]) -> str:
    """The media type that a file's name suggests."""
    return guess_type(os.fspath(name))[0] or "application/octet-stream"


def content_disposition(kind: str, filename: str) -> str:
    """Tell the browser to save a file under a name (RFC 6266).

    Args:
        kind: ``attachment`` or ``inline``.
        filename: the name; characters beyond ASCII are encoded (RFC 8187).

    Example:
        >>> content_disposition("attachment", "naïve.txt")
        "attachment; filename*=utf-8''na%C3%AFve.txt"
    """
    quoted = quote(filename)
    if quoted == filename:
        return f'{kind}; filename="{filename}"'
    return f"{kind}; filename*=utf-8''{quoted}"


def validators(found: os.stat_result) -> dict[str, str]:
    """The fields by which a copy of a file is recognised (RFC 9110, section 8.8)."""
    tag = hashlib.md5(f"{found.st_mtime}-{found.st_size}".encode(), usedforsecurity=False)
    return {
        "Last-Modified": formatdate(found.st_mtime, usegmt=True),
        "ETag": f'"{tag.hexdigest()}"',
    }


def stat_of(path: str | os.PathLike[str]) -> os.stat_result:
    """Look a regular file up.

    Args:
        path: the file.

    Raises:
        RuntimeError: there is no such file, or it is a directory or the like (Starlette's rule).
    """
    try:
        found = os.stat(path)  # noqa: PTH116, a path may be a plain string
    except FileNotFoundError:
        raise RuntimeError(f"File at path {os.fspath(path)} does not exist.") from None
    if not stat.S_ISREG(found.st_mode):
        raise RuntimeError(f"File at path {os.fspath(path)} is not a file.")
    return found


class FilePart:
    """A part of an open file as a body; closing it closes the file.

    Args:
        file: the file.
        start: the offset of the first byte.
        size: how many bytes to send; a file that has become shorter ends earlier.
    """

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        file.seek(start)
        self._file = file
        self._left = size

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = self._file.read(min(self._left, CHUNK_SIZE))
        if not chunk:
            raise StopIteration
        self._left -= len(chunk)
        return chunk

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def file_body(environ: Mapping[str, Any], path: str | os.PathLike[str], size: int) -> Any:
    """A whole file as a body, by the server's own ``wsgi.file_wrapper`` where it has one.

    Args:
        environ: the request's WSGI environ.
        path: the file.
        size: the promised length.
    """
    file = open(path, "rb")  # noqa: PTH123, SIM115, the body closes it
    wrapper = environ.get("wsgi.file_wrapper")
    return FilePart(file, 0, size) if wrapper is None else wrapper(file, CHUNK_SIZE)
