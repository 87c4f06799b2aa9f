"""How the doctor changes a server's command."""

from __future__ import annotations

import shlex
import sys

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgibg.cli._doctor._command import PROBE, SERVERS, program, understand

TARGET = "shop.api:app"


def told(server: str, *more: str) -> list[str]:
    """The words with everything filled in."""
    return understand(TARGET, server, more).on(8001)


# --- known servers -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("gunicorn", f"gunicorn --bind=127.0.0.1:8001 {PROBE}"),
        (
            "gunicorn -k gthread --threads 4",
            f"-k gthread --threads 4 --bind=127.0.0.1:8001 {PROBE}",
        ),
        ("waitress", f"waitress-serve --listen=127.0.0.1:8001 {PROBE}"),
        ("waitress-serve --threads=2", f"--threads=2 --listen=127.0.0.1:8001 {PROBE}"),
        ("granian", f"granian --interface=wsgi --host=127.0.0.1 --port=8001 {PROBE}"),
        ("granian --interface rsgi", f"--interface rsgi --host=127.0.0.1 --port=8001 {PROBE}"),
        ("hypercorn", f"hypercorn --bind=127.0.0.1:8001 wsgi:{PROBE}"),
        ("uvicorn", f"uvicorn --interface=wsgi --host=127.0.0.1 --port=8001 {PROBE}"),
        ("cheroot", f"cheroot --bind=127.0.0.1:8001 {PROBE}"),
        ("flask", f"flask --app={PROBE} run --no-reload --host=127.0.0.1 --port=8001"),
        (
            "flask -A shop --debug run -p 80 --with-threads",
            f"--app={PROBE} --debug run --with-threads --no-reload --host=127.0.0.1 --port=8001",
        ),
        ("wsgibg run", f"wsgibg run --host=127.0.0.1 --port=8001 --no-reload {PROBE}"),
        ("python -m gunicorn", f"python -m gunicorn --bind=127.0.0.1:8001 {PROBE}"),
        ("newrelic-admin run-program gunicorn", f"gunicorn --bind=127.0.0.1:8001 {PROBE}"),
    ],
)
def test_a_known_server_is_told_what_to_serve_and_where(server, words):
    """The user's options stay, and the probe comes last."""
    assert shlex.join(told(server)).endswith(words)


def test_uwsgi_keeps_its_way_of_speaking_http():
    """--http and --http-socket differ, so the address alone is replaced."""
    assert "--http=127.0.0.1:8001" in told("uwsgi --http :80")
    assert "--http=127.0.0.1:8001" in told("uwsgi --http=:80")
    assert "--http-socket=127.0.0.1:8001" in told("uwsgi")
    assert f"--module={PROBE}" in told("uwsgi --master -w shop.api:app")


def test_uwsgi_protocol_is_replaced_by_http_and_that_is_said():
    """The doctor speaks HTTP alone."""
    command = understand(TARGET, "uwsgi --socket :3031")

    assert not [word for word in command.words if "socket" in word and "http" not in word]
    assert "--http-socket was measured" in command.notes[0]


def test_uwsgi_is_given_this_environment(monkeypatch):
    """It finds no virtual environment by itself; one that the user names is kept."""
    monkeypatch.setattr(sys, "prefix", "/venv")
    monkeypatch.setattr(sys, "base_prefix", "/usr")

    assert "--virtualenv=/venv" in told("uwsgi")
    assert "--virtualenv=/venv" not in told("uwsgi -H /other")

    monkeypatch.setattr(sys, "base_prefix", "/venv")
    assert "--virtualenv=/venv" not in told("uwsgi")


@pytest.mark.parametrize(
    "server",
    [
        "gunicorn shop.api:app",
        "gunicorn --bind 0.0.0.0:80 -b :81 -b:82 --bind=:83 -D --pid /run/pid",
        "hypercorn wsgi:shop.api:app -b :80",
    ],
)
def test_the_users_application_and_address_are_replaced(server):
    """Nothing of them is left."""
    words = told(server)

    assert not [word for word in words if "shop" in word]
    assert [word for word in words if ":8" in word] == ["--bind=127.0.0.1:8001"]
    assert not {"-D", "--pid", "/run/pid"} & set(words)


@pytest.mark.parametrize("server", ["waitress-serve --call", "uvicorn --factory"])
def test_a_function_that_makes_the_application_is_called_by_the_probe(server):
    """The option is left out, because the probe is no such function."""
    command = understand(TARGET, server)

    assert command.factory
    assert not {"--call", "--factory"} & set(command.words)


def test_werkzeug_has_no_command_so_it_has_one_here():
    """Its threaded server is started as a program does it."""
    words = told("werkzeug")

    assert words[:2] == [sys.executable, "-c"]
    assert "threaded=True" in words[2]
    assert words[3] == "8001"


# --- any command ---------------------------------------------------------------------------


def test_any_command_may_say_what_goes_where():
    """{app}, {port} and {bind} are replaced, also inside a word."""
    words = told("./serve --on={bind} --port {port} {app}")

    assert words == ["./serve", "--on=127.0.0.1:8001", "--port", "8001", PROBE]


def test_the_application_in_a_command_with_placeholders_is_replaced():
    """{app} need not be written where the application's name stands."""
    assert told(f"mod_wsgi-express --port {{port}} {TARGET}")[-1] == PROBE


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ("", "is empty"),
        ("gunicorn 'unclosed", "cannot be split into words: No closing quotation"),
        ("./serve", "'./serve' is not one of cheroot, flask, granian"),
        ("./serve {port}", "write {app} where the command has shop.api:app"),
    ],
)
def test_what_cannot_be_understood_is_refused(server, said):
    """The message says what to write."""
    with pytest.raises(click.UsageError, match="--server") as caught:
        told(server)

    assert said in str(caught.value)


def test_options_are_found_with_their_values():
    """Written with a space or with `=`, or without a value."""
    command = understand(TARGET, "gunicorn --timeout=3 --graceful-timeout 5 --preload --reload")

    assert command.has("--timeout") == "3"
    assert command.has("--graceful-timeout") == "5"
    assert command.has("--preload") == ""
    assert command.has("--harakiri") is None


def test_programs_are_found_beside_the_interpreter():
    """An environment need not be activated to be used."""
    assert program("python") is not None
    assert program("no-such-server") is None


# --- any words -----------------------------------------------------------------------------

WORDS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *(
                    "-b",
                    "--bind",
                    "--bind=:80",
                    "-b:80",
                    "-p",
                    "--port",
                    "--host=::",
                    "-w",
                    "--call",
                ),
                *("--http", "--socket", "--reload", "-D", "--", "-", "=", "--=", TARGET, "run"),
            ]
        ),
        st.text(max_size=8),
    ),
    max_size=6,
)


@given(server=st.sampled_from(sorted(SERVERS)), more=WORDS)
def test_whatever_options_are_written_the_probe_is_served_on_our_port(server, more):
    """Once, and by no name that the user's application has."""
    words = understand(TARGET, server, more).on(8001)

    text = " ".join(words)
    assert text.count("_probe") == 1
    assert "8001" in text
    assert TARGET not in words


@given(text=st.text())
def test_whatever_is_written_is_understood_or_refused(text):
    """Nothing else is raised."""
    try:
        command = understand(TARGET, text)
    except click.UsageError:
        return
    assert command.words
