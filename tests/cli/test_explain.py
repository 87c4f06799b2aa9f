"""What `wsgibg explain` prints of a route."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from wsgibg.cli._commands import wsgibg

TARGET = "tests.cli.shop:app"


def explain(method: str, path: str, *, columns: int = 200, color: bool = False) -> str:
    """The output for a route of the shop, on a terminal so wide that nothing is folded."""
    environment = {"COLUMNS": str(columns), "TERM": "xterm-256color"}
    if color:
        environment["FORCE_COLOR"] = "1"
    done = CliRunner().invoke(
        wsgibg, ["explain", TARGET, method, path], env=environment, color=color
    )
    assert done.exit_code == 0, done.output
    return done.output


def section(output: str, title: str) -> list[list[str]]:
    """The rows below a title, each split into its columns."""
    text = output.partition(f"\n{title}\n")[2].partition("\n\n")[0]
    return [re.split(r"\s{2,}", line.strip()) for line in text.splitlines() if line.strip()]


def steps(output: str) -> dict[str, list[str]]:
    """What stands beside the name of each value: where it is from, its type and rules."""
    rows = section(output, "Steps")
    return {row[1]: row[2:] for row in rows if row[0].isdigit() and "shared" not in row[2]}


# --- the heading ---------------------------------------------------------------------------


def test_the_heading_names_route_and_handler():
    """Method, declared path, the handler with its file and line."""
    first, second, *_ = explain("GET", "/items/5").splitlines()

    assert first == "GET /items/{item_id}"
    assert re.fullmatch(r"tests/cli/shop\.py:\d+ read_item\(\)", second)


def test_declared_and_requested_paths_mean_the_same():
    """`/items/{item_id}`, `/items/5` and `/items/5?verbose=1` are one route."""
    declared = explain("GET", "/items/{item_id}")

    assert explain("GET", "/items/5") == declared
    assert explain("GET", "/items/5?verbose=1") == declared


def test_the_method_may_be_written_small():
    """`get` is GET."""
    assert explain("get", "/items/5") == explain("GET", "/items/5")


def test_further_methods_are_named():
    """A route with several methods is explained for one, and names the others."""
    assert "It also answers POST.\n" in explain("GET", "/clock")
    assert "It also answers" not in explain("GET", "/items/5")


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/items/5", "It runs in the server's thread.\n"),
        ("/clock", "its async steps run on the lent loop"),
        ("/pool", "Its async steps hop to the event loop"),
    ],
)
def test_the_heading_says_where_it_runs(path, sentence):
    """In the server's thread, on the lent loop, or by hops to the event loop."""
    assert sentence in explain("GET", path)


def test_a_body_is_said_to_be_read_first():
    """Broken JSON is refused before any step; a route without a body has no such line."""
    assert "The body is read first" in explain("POST", "/items/5")
    assert "The body is read first" not in explain("GET", "/items/5")


@pytest.mark.parametrize(
    ("path", "earlier"),
    [
        ("/users/me", "GET /users/{user_id}"),
        ("/legacy/late", "the application mounted at /legacy"),
    ],
)
def test_a_route_that_no_request_reaches_is_marked(path, earlier):
    """The first match wins, so a route may be declared in vain."""
    expected = f"No request gets here: {earlier} is declared earlier and answers {path}.\n"

    assert expected in explain("GET", path)


def test_a_route_that_is_reached_is_not_marked():
    """Routes of the same path for other methods, and other paths, are no obstacles."""
    for path in ("/clock", "/items/5", "/users/{user_id}"):
        assert "No request gets here" not in explain("GET", path)
    assert "No request gets here" not in explain("DELETE", "/items/5")


# --- the steps -----------------------------------------------------------------------------


def test_values_show_source_type_and_rules():
    """Where a value is read, its type, whether it is required, what it must be like."""
    shown = steps(explain("POST", "/items/5"))

    assert shown["x_token_2"] == ["header x-token", "str, required, min_length=8"]
    assert shown["item_id_6"] == ["path item_id", "int, required, ge=1"]
    assert shown["q_7"] == [
        "query q",
        "str | None, default None, max_length=50, pattern='^[a-z]+$'",
    ]
    assert shown["tags_8"] == ["query tags, each one", "list[str], default: what list() returns"]
    assert shown["item_9"] == ["the JSON body", "Item, required"]
    assert shown["tasks_10"] == ["the request's collector", "BackgroundTasks"]


