"""What the doctor and the probe in the server's process know of each other."""

from __future__ import annotations

__all__ = ["FAILURE", "FOLDER", "MARKS", "PREFIX", "TARGET"]

#: The environment variables by which the doctor says what to serve, below which prefix its own
#: routes are, and in which folder it looks.
TARGET = "WSGIBG_DOCTOR_TARGET"
PREFIX = "WSGIBG_DOCTOR_PREFIX"
FOLDER = "WSGIBG_DOCTOR_FOLDER"

#: The files in that folder: what tasks have done, and why there is no application.
MARKS = "marks"
FAILURE = "failure"
