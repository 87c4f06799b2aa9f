"""The place where FastAPI has its ``TestClient``; see `wsgibg.testing`."""

from __future__ import annotations

from wsgibg.testing import TestClient

__all__ = ["TestClient"]
