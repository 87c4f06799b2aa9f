"""Django views that have dependencies, and the middleware that answers for what they refuse."""

# ruff: noqa: ANN001, ANN204, ARG001, D101, D102
from typing import Annotated

from django.http import HttpResponse, JsonResponse
from django.urls import path
from django.views import View
from werkzeug.exceptions import HTTPException

from wsgibg import BackgroundTasks, Depends, Header
from wsgibg.embedding import inject

lines: list[str] = []


# --8<-- [start:views]
def get_user(x_user: Annotated[str, Header(min_length=2)]) -> str:
    return x_user


User = Annotated[str, Depends(get_user)]


@inject
def pay(request, order_id: int, user: User, tasks: BackgroundTasks):
    tasks.add_task(lines.append, f"receipt for {user}")
    return JsonResponse({"order": order_id, "user": user})


class Orders(View):
    @inject
    def get(self, request, user: User):
        return JsonResponse({"user": user})


urlpatterns = [path("orders/<int:order_id>/pay", pay), path("orders", Orders.as_view())]
# --8<-- [end:views]


# --8<-- [start:errors]
class AnswerErrors:
    """Middleware: answers what a dependency has raised, such as a 401, and wrong values (422)."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_exception(self, request, exception):
        if not isinstance(exception, HTTPException):
            return None
        headers = dict(exception.get_headers(request.META))
        body = exception.get_body(request.META)
        return HttpResponse(body, status=exception.code, headers=headers)


# --8<-- [end:errors]
