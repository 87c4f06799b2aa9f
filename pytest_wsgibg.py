"""The entry point of the pytest plugin: the fixtures that `wsgibg.pytest_plugin` implements.

It is a module of its own because pytest imports it in every run: `import wsgibg` takes a third of
a second, and must come after coverage has started. So it is imported by the first test that asks
for a fixture.

PYTEST_DONT_REWRITE: `wsgibg.pytest_plugin` may have imported it before pytest does.
"""

from __future__ import annotations

from collections.abc import Generator
from importlib import import_module
from typing import Any

import pytest

__all__ = [
    "background_tasks",
    "dependency_overrides",
    "pytest_addoption",
    "pytest_configure",
    "pytest_itemcollected",
    "pytest_runtestloop",
]

_STRICT = "wsgibg_strict"
_MARK = "background"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the option of the ini file."""
    what = "wsgibg: every App and wrap() is strict while tests run (true or false)"
    parser.addini(_STRICT, what, type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark."""
    what = 'background(mode): what becomes of background tasks: "run", "collect" or "off" (wsgibg)'
    config.addinivalue_line("markers", what)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Have a marked test use the fixture, whether or not it asks for it by name."""
    names = getattr(item, "fixturenames", None)
    marked = item.get_closest_marker(_MARK) is not None
    if marked and names is not None and "background_tasks" not in names:
        names.append("background_tasks")


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, Any, Any]:
    """Make every application strict while the tests run, if the ini file says so."""
    if not session.config.getini(_STRICT) or session.config.getoption("collectonly"):
        return (yield)
    with import_module("wsgibg.pytest_plugin").strict_mode():
        return (yield)


@pytest.fixture
def background_tasks(request: pytest.FixtureRequest) -> Generator[Any, None, None]:
    """The background tasks of this test, of any application and asked by any client.

    See `wsgibg.pytest_plugin.TaskFixture`, and the mark ``@pytest.mark.background("collect")``.
    """
    mark = request.node.get_closest_marker(_MARK)
    given = () if mark is None else (*mark.args, *mark.kwargs.values())
    with import_module("wsgibg.pytest_plugin").TaskFixture(*given) as tasks:
        yield tasks


@pytest.fixture
def dependency_overrides() -> Generator[Any, None, None]:
    """``dependency_overrides(app)``: the app's overrides, which are restored after the test.

    See `wsgibg.pytest_plugin.OverridesFixture`.
    """
    with import_module("wsgibg.pytest_plugin").OverridesFixture() as overrides:
        yield overrides
