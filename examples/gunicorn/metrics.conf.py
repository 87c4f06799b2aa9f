"""gunicorn's configuration where several workers have metrics for Prometheus.

PROMETHEUS_MULTIPROC_DIR=/run/shop/metrics gunicorn --config metrics.conf.py module:app
"""

# ruff: noqa: ANN001, ARG001
# --8<-- [start:workers]
from prometheus_client import multiprocess

from wsgibg.integrations.gunicorn import *  # noqa: F403


def child_exit(server, worker):
    multiprocess.mark_process_dead(worker.pid)


# --8<-- [end:workers]
