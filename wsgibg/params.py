"""The markers that say where a parameter comes from, each with its reader."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, ClassVar, Literal, TypedDict, Unpack, get_args
from urllib.parse import parse_qsl

from pydantic import AliasChoices, AliasPath
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from wsgibg._injected import Declared
from wsgibg.exceptions import RegistrationError
from wsgibg.requests import parse_cookies as read_cookies

__all__ = [
    "Body",
    "Cookie",
    "Depends",
    "Header",
    "Marker",
    "Param",
    "ParamOptions",
    "Path",
    "Query",
    "Scope",
    "Security",
    "SecurityScopes",
]

Scope = Literal["function", "request", "tasks"]
Undefined: Any = PydanticUndefined


@dataclass(frozen=True)
class Depends(Declared):
    """A parameter whose value another callable gives; written as ``Depends(get_db)``."""

    dependency: Callable[..., Any] | None = None
    use_cache: bool = True
    scope: Scope | None = None

    def __post_init__(self) -> None:
        if self.scope is not None and self.scope not in get_args(Scope):
            msg = f'Depends(scope={self.scope!r}): use "function", "request" or "tasks".'
            raise RegistrationError(msg)


@dataclass(frozen=True)
class Security(Depends):
    """`Depends` with the OAuth2 scopes that it and what it depends on require."""

    scopes: Sequence[str] | None = None


class SecurityScopes:
    """The OAuth2 scopes that a dependency and what depends on it require.

    A parameter of this type gets them (FastAPI's rule).

    Args:
        scopes: the scopes, outermost first.
    """

    def __init__(self, scopes: Sequence[str] | None = None) -> None:
        self.scopes: list[str] = list(scopes or ())
        self.scope_str: str = " ".join(self.scopes)


class ParamOptions(TypedDict, total=False):
    """What every marker takes besides its default: constraints, names, documentation."""

    default_factory: Callable[[], Any] | None
    alias: str | None
    alias_priority: int | None
    validation_alias: str | AliasPath | AliasChoices | None
    serialization_alias: str | None
    title: str | None
    description: str | None
    gt: float | None
    ge: float | None
    lt: float | None
    le: float | None
    min_length: int | None
    max_length: int | None
    pattern: str | None
    regex: str | None
    discriminator: str | None
    strict: bool | None
    multiple_of: float | None
    allow_inf_nan: bool | None
    max_digits: int | None
    decimal_places: int | None
    examples: list[Any] | None
    example: Any
    openapi_examples: dict[str, Any] | None
    deprecated: str | bool | None
    include_in_schema: bool
    json_schema_extra: dict[str, Any] | None


_OWN = ("example", "openapi_examples", "include_in_schema", "regex")


class MultiValues(dict[str, str]):
    """The last value of each key, and all of them; what a query string comes to."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        super().__init__(pairs)
        self.pairs: list[tuple[str, str]] = pairs

    def getlist(self, key: str) -> list[str]:
        """Every value of a key, in order."""
        return [value for name, value in self.pairs if name == key]


def parse_query(environ: Mapping[str, Any]) -> dict[str, str]:
    """The query string as a dictionary; the last of repeated keys counts.

    Invalid UTF-8 becomes replacement characters, blank values are kept, and bytes that a client
    did not escape are read as Latin-1, as in FastAPI.
    """
    text: str = environ.get("QUERY_STRING", "")
    if not text:
        return {}
    # PERF: without escapes, splitting by hand takes 0.5 µs where parse_qsl takes 2.2.
    if "%" in text or "+" in text:
        return dict(_pairs(text))
    found = {}
    for pair in text.split("&"):
        if pair:
            key, _, value = pair.partition("=")
            found[key] = value
    return found


def parse_query_lists(environ: Mapping[str, Any]) -> MultiValues:
    """The query string with every value of repeated keys."""
    return MultiValues(_pairs(environ.get("QUERY_STRING", "")))


def _pairs(text: str) -> list[tuple[str, str]]:
    return parse_qsl(text, keep_blank_values=True)


class HeaderLists:
    """An environ whose headers can be read as lists."""

    __slots__ = ("environ", "get")

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self.get: Callable[[str], Any] = environ.get
        self.environ: Mapping[str, Any] = environ

    def __getitem__(self, key: str) -> Any:
        return self.environ[key]

    def getlist(self, key: str) -> list[str]:
        """The values of a header; servers hand on repeated ones joined by commas (RFC 9110)."""
        value = self.environ.get(key)
        return [] if value is None else [part.strip() for part in value.split(",")]


def parse_cookies(environ: Mapping[str, Any]) -> Mapping[str, str]:
    """The request's cookies, each name's last value."""
    return read_cookies(environ.get("HTTP_COOKIE", ""))


@dataclass(frozen=True, slots=True)
class Source:
    """A place in the request that parameters are read from.

    Args:
        location: FastAPI's name of it, the first part of an error's ``loc``.
        open: gives, from the environ, a mapping of strings; called once per request. Nothing
            where the values are in the environ itself.
        open_lists: the same where some parameter is a list: it has ``getlist`` as well.
        key: the mapping's key for a parameter's alias.
        names: every key that an opened mapping has, with the name that clients call it by.
    """

    location: str
    open: Callable[[Mapping[str, Any]], Any] | None
    open_lists: Callable[[Mapping[str, Any]], Any] | None
    key: Callable[[str], str]
    names: Callable[[Any], Iterable[tuple[str, str]]]


def _same_names(opened: Any) -> Iterable[tuple[str, str]]:
    return [(key, key) for key in opened]


def _header_names(opened: HeaderLists) -> Iterable[tuple[str, str]]:
    for key in opened.environ:
        if key.startswith("HTTP_"):
            yield key, key[5:].replace("_", "-").lower()
        elif key in ("CONTENT_TYPE", "CONTENT_LENGTH") and opened.environ[key]:
            yield key, key.replace("_", "-").lower()


def header_key(alias: str) -> str:
    """The environ's key of a header (PEP 3333)."""
    name = alias.replace("-", "_").upper()
    return name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"


#: Path values come with the match, by position; see `wsgibg._compile`.
PATH = Source("path", None, None, str, _same_names)
QUERY = Source("query", parse_query, parse_query_lists, str, _same_names)
HEADER = Source("header", None, HeaderLists, header_key, _header_names)
COOKIE = Source("cookie", parse_cookies, parse_cookies, str, _same_names)
SOURCES = {source.location: source for source in (QUERY, HEADER, COOKIE)}


# FieldInfo is marked final; FastAPI inherits from it as well, and so its users expect it.
class Marker(FieldInfo, Declared):  # type: ignore[misc]
    """What says of a parameter where it comes from and what it must be like.

    Args:
        default: the value where the request has none; left out, the parameter is required.
        options: constraints, names and documentation, see `ParamOptions`.

    Raises:
        TypeError: there is no such option.
    """

    example: Any
    openapi_examples: dict[str, Any] | None
    include_in_schema: bool

    def __init__(self, default: Any = Undefined, **options: Unpack[ParamOptions]) -> None:
        for name in options:
            if name not in ParamOptions.__optional_keys__:
                raise TypeError(self._unknown(name))
        self.example = options.get("example", Undefined)
        self.openapi_examples = options.get("openapi_examples")
        self.include_in_schema = options.get("include_in_schema", True)
        if options.get("regex") is not None:
            options["pattern"] = options["regex"]
        known = {k: v for k, v in options.items() if k not in _OWN and v is not None}
        if default is ...:
            default = Undefined
        super().__init__(default=default, **known)  # type: ignore[arg-type]

    def _unknown(self, name: str) -> str:
        own = {*inspect.signature(type(self)).parameters} - {"options"}
        names = sorted(ParamOptions.__optional_keys__ | own)
        near = get_close_matches(name, names, 1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Its options: {', '.join(names)}."
        return f"{type(self).__name__}() has no option {name!r}. {hint}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.default})"


class Param(Marker):  # type: ignore[misc]
    """A parameter that is read by its name: the base of `Path`, `Query`, `Header`, `Cookie`."""

    source: ClassVar[Source]

    @property
    def in_(self) -> str:
        """FastAPI's name of the place that it is read from."""
        return self.source.location


class Path(Param):  # type: ignore[misc]
    """A part of the URL's path; always required."""

    source = PATH

    def __init__(self, default: Any = ..., **options: Unpack[ParamOptions]) -> None:
        if default is not ...:
            msg = "Path parameters cannot have a default value: the path always has them."
            raise TypeError(msg)
        super().__init__(**options)


class Query(Param):  # type: ignore[misc]
    """A value of the query string."""

    source = QUERY


class Header(Param):  # type: ignore[misc]
    """A request header; underscores of the parameter's name stand for hyphens.

    Args:
        default: the value where the request has none.
        convert_underscores: false to take the parameter's name as it is.
        options: see `ParamOptions`.
    """

    source = HEADER

    def __init__(
        self,
        default: Any = Undefined,
        *,
        convert_underscores: bool = True,
        **options: Unpack[ParamOptions],
    ) -> None:
        self.convert_underscores = convert_underscores
        super().__init__(default, **options)


class Cookie(Param):  # type: ignore[misc]
    """A request cookie."""

    source = COOKIE


class Body(Marker):  # type: ignore[misc]
    """The JSON body, or a key of it.

    Args:
        default: the value where the body has none; left out, it is required.
        embed: whether the body is an object with this parameter as a key, even where it is the
            only one.
        media_type: what the documentation says of the body's type.
        options: see `ParamOptions`.
    """

    in_: ClassVar[str] = "body"

    def __init__(
        self,
        default: Any = Undefined,
        *,
        embed: bool | None = None,
        media_type: str = "application/json",
        **options: Unpack[ParamOptions],
    ) -> None:
        self.embed = embed
        self.media_type = media_type
        super().__init__(default, **options)
