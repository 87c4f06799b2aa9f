"""What the doctor concludes from what was measured, and how that is printed."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from wsgibg.cli._doctor._command import understand
from wsgibg.cli._doctor._examine import Examination
from wsgibg.cli._doctor._findings import findings, notes
from wsgibg.cli._doctor._stops import DONE, LOST, REPORTED, Fate
from wsgibg.cli._doctor._table import as_json, show_examination
from wsgibg.cli._doctor._waits import AT_ONCE, CLOSED, KINDS, NEVER, NONE, RESET, WAITS, Wait

ALL_DONE = Fate((DONE,) * 3, ended=True, serves=False, seconds=1.0)
ALL_LOST = replace(ALL_DONE, tasks=(LOST,) * 3)
RELOADED = replace(ALL_DONE, ended=False, serves=True)


def answers(**other: str) -> dict[str, Wait]:
    """Every answer is there at once, but for those that are named."""
    verdicts = {kind.name: other.get(kind.name.replace("-", "_"), AT_ONCE) for kind in KINDS}
    return {
        name: Wait(verdict, 0.3 if verdict in (WAITS, RESET) else 0.001)
        for name, verdict in verdicts.items()
    }


def exam(server: str = "gunicorn", executor: str | None = "InlineExecutor") -> Examination:
    """An examination in which all was well."""
    facts = {
        "kind": "App",
        "executor": executor,
        "way": "App" if executor else "",
        "durable": False,
        "integration": False,
        "versions": {"gunicorn": "27.0.1", "gevent": "26.9.0", "uwsgi": "2.0.31"},
        "python": "3.11.7",
    }
    command = understand("shop:app", server)
    modes = ["inline", "pool", *(["own"] if executor == "Own" else [])]
    fates = dict.fromkeys(modes, ALL_DONE)
    return Examination(
        "shop:app",
        command,
        0.3,
        facts,
        waits={mode: answers() for mode in (NONE, *modes)},
        fates={"HUP": dict.fromkeys(modes, RELOADED), "TERM": fates},
    )


def told(made: Examination) -> list[tuple[str, ...]]:
    """What each finding says: what was seen, and the remedies."""
    return [(each.what, *each.remedy) for each in findings(made)]


def remedies(made: Examination) -> set[str]:
    return {remedy for each in findings(made) for remedy in each.remedy}


def printed(made: Examination, width: int = 80) -> str:
    out = io.StringIO()
    show_examination(made, Console(file=out, width=width, highlight=False, markup=False))
    return out.getvalue()


# --- waiting -------------------------------------------------------------------------------


def test_where_all_is_well_there_is_nothing_to_change():
    """No finding, and it is said."""
    assert findings(exam()) == []
    assert "Nothing to change." in printed(exam())


def test_a_client_that_waits_is_helped_by_the_pool():
    """All kinds of responses that wait are named in one finding."""
    made = exam("granian")
    made.waits["inline"] = answers(stream=WAITS, old_stream=WAITS)

    assert told(made) == [
        (
            "The client waits for its tasks: a stream without a length, HTTP/1.0: a stream.",
            "App(executor=ThreadExecutor())",
        )
    ]


def test_a_bodiless_answer_that_waits_can_be_given_a_body():
    """That is the other remedy."""
    made = exam("waitress")
    made.waits["inline"] = answers(no_content=WAITS)

    assert "or answer 202 with a small body, instead of 204 or an empty one" in remedies(made)


@pytest.mark.parametrize(
    ("executor", "remedy"),
    [
        (None, "wrap(app, executor=ThreadExecutor())"),
        ("ThreadExecutor", "ThreadExecutor(workers=..., queue_size=...): raise both"),
        ("Own", "App(executor=ThreadExecutor())"),
    ],
)
def test_the_remedy_fits_the_application(executor, remedy):
    """A foreign application is wrapped; a pool that makes clients wait is too small."""
    made = exam(executor=executor)
    made.waits[made.own] = answers(stream=WAITS)

    assert remedies(made) == {remedy}


def test_what_the_application_does_not_use_is_no_finding():
    """The column of the other executor is there for comparison; a note says so."""
    made = exam("granian", executor="ThreadExecutor")
    made.waits["inline"] = answers(stream=WAITS, next=WAITS, other=WAITS)

    assert findings(made) == []
    assert notes(made) == ["The pool is the better choice here: see the column inline."]


def test_a_connection_that_waits_or_breaks_is_a_finding():
    """The client's next request is the one that meets it."""
    made = exam("uwsgi")
    made.waits["inline"] = answers(next=WAITS)
    assert "next request on the same connection waits" in told(made)[0][0]

    made.waits["inline"] = answers(next=RESET)
    assert "is reset when the task ends" in told(made)[0][0]

    made.waits["inline"] = answers(next=CLOSED)
    assert findings(made) == []


