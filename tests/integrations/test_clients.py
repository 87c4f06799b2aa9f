"""The client and the fixture of the plugin with applications and clients of others."""

from __future__ import annotations

from importlib import import_module

import pytest
import werkzeug.test
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from wsgibg import App, BackgroundTasks, ThreadExecutor, current_tasks, wrap
from wsgibg.exceptions import TaskNotRun
from wsgibg.pytest_plugin import TaskFixture
from wsgibg.testing import TestClient

sent: list[str] = []


def send(to: str) -> None:
    if to == "nobody":
        raise LookupError(to)
    sent.append(to)


@pytest.fixture(autouse=True)
def _nothing_sent():
    sent.clear()


@pytest.fixture(params=["run", "collect", "off"])
def background_tasks(request):
    """The plugin's fixture, in each mode."""
    with TaskFixture(request.param) as tasks:
        yield tasks


@pytest.fixture(params=["inline", "pool"])
def executor(request):
    """Where the tasks run."""
    return ThreadExecutor(workers=1) if request.param == "pool" else None


@pytest.fixture(params=["wrap", "extension"])
def site(request, executor):
    """A Flask application with background tasks, in both ways."""
    flask = pytest.importorskip("flask")
    site = flask.Flask("site")
    if request.param == "wrap":
        site.wsgi_app = wrap(site.wsgi_app, executor=executor)
        site.tasks = site.wsgi_app.tasks
    else:
        extension = import_module("wsgibg.integrations.flask")
        site.tasks = extension.BackgroundTasks(site, executor=executor).tasks

    @site.post("/send/<to>")
    def post(to: str) -> str:
        current_tasks().add_task(send, to)
        return "sent"

    @site.get("/fail")
    def fail() -> str:
        current_tasks().add_task(send, "ada")
        raise LookupError("oops")

    return site


@pytest.fixture
def app(executor):
    """An application of ours."""
    app = App(executor=executor)

    @app.post("/send/{to}")
    def post(to: str, tasks: BackgroundTasks) -> str:
        tasks.add_task(send, to)
        return "sent"

    return app


def check(background_tasks: TaskFixture) -> None:
    """After a request for ada, and one for nobody: what each mode promises."""
    mode = background_tasks.mode
    assert background_tasks.assert_added(send, "ada").args == ("ada",)
    assert [task.args for task in background_tasks.added] == [("ada",), ("nobody",)]
    assert sent == (["ada"] if mode == "run" else [])
    assert [str(error) for _, error in background_tasks.failures] == (
        ["nobody"] if mode == "run" else []
    )
    if mode == "collect":
        background_tasks.run_all()
        background_tasks.run_all()
        assert sent == ["ada"]
        assert [type(error) for _, error in background_tasks.failures] == [LookupError]
    with pytest.raises(AssertionError, match=r"send\('ada'\), added at .*test_clients.py:\d+ in "):
        background_tasks.assert_added(send, "bob")


def test_our_client(app, background_tasks):
    """With ours: here a failing task is asked for, not raised."""
    client = TestClient(app, raise_task_errors=False)
    for to in ("ada", "nobody"):
        assert client.post(f"/send/{to}").json() == "sent"
    check(background_tasks)


def test_werkzeugs_client(app, background_tasks):
    """It leaves its responses open, which the fixture sees to."""
    client = werkzeug.test.Client(app)
    kept = [client.post(f"/send/{to}") for to in ("ada", "nobody")]
    check(background_tasks)
    assert [response.text for response in kept] == ['"sent"', '"sent"']


def test_flasks_client(site, background_tasks):
    """Werkzeug's, in fact."""
    client = site.test_client()
    kept = [client.post(f"/send/{to}") for to in ("ada", "nobody")]
    check(background_tasks)
    assert [response.text for response in kept] == ["sent", "sent"]


def test_webtest(site, background_tasks):
    """It closes each response, and so does httpx."""
    webtest = pytest.importorskip("webtest")
    client = webtest.TestApp(site)
    for to in ("ada", "nobody"):
        assert client.post(f"/send/{to}").text == "sent"
    check(background_tasks)


def test_httpx(site, background_tasks):
    """By its `WSGITransport`, which calls the application without a server."""
    httpx = pytest.importorskip("httpx")
    with httpx.Client(transport=httpx.WSGITransport(site), base_url="http://x") as client:
        for to in ("ada", "nobody"):
            assert client.post(f"/send/{to}").text == "sent"
    check(background_tasks)