def test_further_kinds_of_values_are_shown():
    """Cookies, keys of an embedded body, long defaults, validators of the user's own."""
    shown = steps(explain("POST", "/embedded"))

    assert shown["number_0"] == ["query number", "int, default 2, checked by even()"]
    assert shown["long_1"][1] == "str, default 'a long default, longer than the colu..."
    assert shown["theme_3"] == ["cookie theme", "str, default 'light'"]
    assert shown["either_2"] == ["query either", "int | float, required, ge=1"]
    assert shown["item_4"] == ["the JSON body, key item", "Item, required"]
    assert shown["count_5"] == ["the JSON body, key count", "int | None, default None, ge=0"]


def test_parameter_models_and_given_objects_are_shown():
    """A model takes the whole query, and the request gives objects of its own."""
    pool, scoped = steps(explain("GET", "/pool")), steps(explain("GET", "/scoped"))

    assert pool["page_1"] == ["the whole query", "Page, required"]
    assert pool["response_2"] == ["the response's status and headers", "Response"]
    assert scoped["scopes_0"] == ["the scopes: items:read me", "SecurityScopes"]
    assert scoped["request_1"] == ["the request itself", "Request"]
    assert scoped["scopes_3"] == ["the scopes: none", "SecurityScopes"]


def test_another_body_than_json_is_named_by_its_type():
    """What the marker says of the body's type is said again."""
    shown = steps(explain("POST", "/xml"))

    assert shown["document_0"] == ["the body (application/xml)", "str, required"]


def test_calls_show_their_arguments():
    """A dependency is called with the values of earlier steps, under the function's names."""
    output = explain("POST", "/items/5")
    shown = steps(output)

    assert shown["get_db_1"] == [
        "get_db(get_settings_0)",
        'Iterator[Session], yield, scope="request"',
    ]
    assert shown["get_user_3"] == ["get_user(get_db_1, x_token_2)", "str"]
    assert shown["create_item_11"][1] == "Any, the handler"
    assert "get_user_3 = call_get_user_3(get_db_1, x_token_2)\n" in output


def test_every_call_shows_its_line():
    """The file and line stand below the call."""
    rows = section(explain("GET", "/clock"), "Steps")

    assert [bool(re.fullmatch(r"tests/cli/shop\.py:\d+", row[0])) for row in rows[2:]] == [
        False,
        True,
        False,
        True,
    ]


def test_a_class_is_its_own_type():
    """`Depends()` on a class gives an instance of it."""
    assert steps(explain("DELETE", "/items/5"))["Session_0"] == ["Session()", "Session"]


def test_a_callable_without_source_has_no_line():
    """A builtin is called as well, from no file."""
    assert explain("GET", "/builtin").splitlines()[:2] == ["GET /builtin", "object()"]


def test_a_shared_dependency_is_recalled():
    """Its second use points at the step that called it."""
    rows = section(explain("POST", "/items/5"), "Steps")

    shared = [row for row in rows if "shared" in row[-1]]
    assert shared == [
        ["3", "get_settings_0", "shared, from step 1"],
        ["4", "get_db_1", "shared, from step 2"],
    ]


def test_async_steps_say_whether_they_can_wait():
    """An `await` somewhere in the code is what makes a route hop."""
    pool, clock = steps(explain("GET", "/pool")), steps(explain("GET", "/clock"))

    assert pool["get_pool_0"][1] == 'AsyncIterator[str], async, can wait, yield, scope="request"'
    assert clock["get_clock_0"] == ["get_clock()", "str, async, never waits"]


def test_a_returned_collector_is_announced():
    """Tasks of a collector that a dependency made are not lost."""
    shown = steps(explain("GET", "/scoped"))

    assert shown["get_tasks_5"][1] == "BackgroundTasks, tasks that it returns are taken over"


# --- the end -------------------------------------------------------------------------------


