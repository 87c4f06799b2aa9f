"""A background task, the collector, and where one finds it."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import logging
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.support import client
from wsgibg import (
    App,
    BackgroundTask,
    BackgroundTasks,
    Depends,
    Injected,
    Response,
    TaskOptions,
    current_tasks,
    task,
)
from wsgibg._calls import binds, check_call
from wsgibg.background import request_collector, seal, source_var
from wsgibg.exceptions import FastAPIError, TaskRefused

COLOUR = contextvars.ContextVar("colour", default="none")


def send(to, subject="hello", *, urgent=False):
    """Something to call."""


class Sink:
    """Takes note of what it is asked about."""

    def __init__(self):
        self.asked = []

    def accept(self, task):
        if task.args == ("refused",):
            raise TaskRefused("no")
        self.asked.append(task)


@pytest.fixture(name="tasks")
def _tasks():
    """A request's collector, which nobody has to adopt."""
    return request_collector(None)


# --- one task ------------------------------------------------------------------------------


def test_a_task_is_a_function_with_its_arguments():
    """Function and arguments can be read; a plain function brings no options."""
    made = BackgroundTask(send, "ada", urgent=True)

    assert (made.func, made.args, made.kwargs) == (send, ("ada",), {"urgent": True})
    assert made.options is None
    assert made.name == "tests.test_background.send"


def test_a_task_has_an_id_of_its_own():
    """It is made when it is first read, and stays."""
    one, other = BackgroundTask(send, "ada"), BackgroundTask(send, "ada")

    assert one.id == one.id
    assert one.id != other.id
    assert len(one.id) == 32
    assert one.id in repr(one)


def test_all_threads_read_the_same_id():
    """However many threads ask first, they get one answer."""
    for _ in range(50):
        made = BackgroundTask(send, "ada")
        found = []
        barrier = threading.Barrier(4)

        def read(barrier=barrier, found=found, made=made):
            barrier.wait()
            found.append(made.id)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(found)) == 1


def test_a_task_can_be_awaited_as_in_starlette():
    """Awaiting makes the call here and now, of a sync or an async function."""
    calls = []

    async def later(word):
        await asyncio.sleep(0)
        calls.append(word)

    asyncio.run(BackgroundTask(calls.append, "sync")())
    asyncio.run(BackgroundTask(later, "async")())

    assert calls == ["sync", "async"]


def test_a_collector_can_be_awaited_as_in_starlette():
    """Its tasks run in order, those included that its tasks add, and it is empty then."""
    calls = []
    tasks = BackgroundTasks([BackgroundTask(calls.append, 1)])
    tasks.add_task(lambda: tasks.add_task(calls.append, 3))
    tasks.add_task(calls.append, 2)

    asyncio.run(tasks())

    assert calls == [1, 2, 3]
    assert tasks.tasks == []


# --- adding --------------------------------------------------------------------------------


def test_add_task_returns_the_task(tasks):
    """What is returned is what the collector holds, in order."""
    first = tasks.add_task(send, "ada")
    second = tasks.add_task(send, to="grace", urgent=True)

    assert tasks.tasks == [first, second]
    assert second.kwargs == {"to": "grace", "urgent": True}
    assert repr(tasks) == f"<BackgroundTasks {[first, second]!r}>"


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (("ada",), {}),
        (("ada", "hi"), {}),
        (("ada",), {"subject": "hi"}),
        ((), {"to": "ada"}),
        (("ada",), {"urgent": True}),
    ],
)
def test_every_call_that_python_would_accept_is_accepted(tasks, args, kwargs):
    """By position, by name, with defaults left out."""
    assert tasks.add_task(send, *args, **kwargs).args == args


@pytest.mark.parametrize(
    "func",
    [
        print,
        "".join,
        functools.partial(send, "ada"),
        functools.partial(print, "a", end=""),
        lambda *args: args,
        lambda **kwargs: kwargs,
        type("Callable", (), {"__call__": lambda self: None})(),
        dict,
        max,  # a builtin without a signature: only the call itself can tell
    ],
    ids=str,
)
def test_every_kind_of_callable_is_accepted(tasks, func):
    """Builtins, methods, partials, lambdas, objects, classes."""
    given = ([],) if func == "".join else ()
    assert tasks.add_task(func, *given).func is func


