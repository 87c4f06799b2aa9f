"""How an example and its `async def` variant are run: by Werkzeug's client, and on two servers."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

from tests.servers.harness import PATIENCE, serving
from tests.servers.setups import setup_named
from tests.support import ROOT, client, wait_for

__all__ = ["Example", "servers", "variants"]

FOLDERS = {"def": ROOT / "examples", "async def": Path(__file__).parent}

variants = pytest.mark.parametrize("variant", FOLDERS)
servers = pytest.mark.parametrize("server", ["werkzeug-threaded", "gunicorn-sync"])


@dataclass(frozen=True)
class Example:
    """A request, its answer, and what the tasks write into the file that a variable names."""

    name: str
    method: str
    path: str
    status: int
    answer: bytes
    variable: str
    written: str

    def app(self, variant: str) -> str:
        """Where the application is."""
        return f"{self.name}:app" if variant == "def" else f"asynchronous:{self.name}"

    def check_with_client(
        self, variant: str, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """When the answer is closed, what the tasks are to write is written."""
        written = folder / "written.txt"
        monkeypatch.setenv(self.variable, str(written))
        monkeypatch.syspath_prepend(FOLDERS[variant])
        module, _, name = self.app(variant).partition(":")
        app = getattr(import_module(module), name)

        answer = client(app).open(self.path, method=self.method)

        assert (answer.status_code, answer.data) == (self.status, self.answer)
        assert written.read_text(encoding="utf-8") == self.written

    def check_on_server(self, variant: str, server: str, folder: Path) -> None:
        """Soon after the answer, what the tasks are to write is written."""
        setup = setup_named(server)
        setup.require()
        written = folder / "written.txt"
        env = {self.variable: str(written)}
        app, apps = self.app(variant), FOLDERS[variant]
        with serving(setup, app, folder, apps=apps, env=env) as running:
            answer = running.ask(self.path, self.method)
            assert (answer.status, answer.body) == (self.status, self.answer)
            wait_for(
                lambda: written.exists() and written.read_text(encoding="utf-8") == self.written,
                PATIENCE,
                f"{written.name} has its lines",
            )
