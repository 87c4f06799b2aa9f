"""The options that a task function carries with it."""

from __future__ import annotations

import functools
from typing import ClassVar

import pytest

from tests.support import client
from wsgibg import App, BackgroundTasks, TaskOptions, task
from wsgibg.background import request_collector
from wsgibg.exceptions import TaskRefused


def shout(word: str, mark: str = "!") -> str:
    """Make it loud."""
    return word.upper() + mark


def test_a_bare_decorator_gives_the_defaults():
    """The function is still the function when it is called."""
    loud = task(shout)

    assert loud("hey", mark="?") == "HEY?"
    assert loud.options == TaskOptions(when="returned", executor=None)
    assert loud.func is loud.__wrapped__ is shout


def test_a_decorator_with_options():
    """`@task(...)` and `task(func, ...)` are the same."""

    @task(when="always")
    def quiet(word):
        return word.lower()

    assert quiet("HEY") == "hey"
    assert quiet.options.when == task(shout, when="always").options.when == "always"


def test_it_looks_like_its_function():
    """Name, module and docstring are the function's."""
    loud = task(shout)

    assert (loud.__name__, loud.__doc__, loud.__module__) == ("shout", "Make it loud.", __name__)
    assert repr(loud) == "<task tests.test_options.shout>"


def test_a_partial_can_be_a_task():
    """What has no name is called by that of the function inside."""
    assert repr(task(functools.partial(shout, "hey"))) == "<task tests.test_options.shout>"


def test_an_object_can_be_a_task():
    """What has no name is called by that of its class."""

    class Mailer:
        def __call__(self):
            return "sent"

    assert task(Mailer())() == "sent"
    assert repr(task(Mailer())).endswith("Mailer>")


def test_other_options_make_another_task():
    """What is not named stays, and the first task is unchanged."""
    first = task(shout, when="always")

    second = first.with_options(executor="pool")

    assert second.options == TaskOptions(when="always", executor="pool")
    assert first.options == TaskOptions(when="always")
    assert second.func is shout


@pytest.mark.parametrize(
    "make",
    [
        lambda: task(shout, retires=3),
        lambda: task(retires=3)(shout),
        lambda: task(shout).with_options(retires=3),
    ],
    ids=["call", "decorator", "with_options"],
)
def test_an_unknown_option_is_refused(make):
    """The message names it and lists the known ones."""
    with pytest.raises(TaskRefused, match=r"no option 'retires'. Use one of .*executor.*when"):
        make()


def test_an_impossible_condition_is_refused():
    """The message lists the possible ones."""
    with pytest.raises(TaskRefused, match=r'sometimes.* is not a condition.*"delivered"'):
        task(shout, when="sometimes")


class Mailbox:
    """An object with methods of every kind as tasks."""

    sent: ClassVar[list[str]] = []

    def __init__(self) -> None:
        self.received: list[str] = []

    @task(when="always")
    def put(self, word: str) -> None:
        self.received.append(word)

    @classmethod
    @task
    def count(cls, word: str) -> None:
        cls.sent.append(word)

    @staticmethod
    @task(when="always")
    def check(word: str) -> str:
        return word


def test_a_method_is_bound():
    """It is called with its object, now or later."""
    box = Mailbox()
    box.put("now")
    tasks = request_collector(None)

    added = tasks.add_task(box.put, "later")
    added.func(*added.args)

    assert box.received == ["now", "later"]
    assert added.options == TaskOptions(when="always")
    assert Mailbox.put.options == added.options


def test_a_method_without_its_arguments_is_refused():
    """The object counts as given."""
    with pytest.raises(TaskRefused, match=r"missing a required argument: 'word'"):
        request_collector(None).add_task(Mailbox().put)


def test_class_and_static_methods_are_tasks():
    """They are bound as Python binds them."""
    tasks = request_collector(None)
    Mailbox.sent.clear()

    counted = tasks.add_task(Mailbox.count, "one")
    counted.func(*counted.args)

    assert Mailbox.sent == ["one"]
    assert counted.options == TaskOptions()
    assert tasks.add_task(Mailbox.check, "x").options == TaskOptions(when="always")


def test_an_async_function_can_be_a_task():
    """It is awaited as any other."""
    app = App()
    calls = []

    @task(when="always")
    async def note(word):
        calls.append(word)

    @app.get("/")
    def read(background_tasks: BackgroundTasks):
        background_tasks.add_task(note, "async")

    client(app).get("/")

    assert calls == ["async"]
