"""A server's command line, changed so that it serves the probe on a port of our own."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

__all__ = ["PROBE", "SERVERS", "Command", "Kind", "program", "understand"]

#: What a server is told to serve instead of the user's application.
PROBE = "wsgibg.cli._probe:app"
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Kind:
    """A server that is known: how it is told what to serve, and where.

    Args:
        name: what it is called here.
        adds: the words that serve ``{app}`` on ``{port}``.
        without: the options that these words replace, or that would take the server out of our
            hands; one that ends with ``=`` is followed by a value.
        unless: words to add unless one of those before them is there.
        subcommand: the word in front of which ``adds`` do not work.
        reloads: whether SIGHUP has it replace its workers.
    """

    name: str
    adds: tuple[str, ...]
    without: tuple[str, ...] = ()
    unless: tuple[tuple[tuple[str, ...], str], ...] = ()
    subcommand: str = ""
    reloads: bool = False


_HOST_PORT = (f"--host={HOST}", "--port={port}")
_WERKZEUG = (
    "import sys; from werkzeug.serving import run_simple;"
    " from wsgibg.cli._probe import app;"
    f" run_simple({HOST!r}, int(sys.argv[1]), app, threaded=True)"
)

#: Programs and modules, by what a user writes.
SERVERS = {
    "gunicorn": Kind(
        "gunicorn",
        (f"--bind={HOST}:{{port}}", "{app}"),
        ("-b=", "--bind=", "-D", "--daemon", "-p=", "--pid="),
        reloads=True,
    ),
    "uwsgi": Kind(
        "uwsgi",
        ("--module={app}",),
        (
            *("-w=", "--module=", "--wsgi=", "--wsgi-file=", "--file=", "--mount=", "--callable="),
            *("-d=", "--daemonize=", "--daemonize2=", "--pidfile=", "--pidfile2="),
            *("-s=", "--socket=", "--uwsgi-socket=", "--stats="),
        ),
        (
            (("--http", "--http-socket", "--http11-socket"), f"--http-socket={HOST}:{{port}}"),
            (("--need-app",), "--need-app"),
        ),
        reloads=True,
    ),
    "waitress": Kind(
        "waitress",
        (f"--listen={HOST}:{{port}}", "{app}"),
        ("--listen=", "--host=", "--port=", "--unix-socket=", "--call"),
    ),
    "granian": Kind(
        "granian",
        (*_HOST_PORT, "{app}"),
        ("--host=", "--port=", "--uds=", "--factory", "--pid-file="),
        ((("--interface",), "--interface=wsgi"),),
        reloads=True,
    ),
    "hypercorn": Kind(
        "hypercorn",
        (f"--bind={HOST}:{{port}}", "wsgi:{app}"),
        ("-b=", "--bind=", "--insecure-bind=", "--quic-bind=", "-p=", "--pid="),
    ),
    "uvicorn": Kind(
        "uvicorn",
        (*_HOST_PORT, "{app}"),
        ("--host=", "--port=", "--uds=", "--fd=", "--factory"),
        ((("--interface",), "--interface=wsgi"),),
    ),
    "cheroot": Kind("cheroot", (f"--bind={HOST}:{{port}}", "{app}"), ("--bind=",)),
    "flask": Kind(
        "flask",
        ("--app={app}", "run", *_HOST_PORT),
        ("-A=", "--app=", "-h=", "--host=", "-p=", "--port=", "--reload"),
        ((("--no-reload",), "--no-reload"),),
        subcommand="run",
    ),
    "wsgibg": Kind(
        "werkzeug",
        ("run", *_HOST_PORT, "--no-reload", "{app}"),
        ("--host=", "--port=", "--no-reload"),
        subcommand="run",
    ),
    "werkzeug": Kind("werkzeug", ()),
}
SERVERS["waitress-serve"] = SERVERS["waitress"]


@dataclass(frozen=True)
class Command:
    """A command line that serves the probe.

    Args:
        words: the words, with ``{app}``, ``{port}`` and ``{bind}`` in them.
        server: the server, as far as it is known.
        factory: whether the application's name is that of a function that makes it.
        notes: what of the user's command is not taken as it is.
    """

    words: tuple[str, ...]
    server: Kind
    factory: bool = False
    notes: tuple[str, ...] = field(default=())

    def on(self, port: int) -> list[str]:
        """The words with everything filled in.

        Args:
            port: where to listen.
        """
        values = {"{app}": PROBE, "{port}": str(port), "{bind}": f"{HOST}:{port}"}
        return [_filled(word, values) for word in self.words]

    def has(self, option: str) -> str | None:
        """The value of an option; empty, if it has none; nothing, if it is not there.

        Args:
            option: its long form, as in ``--timeout``.
        """
        for word, following in zip(self.words, (*self.words[1:], ""), strict=True):
            name, equals, value = word.partition("=")
            if name == option:
                return value if equals else "" if following.startswith("-") else following
        return None


def understand(target: str, server: str, more: Sequence[str] = ()) -> Command:
    """Read what a user writes after ``--server``.

    Args:
        target: the user's application, as it may stand in the command.
        server: a server's name, or its command; ``{app}`` stands for the application, ``{port}``
            and ``{bind}`` for where it is served.
        more: further words of the command.

    Raises:
        click.UsageError: it cannot be told how to serve the probe with it.

    Example:
        >>> understand("shop:app", "gunicorn -k gthread --bind :80").on(8000)[1:]
        ['-k', 'gthread', '--bind=127.0.0.1:8000', 'wsgibg.cli._probe:app']
    """
    try:
        words = [*shlex.split(server), *more]
    except ValueError as error:
        msg = f"--server {server!r} cannot be split into words: {error}."
        raise click.UsageError(msg) from None
    if not words:
        raise click.UsageError("--server is empty. Write a server's name or its command.")
    at = _position(words)
    kind = SERVERS[Path(words[at]).name] if at is not None else None
    if any(mark in word for word in words for mark in ("{port}", "{bind}")):
        chosen = kind or Kind(Path(words[0]).name, ())
        filled = ["{app}" if word == target else word for word in words]
        if not any("{app}" in word for word in filled):
            msg = f"--server: write {{app}} where the command has {target}."
            raise click.UsageError(msg)
        return Command(tuple(filled), chosen)
    if kind is None or at is None:
        names = ", ".join(sorted(SERVERS))
        msg = (
            f"--server: {words[0]!r} is not one of {names}. Write its whole command with {{app}}"
            " and {port} (or {bind}) where it names what to serve, and where."
        )
        raise click.UsageError(msg)
    if kind.name == "werkzeug" and words[at] == "werkzeug":
        return Command((sys.executable, "-c", _WERKZEUG, "{port}"), kind)
    return _changed(words, at, kind, target)


def _changed(words: list[str], at: int, kind: Kind, target: str) -> Command:
    """The command of a known server, serving the probe."""
    start = words[: at + 1]
    own = [word for word in words[at + 1 :] if word not in (target, f"wsgi:{target}")]
    if start == ["waitress"]:  # so is the module called, and not the program
        start = ["waitress-serve"]
    group: list[str] = []
    if kind.subcommand and kind.subcommand in own:
        cut = own.index(kind.subcommand)
        group, own = own[:cut], own[cut + 1 :]
    rest = list(_without(own, kind.without))
    extra = [
        word for options, word in kind.unless if not any(_name(each) in options for each in rest)
    ]
    if kind.name == "uwsgi":
        rest = list(_rebound(rest))
        if sys.prefix != sys.base_prefix and not {*map(_name, rest)} & _HOMES:
            extra.append(f"--virtualenv={sys.prefix}")
    adds = [*kind.adds]
    if kind.subcommand:  # options of the group stand before it
        run = adds.index(kind.subcommand)
        group = [*adds[:run], *_without(group, kind.without), kind.subcommand]
        adds = adds[run + 1 :]
    factory = any(word in ("--call", "--factory") for word in own)
    return Command((*start, *group, *rest, *extra, *adds), kind, factory, _notes(own, kind))


def _position(words: list[str]) -> int | None:
    """Where the server is named; ``python -m`` and the like may stand before it."""
    return next((at for at, word in enumerate(words) if Path(word).name in SERVERS), None)


def _without(words: Iterable[str], options: Sequence[str]) -> Iterator[str]:
    """Leave out options, with their values."""
    flags = {option for option in options if not option.endswith("=")}
    valued = {option.removesuffix("=") for option in options if option.endswith("=")}
    short = tuple(option for option in valued if not option.startswith("--"))
    rest = iter(words)
    for word in rest:
        name, equals, _ = word.partition("=")
        if name in valued:
            if not equals:
                next(rest, None)
        elif not (word in flags or (short and word.startswith(short) and word[:2] != "--")):
            yield word


#: uWSGI's options that name a virtual environment.
_HOMES = {"-H", "--home", "--virtualenv", "--venv", "--pyhome"}
_HTTP = ("--http", "--http-socket", "--http11-socket")


def _rebound(words: Iterable[str]) -> Iterator[str]:
    """UWSGI's ways of speaking HTTP differ, so the address alone is replaced."""
    rest = iter(words)
    for word in rest:
        name, equals, _ = word.partition("=")
        if name not in _HTTP:
            yield word
            continue
        if not equals:
            next(rest, None)
        yield f"{name}={HOST}:{{port}}"


def _name(word: str) -> str:
    """The name of an option that is written with its value."""
    return word.partition("=")[0]


def _notes(words: list[str], kind: Kind) -> tuple[str, ...]:
    notes = []
    if kind.name == "uwsgi" and {*map(_name, words)} & {"-s", "--socket", "--uwsgi-socket"}:
        notes.append("uWSGI's --socket speaks its own protocol: --http-socket was measured.")
    return tuple(notes)


def _filled(word: str, values: dict[str, str]) -> str:
    for mark, value in values.items():
        word = word.replace(mark, value)
    return word


def program(name: str) -> str | None:
    """The path of a program: of this environment, or of the system; or nothing.

    Args:
        name: what a user writes. An environment need not be activated to be used.
    """
    here = Path(sys.executable).parent
    return shutil.which(name, path=str(here)) or shutil.which(name)
