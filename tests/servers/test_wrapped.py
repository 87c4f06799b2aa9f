"""Applications inside `wrap` on a real server: what the client gets, and which tasks run."""

from __future__ import annotations

from collections.abc import Callable
from http.client import HTTPException

from tests.servers.harness import Server

#: For each kind of behaviour whether the request has succeeded, as `wrap` sees it.
KINDS = {
    "list": True,
    "generator": True,
    "file": True,
    "empty": True,
    "written": True,
    "replaced": True,
    "204 NO CONTENT": True,
    "304 NOT MODIFIED": True,
    "302 FOUND": True,
    "forgotten": True,
    "sticks": True,
    "twice": False,
    "none": False,
    "text": False,
    "bytes": False,
    "number": False,
    "early": False,
    "raises": False,
    "breaks": False,
}
SAID = {
    "none": "app() returned None instead of an iterable of bytes",
    "text": "app() returned text. Return a list of bytes",
    "bytes": "app() returned bytes, which are iterated by numbers",
    "number": "app() returned 5, which is no iterable of bytes",
}


def outcome(server: Server, path: str, method: str) -> tuple[int, dict[str, str], bytes] | str:
    """The answer without its date, or that there is none."""
    try:
        answer = server.ask(path.replace(" ", "%20"), method)
    except (HTTPException, OSError) as error:
        return type(error).__name__
    return answer.status, {**answer.headers, "date": ""}, answer.body


def test_every_behaviour_is_the_servers_to_answer(serve: Callable[..., Server]):
    """The client gets what it gets without `wrap`, at least; the tasks run that are to run."""
    server = serve("gunicorn-gthread", "wrapped:application")
    for kind, succeeds in KINDS.items():
        for method in ("GET", "HEAD"):
            bare = outcome(server, f"/bare/{kind}?job=none", method)
            for place in ("inline", "pooled"):
                job = server.job(f"{place}-{kind.split()[0]}-{method}")
                answer = outcome(server, f"/{place}/{kind}?job={job.name}", method)
                if kind in SAID:  # (without `wrap` some servers break off in the middle)
                    assert answer[0] == 500, (kind, method, place)
                else:
                    assert answer == bare, (kind, method, place)
                job.expect("returned" if succeeds else "error")
    for said in SAID.values():
        assert said in server.output()


def test_injected_views(serve: Callable[..., Server]):
    """Their dependencies are left after the body and before the tasks, or see the error."""
    server = serve("gunicorn-gthread", "wrapped:application")
    for place in ("view", "pooled-view"):
        job = server.job(place)
        assert server.ask(f"/{place}/?job={job.name}").body == b"hello"
        job.expect("sent", "committed", "closed", "task")
        failing = server.job(place)
        assert server.ask(f"/{place}/raises?job={failing.name}").status == 500
        failing.expect("rolled back")
        assert server.ask(f"/{place}/").status == 500
    assert server.output().count("view() failed (LookupError: the application raises)") == 2
    assert "ViewValidationError" in server.output()
