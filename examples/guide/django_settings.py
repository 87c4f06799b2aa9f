"""The settings of a Django project with background tasks."""

SECRET_KEY = "change me"
ROOT_URLCONF = "django_views"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes"]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.sqlite3"},
    "billing": {"ENGINE": "django.db.backends.sqlite3", "NAME": "billing.sqlite3"},
}

# --8<-- [start:middleware]
MIDDLEWARE = [
    "wsgibg.integrations.django.BackgroundTasksMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
]
# --8<-- [end:middleware]

# --8<-- [start:options]
WSGIBG = {
    "EXECUTOR": "wsgibg.InlineExecutor",
    "EXECUTORS": {"slow": "wsgibg.ThreadExecutor"},
    "AFTER_TASK_ERROR": "continue",
    "STRICT": False,
}
# --8<-- [end:options]
