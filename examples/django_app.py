"""A Django project in one file, whose views leave work for after the response.

Serve it with `python django_app.py runserver`, or with `gunicorn django_app`. All that a project
needs is the first line of `MIDDLEWARE`.
"""

import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path

from wsgibg import current_tasks

settings.configure(
    ALLOWED_HOSTS=["*"],
    DEBUG=True,
    MIDDLEWARE=["wsgibg.integrations.django.BackgroundTasksMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="change me",
)


def write_receipt(order_id: int) -> None:
    print(f"receipt for order {order_id}", flush=True)


def pay(request, order_id: int):  # noqa: ANN001, ARG001
    current_tasks().add_task(write_receipt, order_id)
    return JsonResponse({"order": order_id, "paid": True})


urlpatterns = [path("orders/<int:order_id>/pay", pay)]
application = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
