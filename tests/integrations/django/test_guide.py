"""The guide's own tasks of Django."""

from __future__ import annotations

import json

import pytest
from django.test import override_settings
from django.urls import path

from tests.integrations.django.conftest import by_client

pytest.importorskip("django.tasks")

from examples.guide import django_reports as reports

urlpatterns = [
    path("ask/<int:year>", reports.ask_for_report),
    path("show/<identifier>", reports.show_report),
]


def test_a_report():
    """It is made after the response, and asked for by its id."""
    with override_settings(TASKS=reports.TASKS, ROOT_URLCONF=__name__):
        asked = by_client("/ask/4")
        shown = by_client(f"/show/{json.loads(asked.body)['id']}")

    assert asked.status_code == 202
    assert json.loads(shown.body) == {"sum": 6}
