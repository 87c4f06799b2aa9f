"""gunicorn's configuration where it has a hook of the same name."""

# ruff: noqa: ANN001
# --8<-- [start:hook]
from wsgibg.integrations import gunicorn as background


def post_worker_init(worker):
    background.post_worker_init(worker)
    worker.log.info("ready")


# --8<-- [end:hook]
