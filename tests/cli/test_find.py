"""What `wsgibg explain` says where there is nothing to explain."""

from __future__ import annotations

import sys

import pytest
from click.testing import CliRunner, Result

from wsgibg.cli._commands import wsgibg

TARGET = "tests.cli.shop:app"


def invoke(target: str, method: str = "GET", path: str = "/") -> Result:
    return CliRunner().invoke(wsgibg, ["explain", target, method, path])


def message(target: str, method: str = "GET", path: str = "/") -> str:
    """What is said about something that is not there."""
    done = invoke(target, method, path)
    assert done.exit_code == 1, done.output
    return done.stderr.removeprefix("Error: ")


@pytest.fixture
def write(tmp_path, monkeypatch):
    """`write(name, source)`: a module in the current directory, forgotten after the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    known = set(sys.modules)

    def make(name, source):
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")

    yield make
    for name in set(sys.modules) - known:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


# --- the application -----------------------------------------------------------------------


@pytest.mark.parametrize("target", ["shop", "shop:", ":app", ""])
def test_a_target_has_two_parts(target):
    """The remedy shows how it is written."""
    done = invoke(target)

    assert done.exit_code == 2
    assert "Write MODULE:APP, as in shop.api:app." in done.stderr


@pytest.mark.parametrize("name", ["shop/api.py", "./shop/api.py", "shop/api"])
def test_a_file_is_no_module(name):
    """The remedy is the module's name."""
    done = invoke(f"{name}:app")

    assert done.exit_code == 2
    assert "Write the module's name: shop.api:app." in done.stderr


@pytest.mark.parametrize(
    ("target", "missing"),
    [("nowhere:app", "nowhere"), ("nowhere.api:app", "nowhere"), ("tests.no:app", "tests.no")],
)
def test_a_missing_module_is_named(target, missing):
    """What could not be imported, and where it was looked for."""
    said = message(target)

    assert said.startswith(f"There is no module '{missing}' to import.")
    assert "Run the command where `import " in said


def test_a_module_that_lacks_another_is_not_missing_itself(write):
    """The traceback shows the user's line, and none of ours."""
    write("lacking", "import nowhere_at_all\n")

    said = message("lacking:app")

    assert said.startswith("The import of lacking failed.\n\nTraceback")
    assert said.endswith("ModuleNotFoundError: No module named 'nowhere_at_all'\n")
    assert "import nowhere_at_all" in said
    assert "_find.py" not in said
    assert "importlib" not in said


def test_a_module_that_fails_shows_its_traceback(write):
    """Whatever the module raises is told whole."""
    write("failing", "def fail():\n    raise ValueError('no settings')\n\nfail()\n")

    said = message("failing:app")

    assert said.startswith("The import of failing failed.\n\nTraceback")
    assert "in fail\n" in said
    assert said.endswith("ValueError: no settings\n")


def test_a_module_that_is_no_python_shows_its_line(write):
    """A syntax error has no frame of the user's, only a place."""
    write("broken", "def app(:\n")

    said = message("broken:app")

    assert "broken.py" in said
    assert "SyntaxError" in said
    assert "_find.py" not in said


def test_a_missing_name_lists_the_apps():
    """A module that has other apps names them."""
    said = message("tests.cli.shop:application")

    assert said == "tests.cli.shop has no 'application'. There is tests.cli.shop:app.\n"


def test_a_module_without_apps_says_so():
    """The file is named, in case it is not the one that was meant."""
    said = message("json:app")

    assert said.startswith("json has no 'app'. There is no App in ")
    assert said.endswith("__init__.py.\n")


def test_something_else_than_an_app_is_refused():
    """Its type says what it is instead."""
    said = message("tests.cli.shop:not_an_app")

    assert said.startswith("tests.cli.shop:not_an_app is not an App: its type is dict.")


def test_a_router_is_not_explained_alone():
    """Its routes get prefix and dependencies from the app that includes it."""
    said = message("tests.cli.shop:router")

    assert "is an APIRouter, whose routes are complete only in the App that includes it." in said
    assert said.endswith("There is tests.cli.shop:app.\n")