@pytest.mark.parametrize("positional", [("ada",), ("ada", "hi")])
def test_positional_only_parameters_are_bound(tasks, positional):
    """A function with positional-only parameters is asked about by `inspect`."""

    def post(to, subject="hi", /):
        pass

    tasks.add_task(post, *positional)
    with pytest.raises(TaskRefused, match=r"post.*does not take"):
        tasks.add_task(post, to="ada")


@pytest.mark.parametrize(
    ("args", "kwargs", "reason"),
    [
        ((), {}, "missing a required argument: 'to'"),
        (("a", "b", "c"), {}, "too many positional arguments"),
        (("a",), {"copy": 1}, "got an unexpected keyword argument 'copy'"),
        (("a",), {"to": "b"}, "multiple values for argument 'to'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(tasks, args, kwargs, reason):
    """The message shows the function's name, its parameters and the reason."""
    with pytest.raises(TaskRefused) as caught:
        tasks.add_task(send, *args, **kwargs)

    assert str(caught.value).startswith("tests.test_background.send(to, subject='hello'")
    assert reason in str(caught.value)
    assert tasks.tasks == []


def test_a_refusal_is_a_type_error_and_one_of_the_librarys_errors():
    """Both families may be caught."""
    with pytest.raises(TypeError):
        BackgroundTask(send)
    with pytest.raises(FastAPIError):
        BackgroundTask(send)


def test_a_plain_function_without_all_its_arguments_is_refused(tasks):
    """Also where no parameter has a default and the arity alone tells."""

    def pair(left, right):
        pass

    with pytest.raises(TaskRefused, match=r"missing a required argument: 'right'"):
        tasks.add_task(pair, 1)
    with pytest.raises(TaskRefused, match=r"missing a required argument: 'left'"):
        tasks.add_task(pair, right=1)
    with pytest.raises(TaskRefused, match=r"unexpected keyword argument 'third'"):
        tasks.add_task(pair, 1, right=2, third=3)


def test_a_partial_that_cannot_be_completed_is_refused(tasks):
    """What the partial has already counts as given."""
    with pytest.raises(TaskRefused, match=r"too many positional"):
        tasks.add_task(functools.partial(send, 1, 2, 3))
    with pytest.raises(TaskRefused, match=r"too many positional"):
        tasks.add_task(functools.partial(send, 1, 2), 3)
    with pytest.raises(TaskRefused, match=r"'copy'"):
        tasks.add_task(functools.partial(send, 1, copy=True))
    assert tasks.add_task(functools.partial(send, subject="a"), "ada", subject="b")


def test_what_cannot_be_called_is_refused(tasks):
    """The usual slip is to call the function instead of passing it."""
    with pytest.raises(TaskRefused, match=r"was given None, which cannot be called"):
        tasks.add_task(send("ada"))


def test_a_coroutine_is_refused_with_the_remedy(tasks):
    """It is closed, so that it does not warn as never awaited."""

    async def later():
        pass

    with pytest.raises(TaskRefused, match=r"It is a coroutine: pass the function"):
        tasks.add_task(later())


class Lines:
    def __call__(self):
        yield "line"

    def method(self):
        yield "line"


def lines():
    yield "line"


async def async_lines():
    yield "line"


@pytest.mark.parametrize(
    "func",
    [lines, async_lines, functools.partial(lines), Lines(), Lines().method, task(lines)],
    ids=str,
)
def test_a_generator_function_is_refused(tasks, func):
    """Calling it would run nothing."""
    with pytest.raises(TaskRefused, match=r"is a generator function: calling it runs nothing"):
        tasks.add_task(func)


@pytest.mark.parametrize("base", [BackgroundTask, BackgroundTasks])
def test_a_call_of_its_own_is_refused_where_the_class_is_made(base):
    """Nobody would call it, whether the class has it or what it is mixed with."""

    class Mixin:
        async def __call__(self):
            """Not called."""

    with pytest.raises(TaskRefused, match=r"Own has a __call__ of its own, and nobody would"):
        type("Own", (Mixin, base), {})

    class Other(base):
        """Without one it is a task, or a collector, like others."""

    assert Other.__call__ is base.__call__


def test_the_list_may_be_changed_by_hand_until_the_request_ends():
    """Tasks are put in front, taken out and replaced; a hand-made one is adopted as it is."""
    app, ran = App(), []

    @app.get("/")
    def read(tasks: BackgroundTasks):
        for name in ("one", "two", "three"):
            tasks.add_task(ran.append, name)
        assert tasks.tasks.pop().args == ("three",)
        tasks.tasks.insert(0, BackgroundTask(ran.append, "first"))
        tasks.tasks.append(BackgroundTask(ran.append, "last"))
        tasks.tasks[1] = BackgroundTask(ran.append, "another")
        tasks.adopt(BackgroundTask(task(ran.append, when="error"), "dropped"))
        tasks.adopt(BackgroundTask(task(ran.append, when="always"), "adopted"))

    client(app).get("/")

    assert ran == ["first", "another", "two", "last", "adopted"]


def test_a_wrapper_is_bound_by_its_own_parameters(tasks):
    """The call meets the wrapper's parameters, whatever `functools.wraps` shows."""

    @functools.wraps(send)
    def wrapper(number):
        return send(str(number))

    tasks.add_task(wrapper, 1)
    with pytest.raises(TaskRefused):
        tasks.add_task(wrapper, "ada", "hi")


def test_the_context_is_that_of_the_call_to_add_task(tasks):
    """A variable that is set later is not seen."""
    token = COLOUR.set("red")
    added = tasks.add_task(COLOUR.get)
    also = tasks.add_task(send, "ada")
    COLOUR.reset(token)

    assert added.context[COLOUR] == also.context[COLOUR] == "red"


def test_a_task_with_options_tells_the_collector(tasks):
    """The pass has to look at conditions only where some task has one."""
    tasks.add_task(send, "ada")
    assert not tasks.has_options

    added = tasks.add_task(task(send, when="always"), "ada")

    assert tasks.has_options
    assert added.func is send
    assert added.options == TaskOptions(when="always")


def test_a_partial_of_a_task_keeps_its_options(tasks):
    """The options belong to the function, however its arguments come together."""
    added = tasks.add_task(functools.partial(task(send, when="always"), "ada"), subject="hi")

    assert added.options == TaskOptions(when="always")
    assert added.func.func is send
    with pytest.raises(TaskRefused):
        tasks.add_task(functools.partial(task(send), "ada", "hi"), "too", "many")


# --- who is asked --------------------------------------------------------------------------


def test_a_sink_is_asked_about_tasks_with_options():
    """Others cost nothing, unless the sink wants to see every task."""
    sink, careful = Sink(), Sink()
    tasks = request_collector(sink)
    tasks.add_task(send, "ada")
    with_options = tasks.add_task(task(send, when="always"), "ada")
    every = request_collector(careful, asks=True)
    plain = every.add_task(send, "ada", "hi")

    assert sink.asked == [with_options]
    assert careful.asked == [plain]


def test_what_the_sink_refuses_is_not_added():
    """The exception comes out of `add_task`."""
    tasks = request_collector(Sink(), asks=True)

    with pytest.raises(TaskRefused):
        tasks.add_task(send, "refused")
    assert tasks.tasks == []


def test_a_closed_collector_refuses(tasks):
    """The message names the task and says what to do."""
    tasks.add_task(send, "ada")
    seal(tasks)

    assert tasks.tasks == []
    with pytest.raises(TaskRefused, match=r"add_task\(tests.test_background.send\) came after"):
        tasks.add_task(send, "ada", "hi")


def test_a_subclass_is_built_for_its_request(caplog):
    """Its request sees to its tasks, so it does not warn when it is thrown away."""

    class Noisy(BackgroundTasks):
        pass

    made = request_collector(Sink(), kind=Noisy)
    made.add_task(send, "ada", "hi")

    assert type(made) is Noisy
    del made
    gc.collect()
    assert caplog.records == []


# --- adopting ------------------------------------------------------------------------------


def test_adopting_moves_the_tasks(tasks):
    """They come behind those that are there, with ids and options."""
    by_hand = BackgroundTasks()
    first, second = by_hand.add_task(send, "a"), by_hand.add_task(task(send, when="always"), "b")
    tasks.add_task(send, "0")

    tasks.adopt(by_hand)

    assert [each.args for each in tasks.tasks] == [("0",), ("a",), ("b",)]
    assert [each.id for each in tasks.tasks[1:]] == [first.id, second.id]
    assert tasks.tasks[2].options == TaskOptions(when="always")
    assert tasks.has_options


def test_what_is_added_to_an_adopted_collector_is_adopted():
    """Whoever holds the old collector goes on using it, and the sink is asked."""
    sink = Sink()
    tasks, by_hand = request_collector(sink, asks=True), BackgroundTasks()
    tasks.adopt(by_hand)

    late = by_hand.add_task(send, "late")

    assert tasks.tasks == [late]
    assert sink.asked == [late]


def test_adopting_oneself_changes_nothing(tasks):
    """The request's own collector may be returned by a dependency or given to a response."""
    added = tasks.add_task(send, "ada")
    tasks.adopt(tasks)

    assert tasks.tasks == [added]


def test_a_single_task_is_adopted(tasks):
    """As in `Response(background=BackgroundTask(...))`."""
    made = BackgroundTask(send, "ada")
    tasks.adopt(made)

    assert [each.id for each in tasks.tasks] == [made.id]


def test_a_refused_task_leaves_those_behind_it_where_they_were(caplog):
    """Nothing disappears silently: what was not adopted is warned about by its finalizer."""
    tasks, by_hand = request_collector(Sink(), asks=True), BackgroundTasks()
    for word in ("first", "refused", "behind"):
        by_hand.add_task(send, word)

    with pytest.raises(TaskRefused):
        tasks.adopt(by_hand)

    assert [each.args for each in tasks.tasks] == [("first",)]
    assert [each.args for each in by_hand.tasks] == [("behind",)]
    by_hand.tasks.clear()


def test_one_task_may_be_given_to_several_requests():
    """Each request runs it in a context of its own, also at the same time."""
    seen = []
    barrier = threading.Barrier(2, timeout=5)

    def note():
        seen.append(COLOUR.get())
        COLOUR.set("changed")
        barrier.wait()

    shared = BackgroundTask(note)
    app = App()

    @app.get("/")
    def read():
        return Response(background=shared)

    threads = [threading.Thread(target=client(app).get, args=("/",)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ["none", "none"]


def test_a_collector_that_nobody_adopts_warns(caplog):
    """One warning names the tasks that were thrown away with it."""
    tasks = BackgroundTasks([BackgroundTask(send, "ada")])
    tasks.add_task(print)

    with caplog.at_level(logging.WARNING, "wsgibg.background"):
        del tasks
        gc.collect()

    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "(tests.test_background.send, builtins.print)" in record.getMessage()


def test_an_empty_or_adopted_collector_does_not_warn(caplog, tasks):
    """There is nothing that could be lost."""
    empty, adopted = BackgroundTasks(), BackgroundTasks()
    adopted.add_task(send, "ada")
    tasks.adopt(adopted)

    del empty, adopted
    gc.collect()

    assert caplog.records == []


# --- where am I ----------------------------------------------------------------------------


def test_current_tasks_is_the_collector_of_the_request():
    """The same object as the parameter, in handler and dependencies."""
    app = App()
    found = []

    def library():
        found.append(current_tasks())

    def dependency(background_tasks: BackgroundTasks):
        library()
        found.append(background_tasks)

    @app.get("/", dependencies=[Depends(dependency)])
    def read(background_tasks: BackgroundTasks, again: BackgroundTasks):
        library()
        found.extend([background_tasks, again])

    client(app).get("/")

    assert len(found) == 5
    assert len({id(each) for each in found}) == 1


def test_current_tasks_alone_makes_the_collector():
    """No parameter is needed for tasks to run."""
    app = App()
    calls = []

    @app.get("/")
    def read():
        current_tasks().add_task(calls.append, "done")

    client(app).get("/")

    assert calls == ["done"]


def test_what_is_added_by_hand_while_it_is_adopted_is_adopted():
    """A thread has come in after the last look at the list."""

    class Late(list):
        def __len__(self):
            return 0

    tasks, by_hand = request_collector(Sink()), BackgroundTasks()
    by_hand.add_task(send, "early")
    by_hand.tasks = Late(by_hand.tasks)

    tasks.adopt(by_hand)
    by_hand.add_task(send, "late")

    assert [each.args for each in tasks.tasks] == [("early",), ("late",)]
    assert list(by_hand.tasks) == []


def test_current_tasks_outside_a_request_says_where_it_works():
    """The message names the places."""
    with pytest.raises(RuntimeError, match=r"outside a request.*wsgibg.wrap"):
        current_tasks()


def test_inside_a_task_current_tasks_is_its_batch():
    """What a task adds comes last in the same pass, with and without options."""
    app = App()
    calls = []

    def outer(word):
        calls.append(word)
        current_tasks().add_task(calls.append, word + ", added")

    @app.get("/{when}")
    def read(when: str, background_tasks: BackgroundTasks):
        background_tasks.add_task(outer if when == "plain" else task(outer, when=when), when)
        background_tasks.add_task(calls.append, "second")

    client(app).get("/plain")
    client(app).get("/always")

    assert calls == ["plain", "second", "plain, added", "always", "second", "always, added"]


# --- a model -------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["shop", 3, [print]], ids=["text", "a number", "functions"])
def test_a_collector_of_something_else_is_refused(given):
    """A list of functions, or the application that Flask's extension takes."""
    with pytest.raises(TypeError, match=r"takes a list of BackgroundTask.*integrations.flask"):
        BackgroundTasks(given)


def test_a_batch_that_ends_while_a_task_is_added_leaves_it_to_the_adders_own():
    """A task of the same request may run longer, in a later attempt: its own batch goes on."""

    class Ending:
        def accept(self, task):
            if task.func is not str:
                raise TaskRefused("not this one")
            seal(batch)

    batch = request_collector(Ending(), asks=True)
    here = request_collector(None)
    tasks = request_collector(None)
    tasks.hand_on_to(batch)
    context = contextvars.copy_context()
    context.run(source_var.set, here)

    with pytest.raises(TaskRefused, match="not this one"):
        context.run(tasks.add_task, int)
    added = context.run(tasks.add_task, str)

    assert here.tasks == [added]


class Collecting(RuleBasedStateMachine):
    """A collector against the list that it should be."""

    def __init__(self):
        super().__init__()
        self.sink = Sink()
        self.tasks = request_collector(self.sink)
        self.by_hand = BackgroundTasks()
        self.expected, self.waiting = [], []
        self.adopted = False

    @rule(number=st.integers())
    def add(self, number):
        self.tasks.add_task(send, number)
        self.expected.append(number)

    @rule(number=st.integers(), when=st.sampled_from(["returned", "delivered", "error", "always"]))
    def add_with_options(self, number, when):
        self.tasks.add_task(task(send, when=when), number)
        self.expected.append(number)
        assert self.tasks.has_options

    @rule(count=st.sampled_from([0, 3]))
    def add_what_does_not_fit(self, count):
        with pytest.raises(TaskRefused):
            self.tasks.add_task(send, *range(count))

    @rule(number=st.integers())
    def add_by_hand(self, number):
        self.by_hand.add_task(send, number)
        (self.expected if self.adopted else self.waiting).append(number)

    @rule()
    def adopt(self):
        self.tasks.adopt(self.by_hand)
        self.expected += self.waiting
        self.waiting = []
        self.adopted = True
        self.by_hand = BackgroundTasks() if len(self.expected) % 2 else self.by_hand
        self.adopted = self.by_hand.forward is self.tasks

    @invariant()
    def the_order_is_that_of_the_calls(self):
        assert [each.args[0] for each in self.tasks.tasks] == self.expected

    def teardown(self):
        self.by_hand.tasks.clear()


def test_a_collector_is_a_list_of_the_calls_in_order():
    """Whatever is added, refused and adopted in whatever order."""
    Collecting.TestCase("runTest").runTest()


# --- what is injected ----------------------------------------------------------------------


MARKED = [Injected, Depends(print)]


@pytest.mark.parametrize("default", MARKED, ids=["Injected", "Depends"])
def test_a_task_knows_what_is_left_to_be_injected(tasks, default):
    """What is passed is an argument like any other."""

    def send(to, mailer=default, *, logger=default):
        pass

    assert tasks.add_task(send, "ada").injected == ("mailer", "logger")
    assert tasks.add_task(send, "ada", mailer="post").injected == ("logger",)
    assert tasks.add_task(send, "ada", "post", logger=1).injected == ()
    assert tasks.has_options


@given(
    st.lists(st.sampled_from([None, 1, *MARKED]), max_size=4),
    st.integers(0, 5),
    st.sets(st.sampled_from("abcde"), max_size=4),
)
def test_a_plain_function_is_bound_without_inspect(defaults, count, named):
    """The short way says what the long one says, or leaves the call to it."""
    tail = [f"d{number}" for number in range(len(defaults))]
    parameters = ["a", "b", *tail]
    space = dict(zip(tail, defaults, strict=True))
    text = ", ".join(["a", "b", *(f"{name}={name}" for name in tail)])
    exec(f"def func({text}): pass", space)
    names = dict(zip("abcde", ["a", "b", *tail, "x", "x", "x"][:5], strict=True))
    kwargs = {names[each]: 0 for each in named}
    args = (0,) * count

    short = binds(space["func"], args, kwargs)

    if short is not None:
        assert short == check_call(space["func"], args, kwargs)
    elif count <= len(parameters) and "x" not in kwargs:
        with pytest.raises(TaskRefused):
            check_call(space["func"], args, kwargs)
