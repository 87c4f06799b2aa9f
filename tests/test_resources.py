"""What a task must not be given, because it is closed before the task, or a retry of it, runs."""

from __future__ import annotations

import io

import pytest
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Request as WerkzeugRequest

from tests.support import client
from wsgibg import (
    App,
    BackgroundTasks,
    Depends,
    InlineExecutor,
    Request,
    TaskManager,
    ThreadExecutor,
    current_tasks,
    task,
    wrap,
)
from wsgibg.exceptions import TaskRefused


@task(retries=1)
def keep(*args, **kwargs):
    """A task that may be tried again."""


@pytest.fixture(name="told")
def _told():
    return []


def send(app):
    """Send a form with two files and a field."""
    data = {
        "up": [(io.BytesIO(b"one"), "one.txt"), (io.BytesIO(b"two"), "two.txt")],
        "field": "text",
    }
    return client(app).post("/", data=data)


# --- uploaded files ------------------------------------------------------------------------

GIVEN = {
    "an UploadFile": lambda request: request.get_form()["up"],
    "its file": lambda request: request.get_form()["up"].file,
    "a FileStorage": lambda request: request.files["up"],
    "its stream": lambda request: request.files["up"].stream,
    "a list of files": lambda request: request.files.getlist("up"),
    "a list of streams": lambda request: [each.file for each in request.get_form().uploads()],
}


@pytest.mark.parametrize("named", [False, True], ids=["in its place", "by its name"])
@pytest.mark.parametrize("what", GIVEN)
def test_a_task_with_retries_is_not_given_an_uploaded_file(told, what, named):
    """It is closed when the first attempt is over: the refusal names it, and says what to do."""
    app = App()

    @app.post("/")
    def upload(request: Request, tasks: BackgroundTasks):
        given = GIVEN[what](request)
        with pytest.raises(TaskRefused) as refused:
            tasks.add_task(keep, given=given) if named else tasks.add_task(keep, 1, given)
        told.append(str(refused.value))

    assert send(app).status_code == 200
    (text,) = told
    assert "test_resources.keep has retries and is given the uploaded file '" in text
    assert ".txt', which is closed after the first attempts. Save it, and pass the path." in text


@pytest.mark.parametrize("executor", [InlineExecutor, ThreadExecutor])
def test_a_task_without_retries_reads_an_uploaded_file(told, executor):
    """It stays open until the task is over."""
    app = App(executor=executor())

    @app.post("/")
    def upload(request: Request, tasks: BackgroundTasks):
        form = request.get_form()
        tasks.add_task(lambda given: told.append(given.file.read()), form["up"])
        tasks.add_task(keep, form["field"], io.BytesIO(b"its own"), [form["field"]])

    assert send(app).status_code == 200
    assert app.drain(10) == []
    assert len(told) == 1
    assert told[0] in (b"one", b"two")


def test_nor_is_one_of_a_foreign_application(told):
    """A `FileStorage` is known by its type where somebody else has read the form."""

    def foreign(environ, start_response):
        request = WerkzeugRequest(environ)
        with request:
            with pytest.raises(TaskRefused, match=r"uploaded file 'one\.txt'"):
                current_tasks().add_task(keep, request.files["up"])
            told.append("refused")
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    send(wrap(foreign))
    assert told == ["refused"]


def test_nor_is_a_file_without_a_name(told):
    """A `FileStorage` that was made by hand."""
    app = App()

    @app.get("/")
    def read(tasks: BackgroundTasks):
        with pytest.raises(TaskRefused, match="uploaded file None"):
            tasks.add_task(keep, FileStorage(io.BytesIO(b"")))
        told.append("refused")

    client(app).get("/")
    assert told == ["refused"]


# --- what a running task adds --------------------------------------------------------------


def resource():
    with io.BytesIO(b"content") as opened:
        yield opened


@pytest.mark.parametrize("executor", [InlineExecutor, ThreadExecutor])
@pytest.mark.parametrize("divided", [False, True])
def test_a_running_task_is_refused_what_its_request_is_refused(told, executor, divided):
    """Whether or not the tasks were divided into batches, by executor or by options."""
    app = App(executor=executor())

    def adding(opened):
        with pytest.raises(TaskRefused, match="keeps open for first attempts only"):
            current_tasks().add_task(keep, opened)
        current_tasks().add_task(told.append, opened.read())

    @app.get("/")
    def read(tasks: BackgroundTasks, opened=Depends(resource, scope="tasks")):
        tasks.add_task(task(adding, when="always") if divided else adding, opened)

    client(app).get("/")
    assert app.drain(10) == []
    assert told == [b"content"]


def test_a_task_that_was_put_into_a_batch_of_its_own_is_refused_it_too(told):
    """A running task had it run by another executor."""
    app = App(executors={"other": InlineExecutor()})

    def adding(opened):
        with pytest.raises(TaskRefused, match="keeps open for first attempts only"):
            current_tasks().add_task(keep, opened)
        told.append("refused")

    def first(opened):
        current_tasks().add_task(task(adding, executor="other"), opened)

    @app.get("/")
    def read(tasks: BackgroundTasks, opened=Depends(resource, scope="tasks")):
        tasks.add_task(first, opened)

    client(app).get("/")
    assert told == ["refused"]


def test_what_a_running_task_adds_is_injected_by_its_own_application(told):
    """Not by the first one that has the same manager: the overrides are its own."""
    manager = TaskManager(InlineExecutor())
    App(tasks=manager)
    app = App(tasks=manager)

    def word():
        return "declared"

    app.dependency_overrides[word] = lambda: "override"

    def second(value=Depends(word)):
        told.append(value)

    def first():
        current_tasks().add_task(second)

    @app.get("/")
    def read(tasks: BackgroundTasks):
        tasks.add_task(task(first, when="always"))

    client(app).get("/")
    assert told == ["override"]
