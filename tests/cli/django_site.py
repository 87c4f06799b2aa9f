"""A Django project in one module, with our middleware."""

from __future__ import annotations

from django import conf
from django.core.wsgi import get_wsgi_application

from wsgibg import ThreadExecutor

urlpatterns = []


def make():
    """Set the project up, which a process can do once."""
    conf.settings.configure(
        MIDDLEWARE=["wsgibg.integrations.django.BackgroundTasksMiddleware"],
        ROOT_URLCONF="tests.cli.django_site",
        SECRET_KEY="x",
        WSGIBG={"EXECUTOR": ThreadExecutor},
    )
    return get_wsgi_application()
