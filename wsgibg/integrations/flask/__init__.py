"""Background tasks in a Flask application.

``BackgroundTasks(app)`` is all it takes; `wsgibg.current_tasks` is then the collector of the
request, in a view and in anything that a view calls.
"""

from __future__ import annotations

from wsgibg.integrations.flask._extension import BackgroundTasks
from wsgibg.integrations.flask._snapshot import RequestSnapshot, current_request

__all__ = ["BackgroundTasks", "RequestSnapshot", "current_request"]
