"""What `wsgibg routes` lists."""

from __future__ import annotations

import re
import sys

import pytest
from click.testing import CliRunner

from wsgibg.cli._commands import wsgibg


def routes(target: str, columns: int = 200) -> str:
    done = CliRunner().invoke(wsgibg, ["routes", target], env={"COLUMNS": str(columns)})
    assert done.exit_code == 0, done.output
    return done.stdout


def rows(output: str) -> list[list[str]]:
    """The table's rows, each split into its columns."""
    table = output.split("─\n", 1)[1]
    lines = [line.strip() for line in table.splitlines() if re.match(r"[A-Z|]+ |mount ", line)]
    return [re.split(r"\s{2,}", line) for line in lines]


@pytest.fixture(name="write")
def _write(tmp_path, monkeypatch):
    """Write a module that can be imported."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(f"from wsgibg import *\n{source}", encoding="utf-8")

    return write


def test_routes_are_listed_with_what_they_need(write):
    """Parameters by where they come from, then what is called; in the order of declaration."""
    write(
        "needing",
        "from typing import Annotated\n"
        "def get_db(token: Annotated[str, Header()]): ...\n"
        "app = App(executor=ThreadExecutor())\n"
        "@app.post('/items/{item_id}')\n"
        "def put(item_id: int, tasks: BackgroundTasks, body: dict, q: str = '',\n"
        "        db: object = Depends(get_db)): ...\n"
        "@app.api_route('/', methods=['GET', 'HEAD'], name='root')\n"
        "def index(): ...\n",
    )

    output = routes("needing:app")

    assert output.startswith("needing:app: App; its tasks run in ThreadExecutor.\n")
    assert rows(output) == [
        [
            "POST",
            "/items/{item_id}",
            "put",
            "path item_id; query q?; header token; body body; get_db()",
        ],
        ["GET|HEAD", "/", "root"],
    ]
    assert output.endswith("? may be left out\n")


def test_mounted_applications_are_listed_with_their_routes(write):
    """Those of an App, that is; a foreign one is named as such."""
    write(
        "mounting",
        "def legacy(environ, start_response): ...\n"
        "inner = App()\n"
        "inner.get('/things')(lambda: 1)\n"
        "router = APIRouter(prefix='/shops')\n"
        "router.get('')(lambda: 1)\n"
        "app = App()\n"
        "app.include_router(router)\n"
        "app.mount('/inner', inner)\n"
        "app.mount('/legacy', legacy, name='old')\n"
        "app.mount('/wrapped', wrap(legacy))\n"
        "app.mount('/', inner)\n",
    )

    output = routes("mounting:app")

    assert rows(output) == [
        ["GET", "/shops", "<lambda>"],
        ["mount", "/inner", "App"],
        ["GET", "/inner/things", "<lambda>"],
        ["mount", "/legacy", "old", "foreign: mounting.legacy"],
        ["mount", "/wrapped", "foreign: wrap(mounting.legacy)"],
        ["mount", "/", "App"],
        ["GET", "/things", "<lambda>"],
    ]
    assert "may be left out" not in output


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bare", "none:bare: none.bare; it has no background tasks of wsgibg's.\n"),
        ("wrapped", "none:wrapped: wrap(none.bare); its tasks run in InlineExecutor.\n"),
        ("make()", "none:make(): none.Other; it has no background tasks of wsgibg's.\n"),
    ],
)
def test_a_foreign_application_is_said_to_be_foreign(name, said, write):
    """Its routes are declared in a way of its own; what carries its tasks is known."""
    write(
        "none",
        "def bare(environ, start_response): ...\n"
        "class Other:\n"
        "    def __call__(self, environ, start_response): ...\n"
        "wrapped = wrap(bare)\n"
        "make = Other\n",
    )

    output = routes(f"none:{name}")

    assert output.startswith(said)
    assert "It is foreign: its routes are declared in none's own way" in output


def test_a_wrapped_app_lists_its_routes(write):
    """What is inside is ours, after all."""
    write("around", "inner = App()\ninner.get('/a')(lambda: 1)\napp = wrap(inner)\n")

    output = routes("around:app")

    assert output.startswith("around:app: wrap(App); its tasks run in InlineExecutor.\n")
    assert rows(output) == [["GET", "/a", "<lambda>"]]


def test_an_app_without_routes_says_so(write):
    """There is nothing to list."""
    write("nothing", "app = App()\n")

    assert routes("nothing:app").endswith("It has no routes.\n")


def test_80_columns_fold_long_names(write):
    """Nothing is cut off."""
    write(
        "long",
        "app = App()\n"
        "@app.get('/a/rather/long/path/{with_a_parameter}/and/another/{parameter}')\n"
        "def a_function_with_a_rather_long_name(with_a_parameter: int, parameter: int): ...\n",
    )

    output = routes("long:app", 80)

    assert max(map(len, output.splitlines())) <= 80
    assert "a_function_with" in output


LATE = """
from typing import Annotated
router = APIRouter()
app = App()
app.include_router(router, prefix="/shops")
@router.get("/items")
def read(shop: Annotated[int, Path()]): ...
"""


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "late2 has no 'app'."),
        ("application = App()\n", "late2 has no 'app'. It has application."),
        ("app = 3\n", "late2:app is not a WSGI application: its type is int."),
        ("app = APIRouter()\n", "late2:app is not a WSGI application: its type is APIRouter."),
        (
            LATE,
            "read(), parameter 'shop': the path has no {shop}.",
        ),
    ],
    ids=["nothing", "other-name", "number", "router", "mistake"],
)
def test_what_cannot_be_listed_is_told(source, said, write, monkeypatch):
    """With the name, and what is there instead."""
    monkeypatch.delitem(sys.modules, "late2", raising=False)
    write("late2", source)

    done = CliRunner().invoke(wsgibg, ["routes", "late2:app"])

    assert done.exit_code == 1
    assert said in done.stderr


def test_a_function_that_fails_shows_its_own_traceback(write):
    """Without the frames of the command."""
    write("failing_make", "def make():\n    raise ValueError('no settings')\n")

    done = CliRunner().invoke(wsgibg, ["routes", "failing_make:make()"])

    assert done.exit_code == 1
    assert "ValueError: no settings" in done.stderr
    assert "_load.py" not in done.stderr
