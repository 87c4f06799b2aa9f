"""The cookies of a test client, as a dictionary."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any, Protocol

from werkzeug.test import Cookie

__all__ = ["ClientCookies", "CookieJar"]


class CookieJar(Protocol):
    """What is asked of the client."""

    def jar(self) -> dict[tuple[str, str, str], Cookie]:
        """The cookies by domain, path and name."""

    def set_cookie(self, key: str, value: str = "", **attributes: Any) -> None:
        """Set a cookie."""


class ClientCookies(MutableMapping[str, str]):
    """The cookies that a client will send: ``client.cookies["session"] = "abc"``.

    With domains and paths: `set`, `get` and `delete`, as httpx has them.

    Args:
        client: the client.
    """

    def __init__(self, client: CookieJar) -> None:
        self._client = client

    def _found(self, name: str, domain: str | None, path: str | None) -> list[Cookie]:
        return [
            cookie
            for cookie in self._client.jar().values()
            if cookie.decoded_key == name
            and (domain is None or cookie.domain == domain)
            and (path is None or cookie.path == path)
        ]

    def set(self, name: str, value: str, domain: str = "", path: str = "/") -> None:
        """Set a cookie; without a domain, for the host of the client's ``base_url``."""
        self._client.set_cookie(name, value, domain=domain or None, path=path)

    def get(
        self, name: str, default: Any = None, domain: str | None = None, path: str | None = None
    ) -> Any:
        """The value of a cookie, or the default."""
        found = self._found(name, domain, path)
        return found[-1].decoded_value if found else default

    def delete(self, name: str, domain: str | None = None, path: str | None = None) -> None:
        """Forget a cookie.

        Raises:
            KeyError: there is none.
        """
        found = self._found(name, domain, path)
        if not found:
            raise KeyError(name)
        for cookie in found:
            del self._client.jar()[cookie.domain, cookie.path, cookie.decoded_key]

    def __getitem__(self, name: str) -> str:
        found = self._found(name, None, None)
        if not found:
            raise KeyError(name)
        return found[-1].decoded_value

    def __setitem__(self, name: str, value: str) -> None:
        self.set(name, value)

    def __delitem__(self, name: str) -> None:
        self.delete(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(each.decoded_key for each in self._client.jar().values()))

    def __len__(self) -> int:
        return len({each.decoded_key for each in self._client.jar().values()})

    def __repr__(self) -> str:
        return f"<ClientCookies {dict(self)!r}>"
