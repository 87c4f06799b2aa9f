"""`examples/merged_tasks.py`, and its `async def` variant."""

from __future__ import annotations

from tests.examples.support import Example, servers, variants

EXAMPLE = Example(
    "merged_tasks",
    "POST",
    "/loans/Emma?card=7",
    200,
    b'{"message":"Enjoy Emma"}',
    "LENDING_JOURNAL",
    "card 7 was shown\nEmma was lent on card 7\n",
)


@variants
def test_the_tasks_are_merged(variant, tmp_path, monkeypatch):
    """The line of the dependency stands before the handler's."""
    EXAMPLE.check_with_client(variant, tmp_path, monkeypatch)


@variants
@servers
def test_it_works_on_a_server(variant, server, tmp_path):
    """Werkzeug's own server and gunicorn run it."""
    EXAMPLE.check_on_server(variant, server, tmp_path)