def test_what_happens_without_tasks_as_well_is_not_the_tasks_fault():
    """A server that breaks every connection does so with tasks, too."""
    made = exam("uwsgi")
    made.waits = {mode: answers(next=RESET) for mode in made.waits}

    assert findings(made) == []


@pytest.mark.parametrize(
    ("server", "remedy"),
    [
        ("gunicorn", "or --worker-class gthread --threads 4"),
        ("uwsgi", "or --threads 4"),
        ("granian", "or --blocking-threads 4"),
        ("./serve {app} {port}", "App(executor=ThreadExecutor())"),
    ],
)
def test_a_server_that_serves_one_at_a_time_can_be_given_threads(server, remedy):
    """By its own option, where that is known."""
    made = exam(server)
    made.waits["inline"] = answers(other=WAITS)

    assert remedy in remedies(made)


# --- servers that fail ---------------------------------------------------------------------


def test_a_server_that_never_closes_is_told_apart():
    """The own WSGI support of uvicorn is such a one."""
    made = exam("uvicorn")
    made.closes = False
    assert remedies(made) == {"pip install a2wsgi"}

    made = exam("./serve {app} {port}")
    made.closes = False
    assert remedies(made) == {"Use a server that keeps to PEP 3333"}


def test_a_server_that_fails_by_itself_is_told_apart():
    """One answers 500 to HEAD, with tasks or without."""
    made = exam("hypercorn")
    made.waits = {mode: answers(head="error 500") for mode in made.waits}

    assert [what for what, *_ in told(made)] == [
        "The server fails without any task: the answer to HEAD."
    ]
    assert "error 500" in printed(made)


def test_an_answer_that_fails_with_a_task_is_a_finding():
    """Whatever went wrong, the server has logged it."""
    made = exam()
    made.waits["inline"] = answers(file="error: RemoteDisconnected")

    assert "a file (error: RemoteDisconnected)" in told(made)[0][0]
    assert "NO ANSWER" in printed(made)


@pytest.mark.parametrize(
    ("server", "remedy"),
    [("uwsgi", "--enable-threads"), ("gunicorn", "Let threads run in the server's workers")],
)
def test_a_task_that_never_runs_is_a_finding(server, remedy):
    """An old uWSGI stops its threads while it is idle."""
    made = exam(server, executor="ThreadExecutor")
    made.waits["pool"] = answers(whole=NEVER)
    del made.fates["TERM"]["pool"]

    assert made.running == ["inline"]
    assert remedies(made) == {remedy}
    assert "NEVER RUNS" in printed(made)


