"""`pytest_wsgibg`: the fixtures of the pytest plugin, in small test suites of their own."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from wsgibg.pytest_plugin import strict_mode

#: Alone: pytest-django, where it is installed, would set up what our tests of Django have.
WITH_PLUGIN = ("-p", "pytest_wsgibg", "-p", "no:django")

SHOP = """
    from __future__ import annotations

    from collections.abc import Iterator
    from typing import Annotated

    from wsgibg import (
        App, BackgroundTask, BackgroundTasks, Depends, HTTPException, Response, ThreadExecutor, task
    )

    app = App(executors={"pool": ThreadExecutor(workers=1)})
    sent = []

    def get_sender() -> str:
        return "shop"

    def send(to: str, subject: str = "hello") -> None:
        sent.append((to, subject))

    @task(executor="pool")
    def send_slowly(to: str) -> None:
        sent.append((to, "slowly"))

    @task(retries=2, backoff=1000)
    def send_flaky(to: str) -> None:
        sent.append(to)
        if len(sent) < 3:
            raise OSError(f"attempt {len(sent)}")

    def send_all(tasks: BackgroundTasks, *to: str) -> None: ...

    @app.post("/orders/{to}")
    def order(to: str, tasks: BackgroundTasks, sender: str = Depends(get_sender)) -> str:
        tasks.add_task(send, to, subject="order")
        tasks.add_task(send_slowly, to)
        return sender

    @app.post("/plain/{to}")
    def plain(to: str, tasks: BackgroundTasks) -> None:
        tasks.add_task(send, to)

    @app.post("/flaky/{to}")
    def flaky(to: str, tasks: BackgroundTasks) -> None:
        tasks.add_task(send_flaky, to)

    @app.post("/failing")
    def failing(tasks: BackgroundTasks) -> None:
        tasks.add_task(int, "x")

    @app.post("/response/{to}")
    def response(to: str) -> Response:
        return Response(background=BackgroundTask(send, to))

    @app.post("/chain")
    def chain(tasks: BackgroundTasks) -> None:
        tasks.add_task(first, tasks)

    def first(tasks: BackgroundTasks) -> None:
        tasks.add_task(send, "second")

    def session() -> Iterator[list[str]]:
        yield sent
        sent.append("closed")

    @app.post("/late")
    def late(tasks: BackgroundTasks, s: list = Depends(session, scope="tasks")) -> None:
        tasks.add_task(s.append, "task")

    @app.get("/401")
    def refuse(tasks: BackgroundTasks) -> None:
        tasks.add_task(send, "nobody")
        raise HTTPException(401)

    class Session:
        def close(self) -> None: ...

    def opened() -> Iterator[Session]:
        yield Session()

    @app.get("/closed")
    def closed(tasks: BackgroundTasks, s: Session = Depends(opened)) -> None:
        tasks.add_task(print, s)
"""

HEAD = """
    import pytest
    from werkzeug.test import Client
    from wsgibg.testing import TestClient
    import shop
    from shop import app, send, sent

    @pytest.fixture(autouse=True)
    def nothing_sent():
        sent.clear()
"""


@pytest.fixture
def suite(pytester, monkeypatch):
    """`suite(source)`: run a test module against the shop, in this process."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def run(source: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(shop=textwrap.dedent(SHOP))
        pytester.makepyfile(test_it=textwrap.dedent(HEAD) + textwrap.dedent(source))
        return pytester.runpytest_inprocess(*WITH_PLUGIN, "-Werror", *options)

    return run


def test_tasks_run_by_default(suite):
    """With any client, also one that leaves responses open, and in a pool."""
    done = suite("""
        def test_it(background_tasks):
            Client(app).post("/orders/ada")
            assert background_tasks.mode == "run"
            assert [task.func for task in background_tasks.added] == [send, shop.send_slowly.func]
            assert sorted(sent) == [("ada", "order"), ("ada", "slowly")]
            assert background_tasks.failures == []
            background_tasks.run_all()
            assert len(sent) == 2
    """)

    done.assert_outcomes(passed=1)


