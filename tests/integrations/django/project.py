"""A Django project, configured once in the process of the tests."""

from __future__ import annotations

import atexit
import shutil
import tempfile

import django
from django.conf import settings
from django.test.utils import setup_test_environment

__all__ = ["MIDDLEWARE", "configure"]

MIDDLEWARE = "wsgibg.integrations.django.BackgroundTasksMiddleware"
SQLITE = {"ENGINE": "django.db.backends.sqlite3"}


def configure() -> None:
    """Set Django up, unless that was done before."""
    if settings.configured:
        return
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    settings.configure(
        ALLOWED_HOSTS=["*"],
        CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
        DATABASES={
            "default": {**SQLITE, "NAME": f"{folder}/default.sqlite3"},
            "other": {**SQLITE, "NAME": f"{folder}/other.sqlite3"},
        },
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=["tests.integrations.django.site"],
        LOGGING_CONFIG=None,
        MIDDLEWARE=[MIDDLEWARE],
        ROOT_URLCONF="tests.integrations.django.site.urls",
        SECRET_KEY="x",
        STATIC_URL="/static/",
        USE_TZ=True,
    )
    django.setup()
    setup_test_environment()


configure()
