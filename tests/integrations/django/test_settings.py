"""The setting `WSGIBG`: what it takes, and what is refused when the server starts."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.test import override_settings

from wsgibg import InlineExecutor, ThreadExecutor, current_tasks
from wsgibg.integrations.django import task_manager

EXECUTOR = InlineExecutor()


def make_executor():
    return EXECUTOR


def make_nothing():
    return None


def make_a_mistake():
    raise KeyError("x")


HERE = __name__


@pytest.mark.parametrize(
    "given", [EXECUTOR, make_executor, f"{HERE}.EXECUTOR", f"{HERE}.make_executor"]
)
def test_an_executor_is_given_in_four_ways(given):
    """As an object, as what makes one, or by the dotted path of either."""
    with override_settings(WSGIBG={"EXECUTOR": given, "EXECUTORS": {"mail": given}}):
        assert task_manager().executor is EXECUTOR
        assert task_manager().executors == {"mail": EXECUTOR}


def test_a_class_is_called():
    """A dotted path may name an executor's class."""
    with override_settings(WSGIBG={"EXECUTOR": "wsgibg.ThreadExecutor"}):
        assert type(task_manager().executor) is ThreadExecutor


def test_tasks_run_inline_by_default():
    """The setting may be left out, in whole or in part."""
    with override_settings(WSGIBG={"AFTER_TASK_ERROR": "stop", "STRICT": True}):
        assert type(task_manager().executor) is InlineExecutor
        assert task_manager().stop_on_error


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (["EXECUTOR"], "is not a dictionary"),
        ({"EXECUTER": EXECUTOR}, "WSGIBG['EXECUTER'] is not known. Its keys are 'EXECUTOR', "),
        ({"EXECUTOR": "no.such.thing"}, "cannot be imported"),
        ({"EXECUTOR": 7}, 'WSGIBG["EXECUTOR"]=7 is not an executor. Give an executor, such as'),
        ({"EXECUTOR": make_nothing}, "has made None, which is not an executor"),
        ({"EXECUTOR": make_a_mistake}, "could not be called: KeyError('x')"),
        ({"EXECUTORS": EXECUTOR}, "is not a dictionary of executors by name"),
        ({"EXECUTORS": {"mail": "x"}}, "WSGIBG[\"EXECUTORS\"]['mail']='x' cannot be imported"),
        ({"AFTER_TASK_ERROR": "go on"}, 'use "continue" or "stop"'),
        ({"STRICT": "yes"}, "use True or False"),
    ],
)
def test_mistakes_are_refused_when_the_server_starts(setting, said):
    """The handler is not made, and the error names the key."""
    with override_settings(WSGIBG=setting), pytest.raises(ImproperlyConfigured) as refused:
        WSGIHandler()

    assert said in str(refused.value)


def test_strict_is_passed_on(ask):
    """The project's scopes ask for it."""
    seen = []

    def view(request):
        seen.append(current_tasks().sink.owner.strict)
        return HttpResponse("hello")

    with override_settings(WSGIBG={"STRICT": True}):
        ask(view)

    assert seen == [True]
