"""A Django project in one module, with our middleware."""

from __future__ import annotations

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from wsgibg import ThreadExecutor

settings.configure(
    MIDDLEWARE=["wsgibg.integrations.django.BackgroundTasksMiddleware"],
    ROOT_URLCONF="tests.cli.django_site",
    SECRET_KEY="x",
    WSGIBG={"EXECUTOR": ThreadExecutor},
)
urlpatterns = []
application = get_wsgi_application()