# --- the route -----------------------------------------------------------------------------


def test_the_closest_routes_are_listed():
    """Methods, paths and handlers of those that look most alike, the best first."""
    first, second, *lines = message(TARGET, "POST", "/item/5").splitlines()

    assert first == f"No route of {TARGET} answers POST /item/5: a client gets 404 (Not Found)."
    assert second == "The closest of its routes:"
    assert lines[0] == "  POST    /items/{item_id}  create_item()"
    assert len(lines) == 6


def test_a_small_app_lists_all_its_routes(write):
    """Mounts are listed as well."""
    write(
        "small",
        "from wsgibg import App\n"
        "app = App()\n"
        "app.api_route('/things', methods=['POST', 'GET'])(lambda: 1)\n"
        "app.mount('/legacy', App())\n"
        "app.mount('/', App())\n",
    )

    said = message("small:app", "GET", "things")

    assert said == (
        "No route of small:app answers GET things. A path begins with a slash.\n"
        "Its routes:\n"
        "  GET|POST  /things  <lambda>()\n"
        "  mount     /legacy  App\n"
        "  mount     /        App\n"
    )


def test_an_app_without_routes_says_so(write):
    """There is nothing to list."""
    write("empty", "from wsgibg import App\napp = App()\n")

    assert message("empty:app").endswith("404 (Not Found).\nThe app has no routes.\n")


@pytest.mark.parametrize("path", ["/items/5", "/items/{item_id}"])
def test_another_method_is_explained_as_405(path):
    """The header Allow names the first route's methods; all of them are named as well."""
    said = message(TARGET, "PUT", path)

    assert said == (
        f"PUT {path} is answered with 405 (Method Not Allowed, Allow: POST). The path is declared"
        f" for POST, GET, DELETE. Try: wsgibg explain {TARGET} POST {path}\n"
    )


@pytest.mark.parametrize(("path", "other"), [("/items/5/", "/items/5"), ("/legacy", "/legacy/")])
def test_the_other_slash_is_explained_as_a_redirect(path, other):
    """What the client is sent to is what to ask for."""
    said = message(TARGET, "GET", path)

    assert said == (
        f"GET {path} is answered with a redirect (307) to {other}."
        f" Try: wsgibg explain {TARGET} GET {other}\n"
    )


def test_without_redirects_the_other_slash_is_404(write):
    """An app may do without them."""
    write(
        "strict_app",
        "from wsgibg import App\napp = App(redirect_slashes=False)\napp.get('/a')(lambda: 1)\n",
    )

    assert "404 (Not Found)" in message("strict_app:app", "GET", "/a/")


@pytest.mark.parametrize(
    ("path", "mount", "rest"),
    [
        ("/legacy/a/b", "/legacy", "/a/b"),
        ("/legacy/", "/legacy", "/"),
        ("/7/in/x", "/{n}/in", "/x"),
    ],
)
def test_a_mounted_application_is_named(path, mount, rest):
    """The other application answers, and knows the path by its rest."""
    said = message(TARGET, "GET", path)

    assert said == (
        f"{path} belongs to the application mounted at {mount} (Response), which knows it as"
        f" {rest}. If that is an App, explain it by its own MODULE:APP.\n"
    )


def test_a_mistake_that_shows_late_is_told(write):
    """What an inclusion makes wrong is found when the routes are compiled."""
    write(
        "late",
        "from typing import Annotated\n"
        "from wsgibg import APIRouter, App, Path\n"
        "router = APIRouter()\n"
        "@router.get('/items')\n"
        "def read(shop: Annotated[int, Path()]): ...\n"
        "app = App()\n"
        "app.include_router(router, prefix='/shops')\n",
    )

    said = message("late:app", "GET", "/shops/items")

    assert "late.py:4 read(), parameter 'shop': the path has no {shop}." in said
