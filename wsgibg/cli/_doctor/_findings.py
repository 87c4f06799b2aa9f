"""What is to be changed, concluded from what was measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from wsgibg.cli._doctor._examine import Examination
from wsgibg.cli._doctor._stops import COUNT, LOST, REPORTED, Fate
from wsgibg.cli._doctor._waits import AT_ONCE, CLOSED, KINDS, NEVER, NONE, RESET, WAITS

__all__ = ["Finding", "findings", "notes"]

#: Kinds whose own client waits; the other two are about those who come after it.
_ANSWERS = tuple(kind for kind in KINDS if kind.way == "one")
_INTEGRATION = "from wsgibg.integrations.gunicorn import *"
_MERCY = '--hook-master-start "unix_signal:15 gracefully_kill_them_all"'


@dataclass(frozen=True)
class Finding:
    """Something to change.

    Args:
        what: what was seen.
        remedy: what to do about it, each a setting.
    """

    what: str
    remedy: tuple[str, ...]


def findings(exam: Examination) -> list[Finding]:
    """What is wrong for the application as it is, with the executor that it has."""
    rules = (*_RULES, *_OWN_RULES) if exam.own else _RULES
    return [each for rule in rules for each in rule(exam)]


# ------------------------------------------------------------------ rules
def _never_closed(exam: Examination) -> Iterator[Finding]:
    if not exam.closes:
        remedy = "Use a server that keeps to PEP 3333"
        if exam.command.server.name == "uvicorn":
            remedy = "pip install a2wsgi"
        yield Finding(
            "The server does not call close(): tasks start when Python collects the response.",
            (remedy,),
        )


def _own_errors(exam: Examination) -> Iterator[Finding]:
    base = exam.waits[NONE]
    wrong = [kind.title for kind in KINDS if base[kind.name].verdict.startswith("error")]
    if wrong:
        yield Finding(
            f"The server fails without any task: {', '.join(wrong)}.",
            ("Avoid these responses, or use another server",),
        )


def _errors(exam: Examination) -> Iterator[Finding]:
    base, own = exam.waits[NONE], exam.waits[exam.own]
    wrong = [
        f"{kind.title} ({own[kind.name].verdict})"
        for kind in KINDS
        if own[kind.name].verdict.startswith("error") and base[kind.name].verdict == AT_ONCE
    ]
    if wrong:
        yield Finding(
            f"With a task the client gets no good answer: {', '.join(wrong)}.",
            (_off_thread(exam), "See what the server logs"),
        )
    if any(each.verdict == NEVER for each in own.values()):
        remedy = "Let threads run in the server's workers"
        if exam.command.server.name == "uwsgi":
            remedy = "--enable-threads"
        yield Finding("A task has not run to its end.", (remedy,))


def _client_waits(exam: Examination) -> Iterator[Finding]:
    own = exam.waits[exam.own]
    late = [kind for kind in _ANSWERS if own[kind.name].verdict == WAITS]
    if not late:
        return
    remedy = [_off_thread(exam)]
    if exam.own == "inline" and {"no-content", "empty"} & {kind.name for kind in late}:
        remedy.append("or answer 202 with a small body, instead of 204 or an empty one")
    titles = ", ".join(kind.title for kind in late)
    yield Finding(f"The client waits for its tasks: {titles}.", tuple(remedy))


def _others_wait(exam: Examination) -> Iterator[Finding]:
    own = exam.waits[exam.own]
    if own["next"].verdict == exam.waits[NONE]["next"].verdict:
        pass  # tasks have nothing to do with it
    elif own["next"].verdict == RESET:
        yield Finding(
            "The connection breaks: it is not announced as closed, and a client's next request"
            " on it is reset when the task ends.",
            (_off_thread(exam),),
        )
    elif own["next"].verdict == WAITS:
        yield Finding(
            "The client's next request on the same connection waits.", (_off_thread(exam),)
        )
    if own["other"].verdict == WAITS:
        more = _more_threads(exam)
        yield Finding(
            "Other clients wait while a task runs: the server serves one at a time.",
            (_off_thread(exam), *([f"or {more}"] if more else [])),
        )


def _stops(exam: Examination) -> Iterator[Finding]:
    for name, fates in exam.fates.items():
        fate = fates.get(exam.own)
        if fate is None:
            continue  # its tasks do not run, which is told
        if name == "TERM" and not fate.ended:
            yield Finding(f"TERM does not end the server: {sentence(fate)}.", _to_end(exam))
            continue
        if name == "HUP" and not fate.serves:
            yield Finding("HUP ends the server instead of reloading it.", (_to_reload(exam),))
        if fate.count(LOST) or fate.count(REPORTED):
            yield Finding(f"{name}: {sentence(fate)}.", _to_finish(exam, name, fate))


Rule = Callable[[Examination], Iterator[Finding]]
#: About the server, and about the application's executor where that was measured.
_RULES: tuple[Rule, ...] = (_never_closed, _own_errors)
_OWN_RULES: tuple[Rule, ...] = (_errors, _client_waits, _others_wait, _stops)


# ------------------------------------------------------------------ remedies
def sentence(fate: Fate) -> str:
    """What became of tasks, in words."""
    words = {LOST: "lost without a word", REPORTED: "reported as not done", "done": "done"}
    said: list[str] = []
    for what, text in words.items():
        count = fate.count(what)
        if count:
            said.append(f"{count} of {COUNT} tasks {text}" if not said else f"{count} {text}")
    return ", ".join(said)


def _off_thread(exam: Examination) -> str:
    """Have tasks run elsewhere, or more of them at the same time."""
    if exam.own == "pool":
        return "ThreadExecutor(workers=..., queue_size=...): raise both"
    return _written(exam, 0)


def _more_threads(exam: Examination) -> str:
    return {
        "gunicorn": "--worker-class gthread --threads 4",
        "uwsgi": "--threads 4",
        "waitress": "--threads 4",
        "granian": "--blocking-threads 4",
        "flask": "--with-threads",
    }.get(exam.command.server.name, "")


def _to_end(exam: Examination) -> tuple[str, ...]:
    if exam.command.server.name == "uwsgi":
        return (_MERCY, "or --die-on-term, with tasks in the pool")
    return ("See what the server logs", "Do not daemonize it")


def _to_reload(exam: Examination) -> str:
    return "--master" if exam.command.server.name == "uwsgi" else "See what the server logs"


def _to_finish(exam: Examination, name: str, fate: Fate) -> tuple[str, ...]:
    """What keeps tasks at a signal; where it cuts all the same, a durable queue is left."""
    server = exam.command.server.name
    whole = COUNT * exam.seconds
    if server == "gunicorn":
        return tuple(_gunicorn(exam, whole))
    if server == "uwsgi":
        if exam.own == "inline" and name == "TERM":
            return (_MERCY,)
        return (f"--worker-reload-mercy {math.ceil(whole) + 5}",)
    if server == "granian":
        limit = f"--workers-kill-timeout {math.ceil(whole) + 5}, or leave it unset"
        return (_off_thread(exam),) if exam.own == "inline" else (limit,)
    if server == "hypercorn":
        return (f"--graceful-timeout {math.ceil(whole) + 5}",)
    if fate.count(LOST):
        return (f"{_written(exam, 1)}.install_signal_handlers()",)
    return (f"ThreadExecutor(drain_timeout={math.ceil(whole) + 5})",)


#: How an application that has its tasks in some way is given a pool, and what has our methods.
_WAYS = {
    "": ("wrap({app}, executor=ThreadExecutor())", "wrap({app})"),
    "App": ("App(executor=ThreadExecutor())", "{app}"),
    "wrap": ("wrap(..., executor=ThreadExecutor())", "{app}"),
    "wsgi_app": ("wrap({app}.wsgi_app, executor=ThreadExecutor())", "{app}.wsgi_app"),
    "Flask": ("BackgroundTasks({app}, executor=ThreadExecutor())", "{app}.wsgi_app"),
    "Django": (
        'WSGIBG = {"EXECUTOR": "wsgibg.ThreadExecutor"}',
        "wsgibg.integrations.django.task_manager()",
    ),
}


def _written(exam: Examination, at: int) -> str:
    """One of these, with the application as its own module calls it."""
    name = exam.target.partition(":")[2]
    return _WAYS[exam.facts["way"]][at].replace("{app}", name if name.isidentifier() else "app")


def _gunicorn(exam: Examination, whole: float) -> Iterator[str]:
    if not exam.facts["integration"]:
        yield _INTEGRATION
    graceful = exam.command.has("--graceful-timeout")
    if graceful is not None or exam.facts["integration"] or whole > 25:
        yield f"--graceful-timeout {math.ceil(whole) + 5}"


# ------------------------------------------------------------------ notes
def notes(exam: Examination) -> list[str]:
    """What was not measured and is worth knowing."""
    said = [*exam.command.notes]
    server, facts = exam.command.server.name, exam.facts
    if facts["executor"] is None:
        said.append(
            f"{exam.target} is a {facts['kind']} without background tasks of wsgibg's: what is said"
            " holds for wrap(app), which runs them inline."
        )
    if facts["durable"]:
        said.append(f"{facts['executor']} was not measured: nothing is put into your queue.")
    known = {remedy for finding in findings(exam) for remedy in finding.remedy}
    if server == "gunicorn" and not facts["integration"] and _INTEGRATION not in known:
        limit = exam.command.has("--graceful-timeout") or 30
        said.append(
            f"Tasks that take longer than --graceful-timeout ({limit} s) are killed without a word"
            f" when a worker stops. `{_INTEGRATION}` in gunicorn.conf.py has them reported."
        )
    if exam.command.has("--harakiri") is not None:
        said.append("--harakiri kills a request with its inline tasks, without a word.")
    own = exam.own
    for name, fates in exam.fates.items():
        for mode, fate in fates.items():
            remedies = _to_finish(exam, name, fate)
            if mode != own and fate.count(LOST) and not known.issuperset(remedies):
                said.append(
                    f"{name} with tasks {_in(mode)}: {sentence(fate)}. What helps: "
                    f"{'; '.join(remedies)}."
                )
    if own == "pool" and any(
        each.verdict not in (AT_ONCE, CLOSED) for each in exam.waits["inline"].values()
    ):
        said.append("The pool is the better choice here: see the column inline.")
    return said


def _in(mode: str) -> str:
    return {"inline": "inline", "pool": "in the pool"}.get(mode, "in the executor")
