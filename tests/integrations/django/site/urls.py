"""Every path is answered by the view that the test at hand has chosen."""

from __future__ import annotations

import inspect
from typing import Any

from django.urls import path, re_path

current: Any = None


def view(request: Any) -> Any:
    return current(request)


async def async_view(request: Any) -> Any:
    answer = current(request)
    return await answer if inspect.isawaitable(answer) else answer


urlpatterns = [path("async", async_view), re_path("", view)]
