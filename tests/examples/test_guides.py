"""`examples/guide/`: the programs of the manual's guides do what the guides say."""

from __future__ import annotations

import io
import os
import re
import runpy
import signal
import subprocess
import sys
import types

import pytest

from tests.executors.support import program
from tests.support import ROOT, client
from wsgibg import BackgroundTasks
from wsgibg.exceptions import ClosedResourceWarning

GUIDE = ROOT / "examples" / "guide"


def guide(name: str) -> types.SimpleNamespace:
    """The names of a guide's module, loaded anew."""
    return types.SimpleNamespace(**runpy.run_path(str(GUIDE / name)))


@pytest.mark.parametrize(
    ("method", "path", "told"),
    [
        ("POST", "/pictures/cat", ["resize cat", "count cat", "publish cat"]),
        ("DELETE", "/pictures/cat", ["audit", "delete cat"]),
        ("GET", "/reports/1", ["count /reports/1", "bill /reports/1", "dropped: alarm"]),
        ("GET", "/reports/0", ["count /reports/0", "alarm /reports/0", "dropped: note"]),
        ("GET", "/export", ["first", "second"]),
        ("GET", "/swept", ["sweep", "polish"]),
        ("GET", "/greet", ["hello ada"]),
        ("GET", "/failing", ["after the failure", "failed: int"]),
    ],
)
def test_background_tasks(method, path, told):
    """Order, merging, conditions and events, as the guide shows them."""
    module = guide("background_tasks.py")

    client(module.app).open(path, method=method)

    shortened = [re.sub(r"(: )\S*?(\w+) [0-9a-f]{32}$", r"\1\2", line) for line in module.lines]
    assert sorted(shortened) == sorted(told)
    ran = [line for line in shortened if line in told and not line.startswith(("dropped", "fail"))]
    assert ran == [line for line in told if not line.startswith(("dropped", "fail"))]


def test_a_task_is_known_by_its_id():
    """`add_task` returns it, and the task itself can ask for it."""
    module = guide("background_tasks.py")

    answer = client(module.app).post("/jobs")

    assert module.lines == [f"working on {answer.json['job']}"]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/orders", ["commit", "close", "mail for order 7"]),
        ("/payments", ["commit", "close"]),
        ("/tables", ["fill", "commit", "close"]),
    ],
)
def test_dependencies(path, told):
    """Each scope ends when the guide says."""
    module = guide("dependencies.py")

    client(module.app).post(path)

    assert module.lines == told


def test_a_closed_session_is_warned_of():
    """Where a task is given the value of a dependency that ends before it."""
    module = guide("dependencies.py")

    with pytest.warns(ClosedResourceWarning, match=r"closes before the task runs"):
        client(module.app).post("/closed")


def test_dependencies_read_parameters():
    """A dependency's failure is the request's."""
    browser = client(guide("dependencies.py").app)

    answer = browser.get("/orders?page=2", headers={"Authorization": "Bearer secret"})

    assert answer.json == {"user": "ada", "from": 20, "to": 40}
    assert browser.get("/orders").status_code == 401


def test_async_code():
    """Awaiting, lending and hopping, as the guide shows them."""
    module = guide("async_code.py")
    browser = client(module.app)

    assert browser.get("/both").json == ["FIRST", "SECOND"]
    browser.post("/messages")
    browser.put("/messages")
    assert module.lines == ["from a plain handler", "from an async handler", "closed"]
    assert browser.get("/hop").json == "wsgibg-loop"
    assert browser.get("/lent").json != "wsgibg-loop"
    assert browser.get("/slow").json.startswith("asyncio_")


def test_responses():
    """What each handler of the guide answers."""
    browser = client(guide("responses.py").app)

    user = browser.post("/users", json={"name": "ada", "password": "secret"})
    assert (user.status_code, user.json) == (201, {"name": "ada"})
    assert browser.get("/cached").headers["Cache-Control"] == "max-age=60"
    assert browser.get("/old").status_code == 307
    assert browser.get("/rows").text == "0\n1\n2\n"
    assert "source.py" in browser.get("/source").headers["Content-Disposition"]
    echo = browser.post("/echo", json=[1])
    assert echo.json == {"method": "POST", "path": "/echo", "body": [1]}


def test_a_form():
    """It is read, and its files are closed."""
    browser = client(guide("responses.py").app)
    form = {"name": "ada", "picture": (io.BytesIO(b"pixels"), "ada.png")}

    profile = browser.post("/profile", data=form)

    assert profile.json == {"name": "ada", "file": "ada.png", "size": 6}


def test_errors():
    """What each error of the guide is answered with."""
    browser = client(guide("responses.py").app)

    sold_out = browser.get("/items/tea")
    unknown = browser.get("/items/unicorn")

    assert (sold_out.status_code, sold_out.json) == (409, {"sold_out": "tea"})
    assert (unknown.status_code, unknown.headers["X-Hint"]) == (404, "try tea")


