"""Uploaded files with the form they came in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO, Self

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from wsgibg.datastructures._headers import Headers
from wsgibg.datastructures._multidict import ImmutableMultiDict


class UploadFile:
    """One file of a ``multipart/form-data`` body.

    The methods are FastAPI's: to be awaited, in ``async def`` code. They work at once, in the
    calling thread. Plain code uses ``.file``, an ordinary binary file.

    Args:
        file: the binary file that holds the content.
        size: its size in bytes.
        filename: the name the client gave it. Never use it as a path.
        headers: the header fields of its part of the body.

    Example:
        >>> import io
        >>> upload = UploadFile(io.BytesIO(b"hello"), size=5, filename="hello.txt")
        >>> upload.file.read()
        b'hello'
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        size: int | None = None,
        filename: str | None = None,
        headers: Headers | None = None,
    ) -> None:
        self.file = file
        self.size = size
        self.filename = filename
        self.headers: Headers = Headers() if headers is None else headers

    @property
    def content_type(self) -> str | None:
        """The media type the client gave, for example ``image/png``."""
        return self.headers.get("content-type")

    async def write(self, data: bytes) -> None:
        """Write bytes at the current position."""
        if self.size is not None:
            self.size += len(data)
        self.file.write(data)

    async def read(self, size: int = -1) -> bytes:
        """Read so many bytes from the current position, by default all that follow."""
        return self.file.read(size)

    async def seek(self, offset: int) -> None:
        """Move to a position, in bytes from the beginning."""
        self.file.seek(offset)

    async def close(self) -> None:
        """Close the file; its content is gone then."""
        self.file.close()

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(filename={self.filename!r}, size={self.size!r}, "
            f"headers={self.headers!r})"
        )

    @classmethod
    def _validate(cls, value: Any, _info: core_schema.ValidationInfo) -> Self:
        if not isinstance(value, UploadFile):
            # FastAPI's words: they are part of the body of the 422 answer.
            raise ValueError(f"Expected UploadFile, received: {type(value)}")  # noqa: TRY004
        return value  # type: ignore[return-value]  # the parser makes no subclasses

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Any], handler: Callable[[Any], CoreSchema]
    ) -> CoreSchema:
        """Tell pydantic to accept instances and nothing else."""
        return core_schema.with_info_plain_validator_function(cls._validate)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe a file to OpenAPI 3.1 as FastAPI does."""
        return {"type": "string", "contentMediaType": "application/octet-stream"}


class FormData(ImmutableMultiDict[str, UploadFile | str]):
    """The fields of a form, with its files; it owns the files.

    Args:
        items: a mapping or pairs.
        kwargs: more pairs.
    """

    __slots__ = ()

    def uploads(self) -> list[UploadFile]:
        """The files, in order."""
        return [value for _, value in self._list if isinstance(value, UploadFile)]

    def close_files(self) -> None:
        """Close every file; for plain code."""
        for upload in self.uploads():
            upload.file.close()

    async def close(self) -> None:
        """Close every file; to be awaited, as in Starlette."""
        self.close_files()
