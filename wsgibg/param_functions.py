"""The markers as FastAPI users write them: functions whose result fits any annotation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Unpack

from wsgibg import params
from wsgibg.params import ParamOptions, Scope, Undefined

__all__ = ["Body", "Cookie", "Depends", "Header", "Path", "Query", "Security"]


def Depends(
    dependency: Callable[..., Any] | None = None,
    *,
    use_cache: bool = True,
    scope: Scope | None = None,
) -> Any:
    """Have a parameter's value given by another callable, with parameters of its own.

    Args:
        dependency: a function, class, callable object or generator function (sync or async);
            left out, the parameter's annotation.
        use_cache: whether several uses in one request share one call (FastAPI's rule).
        scope: when the part after a dependency's ``yield`` runs. ``"function"``: before the
            first byte of the response; ``"request"`` (the default): after the last one;
            ``"tasks"``: after the first attempts of the background tasks.

    Example:
        >>> from typing import Annotated
        >>> from wsgibg import App, Depends
        >>> app = App()
        >>> def page(number: int = 1) -> int:
        ...     return max(number, 1)
        >>> @app.get("/items")
        ... def items(page: Annotated[int, Depends(page)]) -> dict[str, int]:
        ...     return {"page": page}
    """
    return params.Depends(dependency, use_cache=use_cache, scope=scope)


def Security(
    dependency: Callable[..., Any] | None = None,
    *,
    scopes: Sequence[str] | None = None,
    use_cache: bool = True,
) -> Any:
    """`Depends` with OAuth2 scopes, which dependencies read as ``SecurityScopes``.

    Args:
        dependency: see `Depends`.
        scopes: the scopes that this parameter requires, besides those of its parents.
        use_cache: see `Depends`.
    """
    return params.Security(dependency, use_cache=use_cache, scopes=scopes)


def Path(default: Any = ..., **options: Unpack[ParamOptions]) -> Any:
    """A part of the URL's path, with constraints: ``Annotated[int, Path(ge=1)]``."""
    return params.Path(default, **options)


def Query(default: Any = Undefined, **options: Unpack[ParamOptions]) -> Any:
    """A value of the query string: ``Annotated[str | None, Query(max_length=50)] = None``."""
    return params.Query(default, **options)


def Header(
    default: Any = Undefined,
    *,
    convert_underscores: bool = True,
    **options: Unpack[ParamOptions],
) -> Any:
    """A request header: ``user_agent: Annotated[str, Header()]`` reads ``User-Agent``."""
    return params.Header(default, convert_underscores=convert_underscores, **options)


def Cookie(default: Any = Undefined, **options: Unpack[ParamOptions]) -> Any:
    """A request cookie: ``session: Annotated[str | None, Cookie()] = None``."""
    return params.Cookie(default, **options)


def Body(
    default: Any = Undefined,
    *,
    embed: bool | None = None,
    media_type: str = "application/json",
    **options: Unpack[ParamOptions],
) -> Any:
    """The JSON body or a key of it: ``Annotated[Item, Body(embed=True)]``."""
    return params.Body(default, embed=embed, media_type=media_type, **options)