def test_an_app_inside_a_wrapped_application(app, background_tasks):
    """Its tasks are handed outwards, and counted once."""
    site = wrap(DispatcherMiddleware(lambda *_: [], {"/api": app}))
    client = TestClient(site, raise_task_errors=False)
    for to in ("ada", "nobody"):
        assert client.post(f"/api/send/{to}").json() == "sent"
    check(background_tasks)


DJANGO = """
    import pytest
    from django import conf, http, urls
    from django.core.wsgi import get_wsgi_application
    import django.test
    from werkzeug.test import Client
    from wsgibg import current_tasks, wrap
    from wsgibg.testing import TestClient

    sent = []

    def view(request, to):
        current_tasks().add_task(sent.append, to)
        return http.HttpResponse("sent")

    urlpatterns = [urls.path("send/<to>", view)]
    middleware = "wsgibg.integrations.django.BackgroundTasksMiddleware"
    conf.settings.configure(
        ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x", MIDDLEWARE=[]
    )
    wrapped = wrap(get_wsgi_application())
    conf.settings.MIDDLEWARE = [middleware]
    project = get_wsgi_application()

    clients = {
        "Werkzeug's, wrap": Client(wrapped),
        "ours, wrap": TestClient(wrapped),
        "Werkzeug's, middleware": Client(project),
        "ours, middleware": TestClient(project),
        "Django's, middleware": django.test.Client(),
    }

    @pytest.mark.parametrize("client", clients.values(), ids=clients)
    @pytest.mark.parametrize("mode", ["run", "collect", "off"])
    def test_it(background_tasks, client, mode):
        sent.clear()
        background_tasks.mode = mode
        response = client.get("/send/ada")
        assert response.status_code == 200
        background_tasks.assert_added(sent.append, "ada")
        assert sent == (["ada"] if mode == "run" else [])
        if mode == "collect":
            background_tasks.run_all()
            assert sent == ["ada"]
        with pytest.raises(AssertionError, match="test_it.py:[0-9]+ in view"):
            background_tasks.assert_added(print)
"""


def test_django(pytester):
    """A project that is wrapped, or has the middleware; its own client knows only the latter."""
    pytest.importorskip("django")
    pytester.makepyfile(test_it=DJANGO)

    done = pytester.runpytest_subprocess("-p", "pytest_wsgibg", "-p", "no:django")

    done.assert_outcomes(passed=15)


DJANGO_TASKS = """
    import pytest
    import django
    from django import conf

    old = django.VERSION < (6,)
    tasks = pytest.importorskip("django_tasks" if old else "django.tasks")
    conf.settings.configure(
        SECRET_KEY="x",
        INSTALLED_APPS=["django_tasks"] if old else [],
        TASKS={"default": {"BACKEND": "wsgibg.integrations.django.TasksBackend"}},
    )
    django.setup()
    sent = []

    @tasks.task
    def send(to):
        sent.append(to)

    def test_it(background_tasks):
        background_tasks.mode = "collect"
        send.enqueue("ada")
        background_tasks.assert_added(send)
        background_tasks.assert_added(send.func, to="ada")
        with pytest.raises(AssertionError, match=r"send\\('ada'\\), added at .*it.py:[0-9]+ in"):
            background_tasks.assert_added(send, "bob")
        assert sent == []
        background_tasks.run_all()
        assert sent == ["ada"]
"""


def test_djangos_own_tasks(pytester):
    """The fixture knows the function and the arguments that were enqueued."""
    pytest.importorskip("django")
    pytester.makepyfile(test_it=DJANGO_TASKS)

    done = pytester.runpytest_subprocess("-p", "pytest_wsgibg", "-p", "no:django")

    done.assert_outcomes(passed=1)


def test_our_client_and_a_framework(site):
    """Flask's object knows nothing of the manager; the process does."""
    assert TestClient(site).post("/send/ada").text == "sent"
    assert sent == ["ada"]
    with pytest.raises(LookupError, match=r"nobody"):
        TestClient(site).post("/send/nobody")


def test_strict_mode_of_a_wrapped_framework(site):
    """It is the manager's, so the client may be given the framework's object."""
    site.tasks.strict = True
    site.testing = True
    client = TestClient(site, raise_server_exceptions=False, raise_task_errors=True)

    with pytest.raises(TaskNotRun, match=r"its request failed \(LookupError: oops\)"):
        client.get("/fail")
    with pytest.raises(LookupError, match=r"oops"):
        TestClient(site).get("/fail")
