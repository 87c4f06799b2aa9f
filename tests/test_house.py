"""The rules of the house that a machine can check, read from the source without importing it.

A new room is one line in `CORE` or `OUTSIDE`.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "wsgibg"

# A room is a module or a package of the package, and imports from lower layers only. A module
# inside a package has a line of its own where its layer differs from the package's; the others
# share the package's layer, and may import each other as long as there is no circle.
# A decimal is a step inside a layer.
CORE = {
    "_injected": 0,
    "_overrides": 0,
    "exceptions": 0,
    "records": 0,
    "status": 0,
    "_countdown": 0.2,
    "_names": 0.2,
    "_running": 0.2,
    "_fields": 0.5,
    "_options": 0.5,
    "_paths": 0.5,
    "_calls": 0.8,
    "_aio": 1,
    "_files": 1,
    "_match": 1,
    "_task": 0.9,
    "_observers": 0.95,
    "_retry": 0.9,
    "_alarm": 1.5,
    "_report": 1.5,
    "_trial": 1.8,
    "_calling": 1,
    "background": 1,
    "datastructures": 1,
    "encoders": 1,
    "_annotations": 2,
    "_attempt": 2,
    "_ending": 2,
    "_beside": 2.2,
    "_exits": 2,
    "executors": 2,
    "_resources": 2,
    "requests": 2,
    "responses": 2,
    "_attached": 2.7,
    "_hooks": 2.5,
    "_ledger": 2.5,
    "executors._life": 2.3,
    "executors._pool": 2.5,
    "_signals": 2.6,
    "executors._pooled": 2.8,
    "executors._table": 2.8,
    "_body": 3,
    "exception_handlers": 3,
    "executors.inline": 3,
    "executors.thread": 3,
    "manager": 3,
    "openapi.models": 3,
    "params": 3,
    "_route_options": 3,
    "_forwarding": 3.5,
    "_models": 3.5,
    "_scope": 4,
    "_signature": 4,
    "param_functions": 4,
    "_foreign": 4.5,
    "_steps": 4.5,
    "_recovery": 4.5,
    "_returns": 4.5,
    "_plan": 5,
    "_task_plan": 5.2,
    "_view_plan": 5.2,
    "_interpret": 5.5,
    "_injector": 5.8,
    "_inject": 5.8,
    "_view": 5.3,
    "_emit": 5.8,
    "_compile": 6,
    "embedding": 7,
    "_routes": 6.5,
    "routing": 7,
    "middleware": 8,
    "openapi": 8,
    "security": 8,
    "tasks": 8,
    "app": 9,
    "": 10,  # the root
}
# Never imported by the core.
OUTSIDE = {
    "executors.celery": 3,
    "executors.journal": 3,
    "integrations": 11,
    "testing": 11,
    "cli": 12,
    "pytest_plugin": 12,
    "testclient": 12,
    "__main__": 13,
}
ROOMS = CORE | OUTSIDE
# Importing `openapi.models`, which is low, runs this file first, so it stays empty.
EMPTY = ["openapi/__init__.py"]

# The only rooms that know asyncio.
ASYNC = ["_aio"]

ROOT_NAMES = {
    "APIRouter",
    "App",
    "BackgroundTask",
    "BackgroundTasks",
    "Body",
    "Cookie",
    "Depends",
    "Executor",
    "HTTPException",
    "Header",
    "Injected",
    "InlineExecutor",
    "Path",
    "Query",
    "Request",
    "Response",
    "Security",
    "TaskContext",
    "TaskEvent",
    "TaskHost",
    "TaskManager",
    "TaskOptions",
    "ThreadExecutor",
    "UploadFile",
    "current_task",
    "current_tasks",
    "status",
    "task",
    "wrap",
}
# What `import wsgibg` must not load: extras, and what takes time or starts things.
NOT_LOADED = [
    "celery",
    "click",
    "django",
    "fastapi",
    "flask",
    "gevent",
    "gunicorn",
    "httpx",
    "opentelemetry",
    "prometheus_client",
    "pytest",
    "rich",
    "sentry_sdk",
    "sqlite3",
    "starlette",
]

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 50
MAX_ARGUMENTS = 8

Function = ast.FunctionDef | ast.AsyncFunctionDef


# --- reading -------------------------------------------------------------------------------


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def files_of_the_package() -> list[Path]:
    """Every module but the project template, which is data."""
    return [path for path in sorted(PACKAGE.rglob("*.py")) if "_template" not in path.parts]


def name_of(path: Path) -> str:
    """`executors.inline` for `wsgibg/executors/inline.py`, and `""` for the root."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in files_of_the_package()}
EACH_MODULE = pytest.mark.parametrize("name", MODULES, ids=lambda name: name or "wsgibg")


def room_of(name: str) -> str | None:
    """The entry of the table that a module belongs to: its own, or that of its package."""
    while name:
        if name in ROOMS:
            return name
        name = name.rpartition(".")[0]
    return None