# --- signals -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "executor", "fate", "expected"),
    [
        ("werkzeug", "InlineExecutor", ALL_LOST, {"app.install_signal_handlers()"}),
        ("waitress", None, ALL_LOST, {"wrap(app).install_signal_handlers()"}),
        (
            "cheroot",
            "ThreadExecutor",
            replace(ALL_LOST, tasks=(REPORTED,) * 3),
            {"ThreadExecutor(drain_timeout=6)"},
        ),
        ("gunicorn", "InlineExecutor", ALL_LOST, {"from wsgibg.integrations.gunicorn import *"}),
        (
            "gunicorn --graceful-timeout 1",
            "ThreadExecutor",
            replace(ALL_LOST, tasks=(DONE, LOST, LOST)),
            {"from wsgibg.integrations.gunicorn import *", "--graceful-timeout 6"},
        ),
        (
            "uwsgi",
            "InlineExecutor",
            ALL_LOST,
            {'--hook-master-start "unix_signal:15 gracefully_kill_them_all"'},
        ),
        ("uwsgi", "ThreadExecutor", ALL_LOST, {"--worker-reload-mercy 6"}),
        ("granian", "InlineExecutor", ALL_LOST, {"App(executor=ThreadExecutor())"}),
        (
            "granian",
            "ThreadExecutor",
            ALL_LOST,
            {"--workers-kill-timeout 6, or leave it unset"},
        ),
        ("hypercorn", "InlineExecutor", ALL_LOST, {"--graceful-timeout 6"}),
    ],
)
def test_tasks_that_term_ends_are_kept_by_a_setting(server, executor, fate, expected):
    """Each server has its own."""
    made = exam(server, executor)
    made.fates["TERM"][made.own] = fate

    assert remedies(made) == expected


@pytest.mark.parametrize(
    ("way", "pool", "method"),
    [
        ("wrap", "wrap(..., executor=ThreadExecutor())", "app"),
        ("wsgi_app", "wrap(app.wsgi_app, executor=ThreadExecutor())", "app.wsgi_app"),
        ("Flask", "BackgroundTasks(app, executor=ThreadExecutor())", "app.wsgi_app"),
        (
            "Django",
            'WSGIBG = {"EXECUTOR": "wsgibg.ThreadExecutor"}',
            "wsgibg.integrations.django.task_manager()",
        ),
    ],
)
def test_the_remedy_is_written_as_the_application_would(way, pool, method):
    """Its tasks are set up in one of several ways."""
    made = exam("werkzeug")
    made.facts["way"] = way
    made.waits["inline"] = answers(stream=WAITS)
    made.fates["TERM"]["inline"] = ALL_LOST

    assert remedies(made) == {pool, f"{method}.install_signal_handlers()"}


def test_an_application_that_a_function_makes_is_called_app():
    """What its name is there is not known."""
    made = exam("werkzeug")
    made.target = "shop:make()"
    made.fates["TERM"]["inline"] = ALL_LOST

    assert remedies(made) == {"app.install_signal_handlers()"}


def test_uwsgi_that_takes_term_for_a_reload_is_told_how_to_end():
    """Other servers have no such option."""
    fate = replace(ALL_DONE, ended=False, serves=True)
    for server, remedy in (("uwsgi", "or --die-on-term"), ("granian", "See what the server logs")):
        made = exam(server)
        made.fates["TERM"]["inline"] = fate

        assert "TERM does not end the server: 3 of 3 tasks done." in told(made)[0][0]
        assert remedy in " ".join(remedies(made))
        assert "all done, runs on" in printed(made)


def test_a_reload_that_ends_the_server_is_a_finding():
    """For uWSGI it takes its master."""
    for server, remedy in (("uwsgi", "--master"), ("granian", "See what the server logs")):
        made = exam(server)
        made.fates["HUP"]["inline"] = ALL_DONE

        assert remedies(made) == {remedy}
        assert "all done, ends" in printed(made)


def test_what_became_of_tasks_is_counted():
    """The worst comes first."""
    made = exam("cheroot")
    made.fates["TERM"]["inline"] = replace(ALL_DONE, tasks=(REPORTED, LOST, LOST))

    assert told(made)[0][0] == "TERM: 2 of 3 tasks lost without a word, 1 reported as not done."
    assert "1st reported," in printed(made)


