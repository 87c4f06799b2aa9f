"""gunicorn's configuration for an application with background tasks.

gunicorn --config gunicorn.conf.py module:app
"""

from wsgibg.integrations.gunicorn import *  # noqa: F403

# Longer than the drain_timeout of ThreadExecutor, which is 25 s: then workers are killed.
graceful_timeout = 30
