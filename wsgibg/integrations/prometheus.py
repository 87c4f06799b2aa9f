"""Metrics of background tasks, for Prometheus.

    from wsgibg.integrations.prometheus import Prometheus

    Prometheus(app)

The extra is ``wsgibg[prometheus]``. How the metrics are served is for the application to say
(``prometheus_client.make_wsgi_app``, ``start_http_server``).
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from weakref import WeakKeyDictionary

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from wsgibg.integrations._watching import Life, Lives, Watched, manager_of
from wsgibg.records import TaskEvent

__all__ = ["BUCKETS", "Prometheus"]

#: Seconds: from what a cache takes to what a report takes.
BUCKETS: tuple[float, ...] = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    *(30.0, 60.0, 300.0, 900.0),
)


class Prometheus:
    """Counts and measures the tasks of an application.

    - ``wsgibg_tasks_added_total{name}``: tasks that were added
    - ``wsgibg_tasks_total{name, state}``: tasks that came to an end, which is the state: succeeded,
      failed, dropped, lost, interrupted or parked
    - ``wsgibg_task_retries_total{name}``: attempts that failed and were followed by another
    - ``wsgibg_tasks_waiting{name}``: tasks that are to begin, for the first time or again
    - ``wsgibg_tasks_running{name}``: attempts that are under way
    - ``wsgibg_task_duration_seconds{name}``: what each attempt took
    - ``wsgibg_task_queue_wait_seconds{name}``: from the hand-over to an executor to the beginning

    ``name`` is the module and qualified name of the task's function, so there are as many as the
    code has tasks. Several applications may share a registry, and then share the metrics.

    Args:
        app: an `App`, what `wrap` returned, or a `TaskManager`.
        registry: where the metrics are registered.
        buckets: the upper bounds of both histograms, in seconds.

    Raises:
        TypeError: `app` has no tasks.
        RuntimeError: its tasks are counted in this registry already.
        ValueError: the registry has these metrics with other buckets, or others of these names.

    Example:
        >>> from prometheus_client import CollectorRegistry
        >>> from wsgibg import App
        >>> from wsgibg.integrations.prometheus import Prometheus
        >>> app, registry = App(), CollectorRegistry()
        >>> _ = Prometheus(app, registry=registry)
    """

    def __init__(
        self,
        app: Watched,
        *,
        registry: CollectorRegistry = REGISTRY,
        buckets: Sequence[float] = BUCKETS,
    ) -> None:
        metrics = _known.get(registry)
        if metrics is None:
            metrics = _known[registry] = _Metrics(registry, tuple(buckets))
        elif metrics.buckets != tuple(buckets):
            msg = (
                f"Prometheus(buckets={buckets!r}): this registry has the metrics already, with"
                f" {metrics.buckets!r}. Pass the same, or another registry."
            )
            raise ValueError(msg)
        manager_of(app, "Prometheus", registry).on_task(metrics.hear)


class _Metrics:
    """The metrics of one registry."""

    def __init__(self, registry: CollectorRegistry, buckets: tuple[float, ...]) -> None:
        self.buckets = buckets
        # Shared by the managers: a task of an application inside another is added to both.
        self.lives = Lives(self._is_gone)
        name = ["name"]
        self.added = Counter(
            "wsgibg_tasks_added", "Background tasks that were added.", name, registry=registry
        )
        self.ended = Counter(
            "wsgibg_tasks",
            "Background tasks that came to an end, by what end it was.",
            ["name", "state"],
            registry=registry,
        )
        self.retries = Counter(
            "wsgibg_task_retries",
            "Attempts that failed and were followed by another.",
            name,
            registry=registry,
        )
        self.waiting = Gauge(
            "wsgibg_tasks_waiting",
            "Background tasks that are to begin, for the first time or again.",
            name,
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.running = Gauge(
            "wsgibg_tasks_running",
            "Attempts at background tasks that are under way.",
            name,
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.duration = Histogram(
            "wsgibg_task_duration_seconds",
            "What each attempt at a background task took.",
            name,
            registry=registry,
            buckets=buckets,
        )
        self.wait = Histogram(
            "wsgibg_task_queue_wait_seconds",
            "How long background tasks waited for a thread and for the tasks before them.",
            name,
            registry=registry,
            buckets=buckets,
        )

    def hear(self, event: TaskEvent) -> None:
        """Count what happened to a task (a hook of ``on_task``)."""
        kind, task = event.kind, event.task
        if kind == "progress":
            return
        life = self.lives.of(task)
        name = life.extra = task.name
        if kind == "added":
            if life.added is None:
                life.added = monotonic()
                self.added.labels(name).inc()
                self._wait(life)
        elif kind == "started":
            self._go(life)
            life.begin(event)
            self.running.labels(name).inc()
            if life.waited is not None:
                self.wait.labels(name).observe(life.waited)
        elif kind == "retried":
            self._stop(life)
            self.retries.labels(name).inc()
            self._wait(life)
        else:
            self._end(event, life)

    def _end(self, event: TaskEvent, life: Life) -> None:
        self.ended.labels(life.extra, event.kind).inc()
        self._go(life)
        if event.kind != "interrupted":  # such a task may come to its end all the same
            self._stop(life)
            self.lives.end(event.task)

    def _wait(self, life: Life) -> None:
        life.waiting = True
        self.waiting.labels(life.extra).inc()

    def _go(self, life: Life) -> None:
        if life.waiting:
            life.waiting = False
            self.waiting.labels(life.extra).dec()

    def _stop(self, life: Life) -> None:
        """Note that an attempt is over, if one was under way."""
        if life.begun is not None:
            self.duration.labels(life.extra).observe(monotonic() - life.begun)
            life.begun = None
            self.running.labels(life.extra).dec()

    def _is_gone(self, life: Life) -> None:
        """Count a task no more that went without an end."""
        self._go(life)
        if life.begun is not None:
            self.running.labels(life.extra).dec()


_known: WeakKeyDictionary[CollectorRegistry, _Metrics] = WeakKeyDictionary()
