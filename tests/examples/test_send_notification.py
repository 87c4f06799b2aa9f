"""`examples/send_notification.py`, and its `async def` variant."""

from __future__ import annotations

from tests.examples.support import Example, servers, variants

EXAMPLE = Example(
    "send_notification",
    "POST",
    "/send-notification/ada@example.com",
    200,
    b'{"message":"Notification sent in the background"}',
    "NOTIFICATION_LOG",
    "notification for ada@example.com: welcome\n",
)


@variants
def test_the_notification_is_written(variant, tmp_path, monkeypatch):
    """The client is told that the notification is sent in the background, and it is."""
    EXAMPLE.check_with_client(variant, tmp_path, monkeypatch)


@variants
@servers
def test_it_works_on_a_server(variant, server, tmp_path):
    """Werkzeug's own server and gunicorn run it."""
    EXAMPLE.check_on_server(variant, server, tmp_path)
