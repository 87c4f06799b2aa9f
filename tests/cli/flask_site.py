"""A Flask application with our extension."""

from __future__ import annotations

from flask import Flask

from wsgibg import ThreadExecutor
from wsgibg.integrations.flask import BackgroundTasks

app = Flask(__name__)
BackgroundTasks(app, executor=ThreadExecutor())
