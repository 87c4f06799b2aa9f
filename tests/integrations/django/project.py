"""A Django project, configured once in the process of the tests."""

from __future__ import annotations

import tempfile

import django
from django.conf import settings
from django.test.utils import setup_test_environment

__all__ = ["FOLDER", "MIDDLEWARE"]

MIDDLEWARE = "wsgibg.integrations.django.BackgroundTasksMiddleware"
FOLDER = tempfile.mkdtemp()
SQLITE = {"ENGINE": "django.db.backends.sqlite3"}

settings.configure(
    ALLOWED_HOSTS=["*"],
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
    DATABASES={
        "default": {**SQLITE, "NAME": f"{FOLDER}/default.sqlite3"},
        "other": {**SQLITE, "NAME": f"{FOLDER}/other.sqlite3"},
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["tests.integrations.django.site"],
    LOGGING_CONFIG=None,
    MIDDLEWARE=[MIDDLEWARE],
    ROOT_URLCONF="tests.integrations.django.site.urls",
    SECRET_KEY="x",
    USE_TZ=True,
)
django.setup()
setup_test_environment()
