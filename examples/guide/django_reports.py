"""Django's own tasks, which wsgibg runs."""

# ruff: noqa: ANN001, ARG001
from django.http import HttpResponse, JsonResponse
from django.tasks import task  # Django 5.2: from django_tasks import task

# --8<-- [start:settings]
TASKS = {
    "default": {
        "BACKEND": "wsgibg.integrations.django.TasksBackend",
        "OPTIONS": {"retries": 3},
    }
}
# --8<-- [end:settings]


# --8<-- [start:task]
@task
def add_up(year: int) -> int:
    return sum(range(year))


def ask_for_report(request, year: int):
    result = add_up.enqueue(year)
    return JsonResponse({"id": result.id}, status=202)


def show_report(request, identifier: str):
    result = add_up.get_result(identifier)
    if not result.is_finished:
        return HttpResponse(status=204)
    return JsonResponse({"sum": result.return_value})


# --8<-- [end:task]
