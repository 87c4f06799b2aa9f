"""`examples/response_background.py`, and its `async def` variant."""

from __future__ import annotations

from tests.examples.support import Example, servers, variants

EXAMPLE = Example(
    "response_background",
    "PUT",
    "/pictures/cat.png",
    202,
    b"The thumbnail will follow",
    "THUMBNAILS",
    "cat.png, 120 pixels wide\n",
)


@variants
def test_the_task_of_a_response_runs(variant, tmp_path, monkeypatch):
    """The response is accepted, and its own task makes the thumbnail."""
    EXAMPLE.check_with_client(variant, tmp_path, monkeypatch)


@variants
@servers
def test_it_works_on_a_server(variant, server, tmp_path):
    """Werkzeug's own server and gunicorn run it."""
    EXAMPLE.check_on_server(variant, server, tmp_path)