def test_collecting(suite):
    """Tasks wait, and each runs once; those included that a task adds."""
    done = suite("""
        @pytest.mark.background("collect")
        def test_by_mark(background_tasks):
            TestClient(app).post("/orders/ada")
            assert sent == []
            background_tasks.run_all()
            background_tasks.run_all()
            assert sent == [("ada", "order"), ("ada", "slowly")]

        def test_by_attribute(background_tasks):
            background_tasks.mode = "collect"
            Client(app).post("/chain")
            assert len(background_tasks.added) == 1
            background_tasks.run_all()
            assert len(background_tasks.added) == 2
            assert sent == [("second", "hello")]
    """)

    done.assert_outcomes(passed=2)


def test_off(suite):
    """Tasks are known, and do not run."""
    done = suite("""
        @pytest.mark.background("off")
        def test_it(background_tasks):
            TestClient(app).post("/orders/ada")
            background_tasks.assert_added(send, "ada", "order")
            with pytest.raises(RuntimeError, match="collect"):
                background_tasks.run_all()
            assert sent == []

        @pytest.mark.background("off")
        def test_without_the_name():
            TestClient(app).post("/orders/ada")
            assert sent == []

        @pytest.mark.background("off")
        class TestOfAClass:
            def test_it(self):
                TestClient(app).post("/orders/ada")
                assert sent == []

        import unittest

        @pytest.mark.background(mode="off")
        class TestOfUnittest(unittest.TestCase):
            def test_it(self):
                TestClient(app).post("/orders/ada")
                self.assertEqual(sent, [])
    """)

    done.assert_outcomes(passed=4)


@pytest.mark.parametrize("mode", ["collect", "off"])
def test_what_waits_for_a_batch_is_let_go(suite, mode):
    """A dependency of the scope "tasks" is left, at the test's end at the latest."""
    done = suite(f"""
        @pytest.mark.background("{mode}")
        def test_a():
            TestClient(app).post("/late")
            assert sent == ([] if "{mode}" == "collect" else ["closed"])
            globals()["before"] = sent.copy

        def test_b(background_tasks):
            TestClient(app).post("/late")
            assert sent == ["task", "closed"]
            assert not any("_Kept" in repr(each) for each in app.tasks._started)
    """)

    done.assert_outcomes(passed=2)


def test_assert_added(suite):
    """The arguments may be given in any way that means the same; without any, any will do."""
    done = suite("""
        def test_it(background_tasks):
            TestClient(app).post("/orders/ada")
            TestClient(app).post("/plain/bob")
            for args, kwargs in [
                (("ada", "order"), {}),
                (("ada",), {"subject": "order"}),
                ((), {"subject": "order", "to": "ada"}),
                (("bob",), {}),
                (("bob", "hello"), {}),
                ((), {}),
            ]:
                task = background_tasks.assert_added(send, *args, **kwargs)
                assert task in background_tasks.added
            assert background_tasks.assert_added(shop.send_slowly, "ada").args == ("ada",)
            with pytest.raises(AssertionError):
                background_tasks.assert_added(send, "ada")
            with pytest.raises(AssertionError):
                background_tasks.assert_added(send, 1, 2, 3)
    """)

    done.assert_outcomes(passed=1)


def test_a_mock(suite):
    """It has every attribute, and is a function like any other."""
    done = suite("""
        def test_it(background_tasks, monkeypatch):
            from unittest.mock import Mock
            mock = Mock(return_value=None)
            monkeypatch.setattr(shop, "send", mock)
            TestClient(app).post("/plain/ada")
            background_tasks.assert_added(mock, "ada")
            mock.assert_called_once_with("ada")
            with pytest.raises(AssertionError):
                background_tasks.assert_added(mock, "bob")
    """)

    done.assert_outcomes(passed=1)


