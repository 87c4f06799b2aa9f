"""The PostgreSQL server that the tests start."""

from __future__ import annotations

import psycopg


def test_it_answers_and_keeps_what_is_committed(postgres):
    """Over a loopback port, without a password."""
    with psycopg.connect(postgres) as first:
        first.execute("CREATE TABLE kept (word text)")
        first.execute("INSERT INTO kept VALUES ('hello')")
    with psycopg.connect(postgres) as second:
        assert second.execute("SELECT word FROM kept").fetchall() == [("hello",)]
        second.execute("DROP TABLE kept")
