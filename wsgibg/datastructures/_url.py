"""URLs, whole or in parts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address
from typing import Any, Literal, NamedTuple, Self
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from wsgibg.datastructures._multidict import MultiDict

# RFC 3986, section 3.2.2: a registered name or IPv4 address, or an IPv6 address in brackets.
_HOST = re.compile(
    r"(?P<name>[A-Za-z0-9._~%!$&'()*+,;=-]+|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])(?::(?P<port>[0-9]+))?"
)
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_HIDDEN = "********"


class Address(NamedTuple):
    """Where a client or server can be reached: a host (name or IP address) with a port."""

    host: str
    port: int


class URL:
    """A URL and its parts; it never changes, ``replace`` makes another one.

    Args:
        url: the URL as a string.
        components: or else its parts: ``scheme, netloc, path, query, fragment``, and in place of
            ``netloc`` also ``username, password, hostname, port``.

    Example:
        >>> url = URL("https://ada:secret@example.org/items?page=2")
        >>> url.hostname, url.path, url.query
        ('example.org', '/items', 'page=2')
        >>> url.include_query_params(page=3)
        URL('https://ada:********@example.org/items?page=3')
    """

    __slots__ = ("_parts", "_url")

    _parts: SplitResult

    def __init__(self, url: str = "", **components: Any) -> None:
        if url and components:
            raise TypeError("URL() takes either a string or components, not both.")
        self._url = str(URL().replace(**components)) if components else url

    @classmethod
    def from_environ(cls, environ: Mapping[str, Any]) -> Self:
        """The URL that was asked for, from a WSGI environ (PEP 3333, "URL Reconstruction").

        As in Starlette the path is decoded, and a ``Host`` field that is not one is ignored in
        favour of the server's own name, so no client can make this fail.
        """
        path = decode(environ.get("SCRIPT_NAME", "")) + decode(environ.get("PATH_INFO", ""))
        return cls(_assemble(environ, path, decode(environ.get("QUERY_STRING", ""))))

    @classmethod
    def root_of(cls, environ: Mapping[str, Any]) -> Self:
        """The URL where the application begins, with a slash at its end."""
        root = decode(environ.get("SCRIPT_NAME", ""))
        return cls(_assemble(environ, root if root.endswith("/") else f"{root}/", ""))

    @property
    def components(self) -> SplitResult:
        """The parts as ``urllib.parse.urlsplit`` has them."""
        try:
            return self._parts
        except AttributeError:
            self._parts = urlsplit(self._url)
            return self._parts

    @property
    def scheme(self) -> str:
        """For example ``https``."""
        return self.components.scheme

    @property
    def netloc(self) -> str:
        """User, host and port as they are written."""
        return self.components.netloc

    @property
    def path(self) -> str:
        """For example ``/items``."""
        return self.components.path

    @property
    def query(self) -> str:
        """What follows the question mark."""
        return self.components.query

    @property
    def fragment(self) -> str:
        """What follows the hash sign."""
        return self.components.fragment

    @property
    def username(self) -> str | None:
        """The user before the host, if any."""
        return self.components.username

    @property
    def password(self) -> str | None:
        """The password before the host, if any."""
        return self.components.password

    @property
    def hostname(self) -> str | None:
        """The host in lower case, without brackets."""
        return self.components.hostname

    @property
    def port(self) -> int | None:
        """The port, if it is written."""
        return self.components.port

    @property
    def is_secure(self) -> bool:
        """Whether the scheme is ``https``."""
        return self.scheme == "https"

    def replace(self, **components: Any) -> Self:
        """Make a URL with other parts; see the class for their names."""
        if not components.keys().isdisjoint(("username", "password", "hostname", "port")):
            components["netloc"] = self._netloc(
                components.pop("hostname", None),
                components.pop("port", self.port),
                components.pop("username", self.username),
                components.pop("password", self.password),
            )
        return type(self)(self.components._replace(**components).geturl())

    def _netloc(
        self, host: str | None, port: int | None, username: str | None, password: str | None
    ) -> str:
        if host is None:
            host = self.netloc.rpartition("@")[2]
            if not host.endswith("]"):
                host = host.rpartition(":")[0] or host
        elif _is_ipv6(host):
            host = f"[{host}]"
        netloc = host if port is None else f"{host}:{port}"
        if username is None:
            return netloc
        user = username if password is None else f"{username}:{password}"
        return f"{user}@{netloc}"

    def include_query_params(self, **params: Any) -> Self:
        """Set parameters of the query; the others stay."""
        query = self._query()
        query.update({key: str(value) for key, value in params.items()})
        return self.replace(query=urlencode(query.multi_items()))

    def replace_query_params(self, **params: Any) -> Self:
        """Give the URL these parameters and no others."""
        return self.replace(query=urlencode({key: str(value) for key, value in params.items()}))

    def remove_query_params(self, keys: str | Sequence[str]) -> Self:
        """Remove one parameter of the query, or several."""
        query = self._query()
        for key in [keys] if isinstance(keys, str) else keys:
            query.pop(key)
        return self.replace(query=urlencode(query.multi_items()))

    def _query(self) -> MultiDict:
        return MultiDict(parse_qsl(self.query, keep_blank_values=True))

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other)

    def __hash__(self) -> int:
        return hash(self._url)

    def __str__(self) -> str:
        return self._url

    def __repr__(self) -> str:
        shown = self.replace(password=_HIDDEN) if self.password else self
        return f"{type(self).__name__}({str(shown)!r})"


class URLPath(str):
    """A path that knows how to become a URL; what ``url_path_for`` returns.

    Args:
        path: the path.
        protocol: ``"http"`` where the route fixes it; ``https`` is kept in that case.
        host: the host with its port, where the route fixes it.

    Example:
        >>> URLPath("/items/7").make_absolute_url("https://example.org/api/")
        URL('https://example.org/api/items/7')
    """

    __slots__ = ("host", "protocol")

    protocol: str
    host: str

    def __new__(cls, path: str, protocol: Literal["http", ""] = "", host: str = "") -> Self:
        self = super().__new__(cls, _harmless(path.replace("\\", "%5C")))
        self.protocol = protocol
        self.host = host
        return self

    def make_absolute_url(self, base_url: str | URL) -> URL:
        """Put the path behind a base URL, whose own path is kept as a prefix."""
        base = URL(base_url) if isinstance(base_url, str) else base_url
        scheme = ("https" if base.is_secure else "http") if self.protocol else base.scheme
        path = base.path.rstrip("/") + self
        return URL(scheme=scheme, netloc=self.host or base.netloc, path=path)


def decode(value: str) -> str:
    """A string of a WSGI environ as text: bytes in latin-1's clothing (PEP 3333) are UTF-8."""
    if value.isascii():
        return value
    return value.encode("latin-1", "replace").decode("utf-8", "replace")