def test_the_end_is_told_in_order():
    """When each `yield` dependency is left, and when the tasks run."""
    assert section(explain("POST", "/items/5"), "End") == [
        ["after the handler, before the first byte", "leave get_lock_4"],
        ["after the last byte", "leave get_db_1"],
        ["then", "run the background tasks"],
        ["after the first attempt of each task", "leave get_files_5"],
    ]


def test_tasks_alone_run_after_the_last_byte():
    """Where nothing is left in between, no "then" is needed."""
    assert section(explain("GET", "/scoped"), "End") == [
        ["after the last byte", "run the background tasks"]
    ]


def test_dependencies_are_left_last_in_first_out():
    """The order of the exits is the reverse of the order of the calls."""
    assert section(explain("GET", "/two"), "End") == [
        ["after the last byte", "leave get_files_1"],
        ["after the last byte", "leave get_lock_0"],
    ]


def test_without_anything_to_end_there_is_no_such_section():
    """No heading stands above nothing."""
    assert "\nEnd\n" not in explain("GET", "/items/5")


# --- the answer ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "lines"),
    [
        (
            "POST",
            "/items/5",
            [
                ["status", "201 Created"],
                ["content type", "application/json"],
                ["model", "Item"],
                ["options", "exclude_none=True"],
            ],
        ),
        (
            "GET",
            "/items/5",
            [
                ["status", "200 OK"],
                ["content type", "application/json"],
                ["model", "none: whatever the handler returns"],
            ],
        ),
        (
            "GET",
            "/pool",
            [
                ["status", "200 OK, unless the handler sets another"],
                ["content type", "application/json"],
                ["model", "list[Item]"],
            ],
        ),
        (
            "GET",
            "/old",
            [
                ["status", "307 Temporary Redirect"],
                ["response class", "RedirectResponse"],
                ["content type", "that of the response"],
                ["model", "str"],
            ],
        ),
        (
            "GET",
            "/page",
            [["status", "200 OK"], ["content type", "text/html; charset=utf-8"], ["model", "str"]],
        ),
        (
            "GET",
            "/odd",
            [
                ["status", "200 OK"],
                ["response class", "Odd"],
                ["content type", "text/odd"],
                ["model", "none: whatever the handler returns"],
            ],
        ),
        (
            "GET",
            "/names",
            [
                ["status", "200 OK"],
                ["content type", "application/json"],
                ["model", "Item"],
                ["options", "by_alias=False"],
            ],
        ),
        (
            "DELETE",
            "/items/5",
            [["status", "204 No Content"], ["body", "none: this status has no body"]],
        ),
        ("GET", "/scoped", [["response", "the one that the handler returns, as it is"]]),
    ],
)
def test_the_answer_says_what_is_sent(method, path, lines):
    """Status, type, model and its options; or that the handler says it all."""
    assert section(explain(method, path), "Answer") == lines


# --- the function, and the whole -----------------------------------------------------------


def test_the_function_is_printed_whole():
    """However narrow the terminal: what is printed is Python that compiles."""
    narrow = explain("POST", "/items/5", columns=60).partition("\nFunction\n")[2]
    code = narrow[narrow.index("def handle(") :]

    compile(code, "<printed>", "exec")
    assert code == explain("POST", "/items/5").partition("\n\ndef ")[2].join(["def ", ""])


def test_leaving_the_function_is_explained_where_it_happens():
    """`raise Resume(...)` needs a word, and only where it stands."""
    assert "At `raise Resume(n, ...)` a value was wrong" in explain("GET", "/items/5")
    assert "Resume" not in explain("GET", "/clock")


@pytest.mark.parametrize("columns", [80, 120])
def test_nothing_is_cut_off(columns):
    """Tables are folded to the width of the terminal, and lose no word."""
    output = explain("POST", "/items/5", columns=columns)
    above = output.partition("\nFunction\n")[0]

    assert "…" not in above
    assert max(map(len, above.splitlines())) <= columns


def test_without_a_terminal_there_are_no_escapes():
    """What goes to a file or a pipe is plain text."""
    assert "\x1b" not in explain("GET", "/items/5")


def test_a_terminal_gets_highlighted_code():
    """The colours change nothing of the text."""
    colored = explain("GET", "/items/5", color=True)

    assert re.search(r"\x1b\[[0-9;]+mdef\x1b", colored)
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == explain("GET", "/items/5")
