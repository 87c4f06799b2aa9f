# How to serve an application whose tasks are to be done, or reported, when gunicorn stops:
#
#     gunicorn --config gunicorn.conf.py module:app

from wsgibg.integrations.gunicorn import *  # noqa: F403

# Longer than the drain_timeout of ThreadExecutor, which is 25 s; the arbiter kills workers then.
graceful_timeout = 30