# --- notes ---------------------------------------------------------------------------------


def test_gunicorn_without_the_integration_gets_a_note():
    """Unless a finding says it anyway."""
    made = exam("gunicorn --graceful-timeout 5")
    assert "--graceful-timeout (5 s)" in notes(made)[0]

    made.fates["TERM"]["inline"] = ALL_LOST
    assert notes(made) == []

    made = exam()
    made.facts["integration"] = True
    assert notes(made) == []
    made.fates["TERM"]["inline"] = ALL_LOST
    assert remedies(made) == {"--graceful-timeout 6"}


def test_the_other_executor_is_noted_where_it_would_lose_tasks():
    """With what would help."""
    made = exam("uvicorn")
    made.fates["TERM"]["pool"] = ALL_LOST
    (note,) = notes(made)
    assert note.startswith("TERM with tasks in the pool: 3 of 3 tasks lost without a word.")
    assert note.endswith("What helps: app.install_signal_handlers().")

    made.fates["TERM"]["inline"] = ALL_LOST  # now a finding says it
    assert notes(made) == []


def test_harakiri_a_foreign_application_and_a_queue_are_noted():
    """They are what could not be measured."""
    assert "--harakiri kills" in notes(exam("uwsgi --harakiri 3"))[0]
    assert "holds for wrap(app)" in notes(exam("uwsgi", executor=None))[0]

    made = exam("uwsgi", executor="JournalExecutor")
    made.facts["durable"] = True
    made.waits["inline"] = answers(stream=WAITS)
    assert findings(made) == []
    assert notes(made) == [
        "JournalExecutor was not measured: nothing is put into your queue.",
    ]


# --- printing ------------------------------------------------------------------------------


@pytest.mark.parametrize("server", ["gunicorn -k gevent", "uwsgi --http :80", "werkzeug"])
@pytest.mark.parametrize("executor", [None, "InlineExecutor", "ThreadExecutor", "Own"])
def test_the_table_fits_a_terminal_of_80_columns(server, executor):
    """With all that can be found, no column is missing."""
    made = exam(server, executor)
    for mode in made.modes:
        made.waits[mode] = answers(stream=WAITS, next=CLOSED)
        made.fates["TERM"][mode] = replace(ALL_DONE, tasks=(DONE, LOST, REPORTED))

    text = printed(made)

    assert max(map(len, text.splitlines())) <= 80
    assert "inline" in text
    assert "pool" in text
    assert ("Own" in text) is (executor == "Own")
    for kind in KINDS:
        assert kind.title in text
    assert text.count("WAITS") == len(made.modes)


def test_the_heading_names_server_and_command():
    """With the user's application where the probe stands, and the worker's library."""
    first, second, *_ = printed(exam("gunicorn -k gevent"), 120).splitlines()

    assert first == "shop:app under gunicorn 27.0.1 with gevent 26.9.0"
    assert second == "gunicorn -k gevent --bind=127.0.0.1:PORT shop:app"
    assert "run_simple('127.0.0.1', PORT, app, threaded=True)" in printed(exam("werkzeug"))


def test_long_tasks_are_for_signals_alone():
    """A client's wait is seen with short ones as well; that is said."""
    made = exam()
    made.seconds = 40

    assert "A task takes 40 s here, and 0.5 s where clients wait." in printed(made, 200)


def test_json_has_all_of_it():
    """What was measured, and what was concluded."""
    made = exam("granian")
    made.waits["inline"] = answers(stream=WAITS)
    found = json.loads(as_json(made))

    assert found["server"] == "granian"
    assert found["waits"]["inline"]["stream"] == {"verdict": "waits", "seconds": 0.3}
    assert found["signals"]["TERM"]["pool"]["tasks"] == ["done"] * 3
    assert found["findings"][0]["remedy"] == ["App(executor=ThreadExecutor())"]
    assert found["notes"] == []