def package_of(name: str) -> str:
    return name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]


def imported_by(name: str) -> dict[str, int]:
    """The modules of the package that a module imports anywhere in it, with the line."""
    found: dict[str, int] = {}
    for node in ast.walk(parse(MODULES[name])):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = origin_of(node, name)
            targets = [submodule_or(origin, alias.name) for alias in node.names]
        else:
            continue
        for target in targets:
            if target == "wsgibg" or target.startswith("wsgibg."):
                found.setdefault(target.removeprefix("wsgibg").removeprefix("."), node.lineno)
    return found


def origin_of(node: ast.ImportFrom, name: str) -> str:
    """The absolute name of what stands after `from`."""
    if not node.level:
        return node.module or ""
    here = ["wsgibg", *package_of(name).split(".")]
    here = [part for part in here if part][: len(here) - node.level + 1]
    return ".".join([*here, *([node.module] if node.module else [])])


def submodule_or(origin: str, attribute: str) -> str:
    """`from wsgibg import status` imports a module, `from wsgibg import App` the root."""
    inner = f"{origin}.{attribute}".removeprefix("wsgibg.")
    return f"wsgibg.{inner}" if origin.startswith("wsgibg") and inner in MODULES else origin


def functions(tree: ast.AST) -> Iterator[tuple[Function, bool]]:
    """Every function, and whether it is a method that gets an instance or a class first."""
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Function):
                static = "staticmethod" in map(ast.unparse, child.decorator_list)
                yield child, isinstance(node, ast.ClassDef) and not static


def body_lines(function: Function) -> int:
    """From the first line after the docstring to the last."""
    body = function.body
    if ast.get_docstring(function, clean=False) is not None:
        body = body[1:]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def count_arguments(function: Function, *, method: bool) -> int:
    """`*args` and `**kwargs` count one each, `self` and `cls` do not count."""
    args = function.args
    named = len(args.posonlyargs) + len(args.args) + len(args.kwonlyargs)
    return named + bool(args.vararg) + bool(args.kwarg) - method


def written_all(tree: ast.Module) -> list[str] | None:
    """The names of a literal `__all__`."""
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == "__all__":
            return list(ast.literal_eval(node.value))
    return None