def test_embedding():
    """A bare function, a mounted one, and an app inside another application."""
    module = guide("embedding.py")

    assert client(module.bare).get("/").text == "hello"
    assert client(module.app).get("/old/x").text == "old"
    assert client(module.app).get("/new").json == "new"
    assert client(module.site).get("/x").text == "old"
    assert client(module.site).get("/api/new").json == "new"
    assert module.lines == ["after the response", "legacy /x", "new", "legacy /x", "new"]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/orders/7/pay", ["receipt for order 7", "order 7 is marked", "commit"]),
        ("/orders/7/fail", ["order 7 is marked", "rollback"]),
        (
            "/orders/send",
            [
                *("receipt for order 1", "order 1 is marked", "commit"),
                *("receipt for order 2", "order 2 is marked", "commit"),
            ],
        ),
        ("/wrong/ada", []),
        ("/right/ada", ["en: ada"]),
    ],
)
def test_dependencies_of_tasks(path, told):
    """Each task has a session of its own, and one that needs the request is refused."""
    module = guide("task_dependencies.py")

    answer = client(module.app).post(path)

    assert module.lines == told
    assert answer.status_code == (500 if path == "/wrong/ada" else 200)


def test_a_script_with_dependencies():
    """The exits run before the tasks; the result is returned."""
    module = guide("task_dependencies.py")

    assert module.app.call(module.nightly, "Monday") == 1
    assert module.app.call(module.remind, 8) is None
    marked = ["order 7 is marked", "commit", "report of Monday"]
    assert module.lines == [*marked, "order 8 is marked", "commit"]


def test_django():
    """The project's own tests pass, run by Django."""
    pytest.importorskip("django")

    run = subprocess.run(
        [sys.executable, "-m", "django", "test", "django_tests"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=GUIDE,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "django_settings",
            "PYTHONPATH": f"{GUIDE}{os.pathsep}{ROOT}",
        },
    )

    assert run.returncode == 0, run.stderr
    assert "Ran 3 tests" in run.stderr
    assert run.stdout.endswith("both were committed\nsomebody has tried\n")


def test_testing(pytester):
    """The guide's tests pass, run by pytest with the plugin."""
    options = ("-p", "pytest_wsgibg", "-Werror", str(GUIDE / "testing.py"))

    pytester.runpytest_subprocess(*options).assert_outcomes(passed=11)


def test_executors():
    """A task that names the executor runs in its thread; draining waits for it."""
    module = guide("executor.py")

    client(module.app).post("/documents")

    assert module.app.drain(timeout=5) == []
    assert module.finished.is_set()
    module.app.tasks.executors["one thread"].pool.shutdown()


def test_retries():
    """A task that fails twice is tried until it succeeds; two that take too long give up."""
    module = guide("retries.py")
    browser = client(module.app)

    browser.post("/orders?email=ada@example.com")
    browser.post("/orders/important?email=bob@example.com")
    assert module.app.drain(10) == []
    assert sorted(module.lines) == [
        "mail to ada@example.com in attempt 3",
        "mail to bob@example.com in attempt 3",
    ]

    module.lines.clear()
    browser.post("/slow")
    assert module.app.drain(10) == []
    cancelled, gave_up = module.lines
    assert cancelled == "cancelled"
    assert re.fullmatch(r"gave up after \d of 100", gave_up)
    assert module.app.shutdown() == []


def test_records():
    """A job is asked for by its id, tells of its progress, and is listed; hooks are told."""
    module = guide("records.py")
    requests = client(module.app)

    job = requests.post("/albums", json=["cat", "dog"]).json["job"]
    assert requests.get(f"/jobs/{job}").json["state"] in ("queued", "running", "succeeded")
    module.app.drain(10)

    wanted = {"state": "succeeded", "progress": [2, 2, "dog"], "error": ""}
    assert requests.get(f"/jobs/{job}").json == wanted
    (listed,) = requests.get("/jobs").json
    assert (listed["job"], listed["state"]) == (job, "succeeded")
    assert listed["name"].endswith(".shrink_all")
    assert requests.get("/jobs/unknown").status_code == 404
    assert module.seen == {"added": 1, "started": 1, "progress": 2, "succeeded": 1}
    assert list(module.seconds) == [listed["name"]]


def test_records_of_failures():
    """Their arguments are shown when they are asked for; a hook hands the event on."""
    module = guide("records.py")
    app = module.app

    @app.get("/failing")
    def add(tasks: BackgroundTasks) -> None:
        tasks.add_task(int, "x")

    client(app).get("/failing")
    app.drain(10)

    error = "ValueError: invalid literal for int() with base 10: 'x'"
    assert module.describe_failures() == [f"builtins.int('x'): {error}"]
    assert module.events.get(timeout=10)[1] == error


def test_stopping():
    """The signal is sent while a task waits: it is run, and the process dies of the signal."""
    source = f"""
        import os, runpy, signal, time
        from tests.support import client
        app = runpy.run_path({str(GUIDE / "stopping.py")!r})["app"]
        client(app).post("/count/1")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(20)
    """
    done = program(source)
    assert (done.stdout, done.returncode) == ("counted 1\n", -signal.SIGTERM)
