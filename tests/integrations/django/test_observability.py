"""What OpenTelemetry and Prometheus see of a Django project's tasks."""

from __future__ import annotations

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.test import override_settings
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from tests.integrations.support import ended
from wsgibg import InlineExecutor, ThreadExecutor, current_tasks
from wsgibg.integrations.django import task_manager
from wsgibg.integrations.opentelemetry import OpenTelemetry
from wsgibg.integrations.prometheus import Prometheus


def kept():
    """Do nothing."""


def undone():
    """Do nothing, if it ever runs."""


@pytest.mark.parametrize("executor", [InlineExecutor, ThreadExecutor])
def test_tasks_of_transactions(ask, executor):
    """Those of a committed one are linked to their request; those of another are dropped."""
    exporter, registry = InMemorySpanExporter(), CollectorRegistry()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")

    def view(request):
        with tracer.start_as_current_span("request"):
            with transaction.atomic():
                current_tasks().add_task(kept)
            with transaction.atomic():
                current_tasks().add_task(undone)
                transaction.set_rollback(True)
        return HttpResponse("hello")

    with override_settings(WSGIBG={"EXECUTOR": executor}):
        OpenTelemetry(task_manager(), tracer_provider=provider)
        Prometheus(task_manager(), registry=registry)
        ask(view)
        ended(task_manager())
        task_manager().shutdown()

    spans = {span.name.rpartition(".")[2]: span for span in exporter.get_finished_spans()}
    request = spans.pop("request").get_span_context().span_id
    assert set(spans) == {"kept", "undone"}
    assert all(link.context.span_id == request for each in spans.values() for link in each.links)
    assert "wsgibg.task.queue_wait" in spans["kept"].attributes
    assert [event.name for event in spans["undone"].events] == ["wsgibg.task.dropped"]
    for function, state in ((kept, "succeeded"), (undone, "dropped")):
        name = f"{__name__}.{function.__name__}"
        labels = {"name": name, "state": state}
        assert registry.get_sample_value("wsgibg_tasks_total", labels) == 1
        assert registry.get_sample_value("wsgibg_tasks_waiting", {"name": name}) == 0
