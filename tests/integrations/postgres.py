"""A PostgreSQL server of the tests' own, which leaves nothing behind."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import free_port, missing, wait_for

__all__ = ["postgres_binaries", "running_postgres"]

PATIENCE = 30.0  # seconds
ROLE = "wsgibg"


def postgres_binaries() -> Path:
    """The folder of `initdb` and `postgres`: on the PATH, or where Debian puts them."""
    if found := shutil.which("initdb"):
        folders = [Path(found).resolve().parent]
    else:
        folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if all((folder / name).exists() for name in ("initdb", "postgres", "pg_isready")):
            return folder
    return missing("PostgreSQL")


@contextmanager
def running_postgres() -> Iterator[str]:
    """Start a server on a port of 127.0.0.1 that nobody uses, and stop it in the end.

    PostgreSQL refuses to be root, so then it runs as the user that its package has made. Its data
    is in a folder of its own: those of pytest are not open to another user.

    Yields:
        Its URL, ``postgresql://ROLE@HOST:PORT/DATABASE``; no password is asked for.
    """
    binaries = postgres_binaries()
    account = server_account()
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="wsgibg-postgres-"))
    process = None
    try:
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
        data, output = folder / "data", folder / "output.txt"
        options: dict[str, Any] = {"cwd": folder, "stdin": subprocess.DEVNULL}
        if account is not None:
            options |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        with output.open("wb") as file:
            options |= {"stdout": file, "stderr": subprocess.STDOUT}
            done = subprocess.run(init_command(binaries, data), check=False, **options)
            if done.returncode:
                pytest.fail(f"initdb has failed:\n{output.read_text(errors='replace')}")
            process = subprocess.Popen(server_command(binaries, data, port), **options)

        def answers() -> bool:
            if process.poll() is not None:
                pytest.fail(f"PostgreSQL has ended:\n{output.read_text(errors='replace')}")
            return is_ready(binaries, port)

        wait_for(answers, PATIENCE, "PostgreSQL answers")
        yield f"postgresql://{ROLE}@127.0.0.1:{port}/postgres"
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)  # it disconnects its clients
            process.wait(PATIENCE)
        shutil.rmtree(folder, ignore_errors=True)


def server_account() -> pwd.struct_passwd | None:
    """Whom the server runs as; None for ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return missing("a user account for PostgreSQL")


def init_command(binaries: Path, data: Path) -> list[str]:
    """What makes an empty data folder."""
    return [
        str(binaries / "initdb"),
        f"--pgdata={data}",
        f"--username={ROLE}",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
    ]


def server_command(binaries: Path, data: Path, port: int) -> list[str]:
    """What serves it, with no file outside of it; nothing in it has to survive."""
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "off",
        "max_connections": "100",
    }
    command = [str(binaries / "postgres"), "-D", str(data), "-p", str(port)]
    return command + [part for item in settings.items() for part in ("-c", "=".join(item))]


def is_ready(binaries: Path, port: int) -> bool:
    """Whether it takes connections."""
    command = [str(binaries / "pg_isready"), "--quiet", "--host=127.0.0.1", f"--port={port}"]
    return subprocess.run(command, check=False).returncode == 0
