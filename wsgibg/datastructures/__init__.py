"""The small values that requests and responses are made of.

The classes have the faces of ``fastapi.datastructures`` and ``starlette.datastructures``.
"""

from __future__ import annotations

from wsgibg.datastructures._headers import EnvironHeaders, Headers, MutableHeaders, check_header
from wsgibg.datastructures._multidict import ImmutableMultiDict, MultiDict, QueryParams
from wsgibg.datastructures._state import State
from wsgibg.datastructures._upload import FormData, UploadFile
from wsgibg.datastructures._url import URL, Address, URLPath

__all__ = [
    "URL",
    "Address",
    "EnvironHeaders",
    "FormData",
    "Headers",
    "ImmutableMultiDict",
    "MultiDict",
    "MutableHeaders",
    "QueryParams",
    "State",
    "URLPath",
    "UploadFile",
    "check_header",
]