def is_empty(tree: ast.Module) -> bool:
    """Nothing but a docstring and `from __future__`."""
    return all(
        (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or (isinstance(node, ast.ImportFrom) and node.module == "__future__")
        for node in tree.body
    )


def place(name: str, line: int) -> str:
    return f"{MODULES[name].relative_to(ROOT)}:{line}"


# --- the layers ----------------------------------------------------------------------------


@EACH_MODULE
def test_every_module_is_in_a_room(name):
    """A module that no line of the table covers has no layer."""
    assert not name or room_of(name), f"add a line for {name!r} to CORE or OUTSIDE"


@EACH_MODULE
def test_imports_point_down(name):
    """A module imports from lower layers only, type-only imports included."""
    own = room_of(name) or ""
    wrong = []
    for target, line in imported_by(name).items():
        room = room_of(target) or ""
        if room != own and ROOMS[room] >= ROOMS[own]:
            wrong.append(
                f"{place(name, line)}: {own or 'the root'} (layer {ROOMS[own]}) may not import "
                f"{target or 'the root'} (layer {ROOMS[room]})"
            )

    assert wrong == []


def test_no_module_is_in_a_circle():
    """Modules that share the layer of their package form no circle either."""
    edges = {name: set(imported_by(name)) & set(MODULES) - {name} for name in MODULES}

    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@EACH_MODULE
def test_the_core_imports_nothing_optional(name):
    """What is outside the core is imported by who wants it, never by the core."""
    if room_of(name) in OUTSIDE:
        return

    wrong = [target for target in imported_by(name) if room_of(target) in OUTSIDE]

    assert wrong == []


@EACH_MODULE
def test_imports_stand_at_the_top(name):
    """No function or class body hides an import, and none is made from a string."""
    wrong = []
    for node in ast.walk(parse(MODULES[name])):
        if isinstance(node, Function | ast.Lambda | ast.ClassDef):
            inner = chain.from_iterable(map(ast.walk, ast.iter_child_nodes(node)))
            wrong += [one.lineno for one in inner if isinstance(one, ast.Import | ast.ImportFrom)]
        elif isinstance(node, ast.Call) and is_hidden_import(node):
            wrong.append(node.lineno)

    assert [place(name, line) for line in sorted(set(wrong))] == []


def is_hidden_import(call: ast.Call) -> bool:
    """`import_module("wsgibg...")` or `__import__("wsgibg...")`."""
    if not re.search(r"(import_module|__import__)$", ast.unparse(call.func)) or not call.args:
        return False
    name = call.args[0]
    return isinstance(name, ast.Constant) and str(name.value).startswith("wsgibg")


@EACH_MODULE
def test_asyncio_is_imported_in_one_place(name):
    """Only the rooms listed in `ASYNC` know asyncio."""
    found = []
    for node in ast.walk(parse(MODULES[name])):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.append(node.module or "")

    assert room_of(name) in ASYNC or not [
        one for one in found if one.partition(".")[0] == "asyncio"
    ]


@pytest.mark.parametrize("file", EMPTY)
def test_packages_with_low_modules_have_an_empty_init(file):
    """Importing a low module of a high package must not run the high part."""
    path = PACKAGE / file

    assert not path.exists() or is_empty(parse(path))


# --- sizes ---------------------------------------------------------------------------------


@EACH_MODULE
def test_modules_are_short(name):
    """A module that grows past the limit is two modules."""
    assert len(MODULES[name].read_text(encoding="utf-8").splitlines()) <= MAX_MODULE_LINES


@EACH_MODULE
def test_functions_are_short(name):
    """The limit counts the body without its docstring."""
    wrong = [
        f"{place(name, function.lineno)} {function.name}: {body_lines(function)} lines"
        for function, _ in functions(parse(MODULES[name]))
        if body_lines(function) > MAX_FUNCTION_LINES
    ]

    assert wrong == []


@EACH_MODULE
def test_functions_take_few_arguments(name):
    """Options travel as one typed bundle."""
    wrong = [
        f"{place(name, function.lineno)} {function.name}"
        for function, method in functions(parse(MODULES[name]))
        if count_arguments(function, method=method) > MAX_ARGUMENTS
    ]

    assert wrong == []


# --- errors --------------------------------------------------------------------------------


@EACH_MODULE
def test_the_package_asserts_nothing(name):
    """An `assert` is gone under `-O`, and tells a user nothing."""
    wrong = [node.lineno for node in ast.walk(parse(MODULES[name])) if isinstance(node, ast.Assert)]

    assert [place(name, line) for line in wrong] == []


@EACH_MODULE
def test_no_error_is_swallowed(name):
    """A broad `except` does something with what it catches."""
    wrong = []
    for node in ast.walk(parse(MODULES[name])):
        if isinstance(node, ast.ExceptHandler) and is_broad(node.type):
            if all(
                isinstance(one, ast.Pass | ast.Continue) or is_literal(one) for one in node.body
            ):
                wrong.append(node.lineno)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            wrong += [node.lineno for one in node.args if is_broad(one)]

    assert [place(name, line) for line in wrong] == []


def is_broad(caught: ast.expr | None) -> bool:
    if isinstance(caught, ast.Tuple):
        return any(map(is_broad, caught.elts))
    return caught is None or ast.unparse(caught) in {"Exception", "BaseException"}


def is_literal(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


# --- public names --------------------------------------------------------------------------


@EACH_MODULE
def test_public_modules_list_their_names(name):
    """A module without underscore says in `__all__` what is public."""
    tree = parse(MODULES[name])
    internal = any(part.startswith("_") for part in name.split("."))

    assert internal or is_empty(tree) or written_all(tree) is not None


def test_the_root_gives_the_written_names():
    """The root's names change here first, on purpose."""
    assert set(written_all(parse(MODULES[""])) or []) == ROOT_NAMES


def test_importing_the_package_is_cheap():
    """`import wsgibg` loads no extra and starts no thread."""
    code = (
        "import sys, threading, wsgibg\n"
        f"print([name for name in {NOT_LOADED!r} if name in sys.modules])\n"
        "print(threading.active_count())"
    )
    # Without the measuring of child processes, which itself loads sqlite3.
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("COVERAGE", "COV_"))
    }

    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (run.stdout, run.stderr) == ("[]\n1\n", "")


# --- tests, examples, changes --------------------------------------------------------------


TEST_FILES = sorted((ROOT / "tests").rglob("test_*.py"))
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_says_what_it_shows(path):
    """A test's docstring is one sentence."""
    wrong = []
    for function, _ in functions(parse(path)):
        if function.name.startswith("test_"):
            sentence = (ast.get_docstring(function) or "").strip()
            if not sentence.endswith((".", "?")) or "\n\n" in sentence:
                wrong.append(f"{path.relative_to(ROOT)}:{function.lineno} {function.name}")

    assert wrong == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_has_a_test(path):
    """`examples/x.py` is tested by `tests/examples/test_x.py`."""
    assert (ROOT / "tests" / "examples" / f"test_{path.stem}.py").exists()


def test_news_fragments_are_named_by_topic_and_type():
    """`changes/<topic>.<type>.md`, where the type says who should read it."""
    fragments = {path.name for path in (ROOT / "changes").iterdir()} - {"README.md"}

    name = re.compile(r"[a-z0-9-]+\.(feature|change|fix|note)\.md")
    assert [one for one in sorted(fragments) if not name.fullmatch(one)] == []
