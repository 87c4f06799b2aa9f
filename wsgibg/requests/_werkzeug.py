"""Werkzeug's request for an environ whose body may have been read already."""

from __future__ import annotations

from io import BytesIO
from typing import IO, Any

import werkzeug.wrappers
from werkzeug.datastructures import FileStorage
from werkzeug.datastructures import Headers as WerkzeugHeaders
from werkzeug.formparser import FormDataParser
from werkzeug.utils import cached_property

from wsgibg.datastructures import UploadFile
from wsgibg.requests._body import BODY_KEY, Spent, read_body
from wsgibg.requests._forms import read_form


class WerkzeugRequest(werkzeug.wrappers.Request):
    """Werkzeug's request; its body and form are those of our ``Request``, in either order.

    Args:
        environ: the request's WSGI environ; the request is not stored in it.
        max_content_length: the most bytes to accept; by default any number.
    """

    def __init__(self, environ: dict[str, Any], max_content_length: int | None = None) -> None:
        super().__init__(environ, populate_request=False)
        self.max_content_length = max_content_length

    @cached_property
    def stream(self) -> IO[bytes]:
        """The body as a file, read from the client as a whole; empty after the form was read."""
        if BODY_KEY not in self.environ and isinstance(self.environ["wsgi.input"], Spent):
            return BytesIO()
        return BytesIO(read_body(self.environ, self.max_content_length))

    def make_form_data_parser(self) -> FormDataParser:
        """Werkzeug's hook: called before the form is parsed."""
        read_form(self.environ, self.max_content_length)
        return _FormInEnviron(self.environ)


class _FormInEnviron(FormDataParser):
    """Gives Werkzeug the form that we have parsed."""

    def __init__(self, environ: dict[str, Any]) -> None:
        super().__init__()
        self.environ = environ

    def parse(
        self,
        stream: IO[bytes],
        mimetype: str,
        content_length: int | None,
        options: dict[str, str] | None = None,
    ) -> Any:
        items = read_form(self.environ).multi_items()
        fields = [(name, value) for name, value in items if isinstance(value, str)]
        files = [
            (name, _storage(name, value)) for name, value in items if isinstance(value, UploadFile)
        ]
        return stream, self.cls(fields), self.cls(files)


def _storage(name: str, upload: UploadFile) -> FileStorage:
    headers = WerkzeugHeaders(upload.headers.items())
    return FileStorage(upload.file, upload.filename, name, headers=headers)
