"""Reading a form from the body of a request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, NamedTuple, cast
from urllib.parse import unquote_plus

from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from wsgibg.datastructures import FormData, Headers, UploadFile
from wsgibg.exceptions import HTTPException
from wsgibg.requests._body import CHUNK_SIZE, iter_body, read_body

FORM_KEY = "wsgibg.form"
"""Where the environ keeps the form, which owns the uploaded files."""

# An uploaded file is kept in memory up to this size, as in Starlette.
_SPOOL_SIZE = 1024 * 1024
# More than a chunk with nothing to find in it means endless header fields.
_BUFFER_SIZE = 2 * CHUNK_SIZE
# RFC 2046, section 5.1.1, allows 70 characters. Looking for a very long one takes time.
_LONGEST_BOUNDARY = 200

Item = tuple[str, UploadFile | str]


class FormLimits(NamedTuple):
    """How much a form may hold; Starlette's limits.

    Args:
        max_files: how many files.
        max_fields: how many other fields.
        max_part_size: how many bytes one field may have; files have no limit of their own.
    """

    max_files: float = 1000
    max_fields: float = 1000
    max_part_size: int = 1024 * 1024


_DEFAULT_LIMITS = FormLimits()


def open_form(environ: dict[str, Any]) -> FormData | None:
    """The form that was read from this request, whose files somebody has to close; or None."""
    return environ.get(FORM_KEY)


def read_form(
    environ: dict[str, Any],
    max_content_length: int | None = None,
    limits: FormLimits = _DEFAULT_LIMITS,
) -> FormData:
    """Read the form; a second call returns the same one.

    Args:
        environ: the request's WSGI environ. The form is kept in it.
        max_content_length: the most bytes of the body to accept; by default any number.
        limits: the most files, fields and bytes in a field.

    Returns:
        The fields in the order in which they were sent; none where the body is not a form.

    Raises:
        HTTPException: 400, the form is malformed or exceeds the limits.
        werkzeug.exceptions.RequestEntityTooLarge: 413, the body is too long.
        werkzeug.exceptions.ClientDisconnected: 400, the body ends before its announced length.
        FastAPIError: the body was read in chunks before.
    """
    form = open_form(environ)
    if form is not None:
        return form
    media_type, options = parse_options_header(environ.get("CONTENT_TYPE"))
    media_type = media_type.lower()
    if media_type == "application/x-www-form-urlencoded":
        form = FormData(_urlencoded(read_body(environ, max_content_length), limits))
    elif media_type == "multipart/form-data":
        form = FormData(_multipart(iter_body(environ, max_content_length), options, limits))
    else:
        return FormData()
    environ[FORM_KEY] = form
    return form


def _urlencoded(body: bytes, limits: FormLimits) -> Iterator[Item]:
    for count, pair in enumerate(re.finditer(rb"[^&]+", body), start=1):
        if len(pair[0]) > limits.max_part_size + 1:  # the equals sign does not count
            raise _too_large("Field", limits)
        if count > limits.max_fields:
            raise _too_many("fields", limits.max_fields)
        name, _, value = pair[0].decode("utf-8", "replace").partition("=")
        yield unquote_plus(name), unquote_plus(value)


def _multipart(chunks: Iterator[bytes], options: dict[str, str], limits: FormLimits) -> list[Item]:
    boundary = options.get("boundary")
    if not boundary:
        raise HTTPException(400, "Missing boundary in multipart.")
    if len(boundary) > _LONGEST_BOUNDARY:
        raise HTTPException(400, "Invalid multipart data.")
    first = next(chunks, None)
    if first is None:  # an empty body is an empty form, as in Starlette
        return []
    marker = boundary.encode("latin-1", "replace")
    decoder = MultipartDecoder(marker, _BUFFER_SIZE)
    parts = _Parts(options.get("charset", "utf-8"), limits)
    try:
        for chunk in _with_whole_delimiters(chain([first], chunks), b"--" + marker):
            decoder.receive_data(chunk)
            parts.take(decoder)
        decoder.receive_data(None)
        parts.take(decoder)
    except BaseException as error:
        parts.discard()
        if isinstance(error, ValueError):
            raise HTTPException(400, "Invalid multipart data.") from error
        raise
    return parts.items


def _with_whole_delimiters(chunks: Iterable[bytes], delimiter: bytes) -> Iterator[bytes]:
    """Cut the chunks anew where one ends inside a delimiter's line.

    Werkzeug's decoder (3.1.9) takes the line break before such a delimiter for content.
    """
    held = b""
    for chunk in chunks:
        data = held + chunk
        cut = _unfinished(data, delimiter)
        held = data[cut:]
        if cut:
            yield data[:cut]
    if held:
        yield held


def _unfinished(data: bytes, delimiter: bytes) -> int:
    """Where a delimiter begins whose line goes on behind the data; their length if none does."""
    place = data.find(b"-", max(0, len(data) - len(delimiter) - 1))
    while place >= 0:
        tail = data[place:]
        if tail == delimiter + b"\r" or (delimiter + b"--").startswith(tail):
            return place
        place = data.find(b"-", place + 1)
    return len(data)


class _Parts:
    """The parts of a multipart body as they arrive."""

    def __init__(self, charset: str, limits: FormLimits) -> None:
        self.items: list[Item] = []
        self.charset = charset
        self.limits = limits
        self.files = self.fields = 0
        # The part that is being read: a file, or the bytes of a field.
        self.file: UploadFile | None = None
        self.name = ""
        self.data = bytearray()

    def take(self, decoder: MultipartDecoder) -> None:
        """Take every event that the decoder has ready."""
        while not isinstance(event := decoder.next_event(), NeedData | Epilogue):
            if isinstance(event, File | Field):
                self._begin(event)
            elif isinstance(event, Data):
                self._add(event.data)
                if not event.more_data:
                    self._end()

    def discard(self) -> None:
        """Close the files of a form that failed."""
        for upload in FormData(self.items).uploads():
            upload.file.close()
        if self.file is not None:
            self.file.file.close()

    def _begin(self, part: File | Field) -> None:
        if part.name is None:
            raise HTTPException(
                400, 'The Content-Disposition header field "name" must be provided.'
            )
        self.name = part.name
        self.data.clear()
        if isinstance(part, Field):
            self.fields += 1
            if self.fields > self.limits.max_fields:
                raise _too_many("fields", self.limits.max_fields)
            return
        self.files += 1
        if self.files > self.limits.max_files:
            raise _too_many("files", self.limits.max_files)
        file = SpooledTemporaryFile(_SPOOL_SIZE)  # noqa: SIM115, the form owns it
        self.file = UploadFile(
            cast(BinaryIO, file),
            size=0,
            filename=part.filename,
            headers=Headers(list(part.headers)),
        )

    def _add(self, data: bytes) -> None:
        if self.file is not None:
            self.file.file.write(data)
            self.file.size = (self.file.size or 0) + len(data)
        elif len(self.data) + len(data) > self.limits.max_part_size:
            raise _too_large("Part", self.limits)
        else:
            self.data += data

    def _end(self) -> None:
        if self.file is None:
            self.items.append((self.name, self._text()))
        else:
            self.file.file.seek(0)
            self.items.append((self.name, self.file))
            self.file = None

    def _text(self) -> str:
        try:
            return self.data.decode(self.charset)
        except (LookupError, UnicodeDecodeError):
            return self.data.decode("latin-1")


# The words are Starlette's: they are part of the answer.
def _too_many(what: str, most: float) -> HTTPException:
    return HTTPException(400, f"Too many {what}. Maximum number of {what} is {most}.")


def _too_large(what: str, limits: FormLimits) -> HTTPException:
    return HTTPException(
        400, f"{what} exceeded maximum size of {int(limits.max_part_size / 1024)}KB."
    )
