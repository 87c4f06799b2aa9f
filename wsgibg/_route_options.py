"""The options of routes, routers, inclusions: FastAPI's, each written once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, TypedDict

from wsgibg.responses import Response

__all__ = ["IncludeOptions", "RouteOptions", "RouterOptions", "SharedOptions"]


class SharedOptions(TypedDict, total=False):
    """Options that an app, a router, an inclusion and a route have in common."""

    tags: list[str | Enum] | None
    dependencies: Sequence[Any] | None
    responses: dict[int | str, dict[str, Any]] | None
    callbacks: list[Any] | None
    deprecated: bool | None
    include_in_schema: bool
    generate_unique_id_function: Callable[[Any], str]


class IncludeOptions(SharedOptions, total=False):
    """The options of `APIRouter.include_router`."""

    prefix: str
    default_response_class: type[Response]


class RouterOptions(IncludeOptions, total=False):
    """The options of an `APIRouter`."""

    redirect_slashes: bool
    strict_content_type: bool


class RouteOptions(SharedOptions, total=False):
    """The options of a route; FastAPI's, by FastAPI's names."""

    response_model: Any
    status_code: int | None
    summary: str | None
    description: str | None
    response_description: str
    operation_id: str | None
    response_model_include: Any
    response_model_exclude: Any
    response_model_by_alias: bool
    response_model_exclude_unset: bool
    response_model_exclude_defaults: bool
    response_model_exclude_none: bool
    response_class: type[Response]
    name: str | None
    openapi_extra: dict[str, Any] | None
    strict_content_type: bool
