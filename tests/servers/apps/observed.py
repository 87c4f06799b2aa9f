"""An application that is watched: its spans are written down, and its metrics served.

With ``ORDER=outside`` the middleware that makes spans of requests is around everything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from evidence import note, slow
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.multiprocess import MultiProcessCollector

from wsgibg import App, BackgroundTasks, wrap
from wsgibg.integrations.opentelemetry import OpenTelemetry
from wsgibg.integrations.prometheus import Prometheus
from wsgibg.responses import StreamingResponse


class Noting(SpanExporter):
    """Writes down the name of each span as it ends."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            note("spans", span.name)
        return SpanExportResult.SUCCESS


provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(Noting()))

app = App()
OpenTelemetry(app, tracer_provider=provider)
Prometheus(app)

registry = CollectorRegistry()
MultiProcessCollector(registry)
app.mount("/metrics", make_wsgi_app(registry))


@app.get("/ready")
def ready() -> int:
    return os.getpid()


@app.get("/stream")
def stream(job: str, background_tasks: BackgroundTasks) -> StreamingResponse:
    background_tasks.add_task(slow, job)

    def chunks() -> Iterator[bytes]:
        yield b"first"
        note(job, "last byte")
        yield b"last"

    return StreamingResponse(chunks())


watched = OpenTelemetryMiddleware(app, tracer_provider=provider)
application = wrap(watched, tasks=app.tasks)
if os.environ.get("ORDER") == "outside":
    application = OpenTelemetryMiddleware(wrap(app, tasks=app.tasks), tracer_provider=provider)