def test_the_message_of_assert_added(suite):
    """What was added instead, and the line of the user's code that did it."""
    done = suite("""
        def test_other_arguments(background_tasks):
            TestClient(app).post("/orders/ada")
            background_tasks.assert_added(send, "bob")

        def test_nothing_at_all(background_tasks):
            background_tasks.assert_added(send)

        def test_by_a_response(background_tasks):
            TestClient(app).post("/response/ada")
            background_tasks.assert_added(int, "x" * 300)

        def test_another_function_of_the_name(background_tasks, monkeypatch):
            def send(to): ...
            send.__module__, send.__qualname__ = "shop", "send"
            TestClient(app).post("/plain/ada")
            background_tasks.assert_added(send)

        def test_of_a_builtin(background_tasks):
            class Odd:
                def __repr__(self):
                    raise ValueError
            Client(app).post("/failing")
            background_tasks.assert_added(print, Odd())
    """)

    done.assert_outcomes(failed=5)
    line = 1 + textwrap.dedent(SHOP).split("\n").index(
        '    tasks.add_task(send, to, subject="order")'
    )
    defined = 1 + textwrap.dedent(SHOP).split("\n").index(
        'def send(to: str, subject: str = "hello") -> None:'
    )
    # (makepyfile strips the first, empty line)
    done.stdout.fnmatch_lines(
        [
            "E * AssertionError: shop.send('bob') was not added. What was:",
            f"E *   shop.send('ada', subject='order'), added at shop.py:{line - 1} in order",
            "E *   shop.send_slowly('ada'), added at shop.py:* in order",
            "E * AssertionError: shop.send(...) was not added; no background task was.*",
            "E * AssertionError: builtins.int('xxxxx*…) was not added. What was:",
            f"E *   shop.send('ada'), added by * hand; defined at shop.py:{defined - 1} in send",
            "E * AssertionError: shop.send(...) was not added. What was:",
            "E * There are two functions of the name shop.send:*",
            "E * builtins.print(<Odd whose repr raises ValueError>) was not added. What was:",
            "E *   builtins.int('x'), added at shop.py:* in failing",
        ]
    )


def test_a_task_without_code_that_came_with_a_response(suite):
    """There is no line to show for it."""
    done = suite("""
        def test_it(background_tasks):
            from wsgibg import App, BackgroundTask, Response
            app = App()
            app.get("/")(lambda: Response(background=BackgroundTask(int, "1")))
            Client(app).get("/")
            background_tasks.assert_added(print)
    """)

    done.stdout.fnmatch_lines(
        ["*builtins.int('1'), added by a response or a collector made by hand"]
    )


def test_failures(suite):
    """The task with the very exception; a task that succeeds in the end is none."""
    done = suite("""
        def test_it(background_tasks):
            Client(app).post("/failing")
            (task, error), = background_tasks.failures
            assert task is background_tasks.added[0]
            assert type(error) is ValueError and "'x'" in str(error)

        def test_collected(background_tasks):
            background_tasks.mode = "collect"
            TestClient(app).post("/failing")
            assert background_tasks.failures == []
            background_tasks.run_all()
            assert len(background_tasks.failures) == 1

        @pytest.mark.parametrize("mode", ["run", "collect"])
        def test_retries(background_tasks, mode):
            background_tasks.mode = mode
            Client(app).post("/flaky/ada")
            background_tasks.run_all()
            assert sent == ["ada"] * 3
            assert background_tasks.failures == []
    """)

    done.assert_outcomes(passed=4)


def test_a_task_that_does_not_end(suite):
    """The assertion that waits for it fails, and so does the end of the test."""
    done = suite("""
        import threading
        release = threading.Event()

        def test_it(background_tasks):
            shop.send_slowly.func.__globals__["sent"] = Slow()
            background_tasks.timeout = 0.05
            Client(app).post("/orders/ada")
            with pytest.raises(AssertionError, match="0.05 s .*: shop.send_slowly.*timeout"):
                background_tasks.added

        class Slow(list):
            def append(self, item):
                if "slowly" in item:
                    release.wait(20)

        def test_afterwards():
            release.set()
            assert app.drain(20) == []
    """)

    done.assert_outcomes(passed=2, errors=1)


