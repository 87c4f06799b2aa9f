"""The views of a Django project, which leave work for after the response."""

# ruff: noqa: ANN001, ARG001
from django.contrib.auth.models import User
from django.core.mail import send_mail
from django.db import transaction
from django.http import HttpResponse
from django.urls import path

from wsgibg import current_tasks
from wsgibg.integrations.django import on_commit, task_manager


# --8<-- [start:view]
def send_welcome(pk: int) -> None:
    user = User.objects.get(pk=pk)
    send_mail("Welcome", f"Hello {user.username}!", None, [user.email])


def register(request, name: str):
    with transaction.atomic():
        user = User.objects.create_user(name, f"{name}@example.com")
        current_tasks().add_task(send_welcome, user.pk)
    return HttpResponse("Have a look at your mail.")


# --8<-- [end:view]


# --8<-- [start:using]
def write_invoice(name: str) -> None:
    send_mail("Invoice", f"for {name}", None, ["books@example.com"])


def order(request, name: str):
    with transaction.atomic(), transaction.atomic("billing"):
        current_tasks().add_task(print, "both were committed")
        on_commit(using="billing").add_task(write_invoice, name)
        on_commit(using=()).add_task(print, "somebody has tried")
    return HttpResponse("Thank you.")


# --8<-- [end:using]

# --8<-- [start:manager]
failed: list[str] = []


@task_manager().on_task
def note_failures(event) -> None:
    if event.kind == "failed":
        failed.append(event.task.name)


# --8<-- [end:manager]

urlpatterns = [path("register/<name>", register), path("order/<name>", order)]
