"""The ``Cookie`` header field."""

from __future__ import annotations

import re

# RFC 2109's quoting, which http.cookies still writes: \" or the octal code of a byte.
_escape = re.compile(r"\\(?:([0-3][0-7][0-7])|(.))", re.DOTALL)


def parse_cookies(field: str) -> dict[str, str]:
    """Read a ``Cookie`` field as browsers mean it, and as Starlette does.

    Args:
        field: the field's value.

    Returns:
        Values by name; where a name occurs twice, the last one. A value without a name is named
        ``""``.

    Example:
        >>> parse_cookies('session=7a; theme="dark"')
        {'session': '7a', 'theme': 'dark'}
    """
    cookies: dict[str, str] = {}
    for pair in field.split(";"):
        name, equals, value = pair.partition("=")
        if not equals:
            name, value = "", name
        name, value = name.strip(), value.strip()
        if name or value:
            cookies[name] = unquote(value) if value[:1] == '"' else value
    return cookies


def unquote(value: str) -> str:
    """Take a value out of its quotes, if it is in quotes."""
    if len(value) < 2 or value[-1] != '"':
        return value
    return _escape.sub(lambda found: chr(int(found[1], 8)) if found[1] else found[2], value[1:-1])