def test_a_client_that_reads_step_by_step(suite):
    """It is left alone if the test says so."""
    done = suite("""
        def test_it(background_tasks):
            background_tasks.close_responses = False
            response = Client(app).post("/plain/ada")
            assert sent == []
            response.close()
            assert sent == [("ada", "hello")]

        def test_afterwards():
            response = Client(app).post("/plain/ada")
            assert sent == []
            response.close()

        def test_stream(background_tasks):
            with TestClient(app).stream("POST", "/plain/ada"):
                assert sent == []
            assert sent == [("ada", "hello")]
    """)

    done.assert_outcomes(passed=3)


def test_an_unknown_mode(suite):
    """It is refused with those that there are."""
    done = suite("""
        @pytest.mark.background("none")
        def test_it(): ...
    """)

    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(['*no mode \'none\': use "run", "collect" or "off".'])


def test_overrides_restore_themselves(suite):
    """Whatever the test did to them; those that were there before stay."""
    done = suite("""
        app.dependency_overrides[print] = int

        def test_it(dependency_overrides):
            overrides = dependency_overrides(app, {shop.get_sender: lambda: "fake"})
            assert TestClient(app).post("/orders/ada").json() == "fake"
            overrides[shop.get_sender] = lambda: "another"
            assert TestClient(app).post("/orders/ada").json() == "another"
            dependency_overrides(app).clear()

        def test_afterwards(dependency_overrides):
            assert dependency_overrides(app) is app.dependency_overrides == {print: int}
            assert TestClient(app).post("/orders/ada").json() == "shop"
    """)

    done.assert_outcomes(passed=2)


STRICT = """
    from wsgibg.exceptions import TaskNotRun

    def test_a_drop():
        with pytest.raises(TaskNotRun, match="401"):
            TestClient(app).get("/401")

    def test_a_resource():
        with pytest.raises(TypeError, match="closes before the task runs"):
            TestClient(app).get("/closed")
"""


def test_strict_mode_by_the_ini_file(suite, pytester):
    """Every application is strict while the tests run, and only then."""
    pytester.makeini("[pytest]\nwsgibg_strict = true\n")
    suite(STRICT).assert_outcomes(passed=2)
    suite(STRICT, "--collect-only").assert_outcomes()

    pytester.makeini("[pytest]\n")
    suite(STRICT).assert_outcomes(failed=2)
    with strict_mode():  # (what the option does, for other test runners)
        suite(STRICT).assert_outcomes(passed=2)


def test_the_module_itself_is_a_plugin_too(pytester):
    """For a run in which entry points are switched off."""
    pytester.makepyfile("""
        def test_it(background_tasks, dependency_overrides):
            assert background_tasks.added == []
    """)
    options = ("-p", "wsgibg.pytest_plugin", *WITH_PLUGIN, "-Werror")

    pytester.runpytest_inprocess(*options).assert_outcomes(passed=1)


def test_a_run_without_the_fixtures_does_not_import_the_package(pytester):
    """The plugin costs nothing where it is merely installed; and it explains itself."""
    source = """
        import sys, pytest
        print(pytest.main(["-p", "pytest_wsgibg", "-q", "-Werror"]))
        print([name for name in sys.modules if name.partition(".")[0] in ("wsgibg", "werkzeug")])
    """
    pytester.makepyfile("def test_it(): ...")

    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)], capture_output=True, text=True, check=True
    )

    assert run.stdout.splitlines()[-1] == "[]"
    told = pytester.runpytest_inprocess(*WITH_PLUGIN, "--markers")
    told.stdout.fnmatch_lines(["@pytest.mark.background(mode): *"])
