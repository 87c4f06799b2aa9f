"""The programs of the guide "Observability": traces, metrics and errors of background tasks."""

# ruff: noqa: ANN001, ARG001
from __future__ import annotations

import os

import sentry_sdk
from opentelemetry import trace
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import make_wsgi_app

from wsgibg import App, BackgroundTasks, ThreadExecutor, current_tasks, task, wrap

# --8<-- [start:imports]
from wsgibg.integrations.opentelemetry import OpenTelemetry
from wsgibg.integrations.prometheus import Prometheus
from wsgibg.integrations.sentry import Sentry

# --8<-- [end:imports]

exporter = InMemorySpanExporter()  # (a program has that of its collector)
provider = TracerProvider()
tracer = trace.get_tracer("shop", tracer_provider=provider)


# --8<-- [start:opentelemetry]
app = App(executor=ThreadExecutor())
provider.add_span_processor(BatchSpanProcessor(exporter))
OpenTelemetry(app, tracer_provider=provider)


@task(retries=2, backoff=0.1)
def send_mail(email: str) -> None:
    with tracer.start_as_current_span("smtp"):  # a child of the task's span
        if not email:
            raise ValueError("whom to?")


@app.post("/orders")
def order(background_tasks: BackgroundTasks, email: str = "") -> str:
    background_tasks.add_task(send_mail, email)
    return "accepted"


# --8<-- [end:opentelemetry]


# --8<-- [start:request]
application = wrap(OpenTelemetryMiddleware(app, tracer_provider=provider), tasks=app.tasks)
# --8<-- [end:request]


# --8<-- [start:prometheus]
Prometheus(app)
app.mount("/metrics", make_wsgi_app())
# --8<-- [end:prometheus]


# --8<-- [start:sentry]
sentry_sdk.init(dsn=os.environ.get("SENTRY_DSN"))
Sentry(app)
# --8<-- [end:sentry]


# --8<-- [start:wrap]
def legacy(environ, start_response):
    current_tasks().add_task(send_mail, "ada@example.com")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


site = wrap(OpenTelemetryMiddleware(legacy, tracer_provider=provider), executor=ThreadExecutor())
OpenTelemetry(site, tracer_provider=provider)
Prometheus(site)
Sentry(site)
# --8<-- [end:wrap]