def _harmless(path: str) -> str:
    """Keep a path of two leading slashes from being read as a host."""
    return f"/%2F{path[2:]}" if path.startswith("//") else path


def _assemble(environ: Mapping[str, Any], path: str, query: str) -> str:
    path = path.replace("?", "%3F").replace("#", "%23").replace("\\", "%5C")
    scheme = environ.get("wsgi.url_scheme", "http")
    netloc = _host_of(environ.get("HTTP_HOST", "")) or _server_of(environ, scheme)
    if netloc:
        return SplitResult(scheme, netloc, path, query, "").geturl()
    path = _harmless(path)
    return f"{path}?{query}" if query else path


def _host_of(field: str) -> str:
    """A ``Host`` field if it is a well-formed one, else ''."""
    match = _HOST.fullmatch(field)
    if match is None or (match["ipv6"] and not _is_ipv6(match["ipv6"])):
        return ""
    port = (match["port"] or "0").lstrip("0")
    return field if len(port) <= 5 and int(port or 0) <= 65535 else ""


def _server_of(environ: Mapping[str, Any], scheme: str) -> str:
    """The server's own name; '' for a Unix socket, which has none."""
    host, port = str(environ.get("SERVER_NAME", "")), str(environ.get("SERVER_PORT", ""))
    if _is_ipv6(host):
        host = f"[{host}]"
    return _host_of(host if port in ("", _DEFAULT_PORTS.get(scheme)) else f"{host}:{port}")


def _is_ipv6(host: str) -> bool:
    if ":" not in host:
        return False
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True
