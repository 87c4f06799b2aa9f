"""`inject` on the views of four frameworks, as the guide shows it."""

from __future__ import annotations

import warnings
from typing import Annotated

import bottle
import flask
import pytest
from flask.views import MethodView
from werkzeug.exceptions import HTTPException as WerkzeugHTTPException

from examples.guide import inject_django, inject_flask
from tests.integrations.legacy import django_app, django_site
from tests.support import client
from wsgibg import BackgroundTasks, Depends, Query, Request, wrap
from wsgibg.embedding import inject
from wsgibg.exceptions import FastAPIError
from wsgibg.integrations.django import project

with warnings.catch_warnings(action="ignore"):  # (of the modules that WebOb still imports)
    from pyramid.config import Configurator


@pytest.fixture
def notes():
    return []


def closing(notes):
    def resource():
        try:
            yield "resource"
        except Exception as error:
            notes.append(type(error).__name__)
            raise
        notes.append("close")

    return resource


# --- Flask ---------------------------------------------------------------------------------


@pytest.fixture(name="shop")
def _shop():
    inject_flask.lines.clear()
    return client(inject_flask.app)


def test_the_guides_flask_view(shop):
    """The dependency is left after the response, the task runs after that."""
    answer = shop.post("/orders/7/pay?currency=USD")

    assert answer.get_json() == {"order": 7, "paid": True}
    assert inject_flask.lines == ["commit", "receipt for 7 in USD"]


def test_what_a_flask_view_refuses(shop):
    """Flask answers: the 422 is FastAPI's, the 404 has Flask's page; the session sees them."""
    wrong = shop.post("/orders/7/pay?currency=dollars")
    assert (wrong.status_code, wrong.get_json()["detail"][0]["loc"]) == (422, ["query", "currency"])
    assert inject_flask.lines == ["rollback"]

    assert shop.post("/orders/700/pay").status_code == 404
    assert inject_flask.lines == ["rollback", "rollback"]


def test_overrides_for_a_flask_application(shop):
    """They are the wrapped application's."""
    overrides = inject_flask.wrapped.dependency_overrides
    overrides[inject_flask.get_order] = lambda: 3
    try:
        assert shop.post("/orders/700/pay").status_code == 200
    finally:
        overrides.clear()

    assert inject_flask.lines == ["receipt for 3 in EUR"]


def test_the_guides_view_is_called_without_a_request(notes):
    """As the guide says, when everything is passed that would be injected."""
    tasks = BackgroundTasks()

    answer = inject_flask.pay(7, order=7, tasks=tasks, currency="EUR")

    assert answer == {"order": 7, "paid": True}
    assert [each.args for each in tasks.tasks] == [("receipt for 7 in EUR",)]
    tasks.tasks.clear()


def test_flask_of_every_kind(notes):
    """Methods of a class, async views, an error handler of the application's own."""
    app = flask.Flask(__name__)

    class Items(MethodView):
        @inject
        def get(self, key, resource=Depends(closing(notes))):
            return [flask.request.path, key, resource]

    @app.get("/async")
    @inject
    async def read(request: Request, resource=Depends(closing(notes)), fail: bool = Query(False)):
        if fail:
            flask.abort(418)
        return [flask.request.path, request.url.path, resource]

    @app.errorhandler(WerkzeugHTTPException)
    def answer(error):
        return {"code": error.code}, error.code

    app.add_url_rule("/items/<key>", view_func=Items.as_view("items"))
    browser = client(wrap(app.wsgi_app))

    assert browser.get("/items/a").get_json() == ["/items/a", "a", "resource"]
    assert browser.get("/async").get_json() == ["/async", "/async", "resource"]
    assert browser.get("/async?fail=yes").get_json() == {"code": 418}
    assert browser.get("/async?fail=perhaps").get_json() == {"code": 422}
    assert notes == ["close", "close", "ImATeapot", "ViewValidationError"]


def test_a_flask_application_that_is_not_wrapped(notes):
    """The error says what to do."""
    app = flask.Flask(__name__)
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.add_url_rule("/", view_func=inject(lambda resource=Depends(closing(notes)): resource))

    with pytest.raises(FastAPIError, match=r"Serve its application inside wsgibg.wrap\(\)"):
        client(app).get("/")


# --- Django --------------------------------------------------------------------------------


@pytest.fixture(name="site")
def _site():
    inject_django.lines.clear()
    module = inject_django.__name__
    with django_site(module, MIDDLEWARE=[f"{module}.AnswerErrors"]):
        yield client(wrap(django_app()))


def test_the_guides_django_views(site):
    """Functions and methods, with Django's own arguments."""
    answer = site.get("/orders/7/pay", headers={"X-User": "ada"})
    assert answer.get_json() == {"order": 7, "user": "ada"}
    assert inject_django.lines == ["receipt for ada"]

    assert site.get("/orders", headers={"X-User": "ada"}).get_json() == {"user": "ada"}


def test_what_a_django_view_refuses(site):
    """The guide's middleware answers for it."""
    answer = site.get("/orders", headers={"X-User": "a"})

    assert answer.status_code == 422
    assert answer.content_type == "application/json"
    assert answer.get_json()["detail"][0]["loc"] == ["header", "x-user"]


def test_django_views_with_the_middleware_alone(notes):
    """It makes the request that they are injected in, and answers what they refuse."""
    module = inject_django.__name__
    middleware = "wsgibg.integrations.django.BackgroundTasksMiddleware"
    inject_django.lines.clear()
    with django_site(module, MIDDLEWARE=[middleware], WSGIBG={}):
        browser = client(django_app())
        answer = browser.get("/orders/7/pay", headers={"X-User": "ada"})
        assert answer.get_json() == {"order": 7, "user": "ada"}
        assert inject_django.lines == ["receipt for ada"]
        assert browser.get("/orders", headers={"X-User": "a"}).status_code == 422

        project().dependency_overrides[inject_django.get_user] = closing(notes)
        assert browser.get("/orders").get_json() == {"user": "resource"}
        assert notes == ["close"]


# --- Bottle, Pyramid -----------------------------------------------------------------------


def test_a_bottle_view(notes):
    """It gets the path's parameters by name."""
    app = bottle.Bottle()

    @app.get("/items/<key>")
    @inject
    def read(key, tasks: BackgroundTasks, resource=Depends(closing(notes))):
        tasks.add_task(notes.append, "task")
        return {"key": key, "resource": resource}

    assert client(wrap(app)).get("/items/a").get_json() == {"key": "a", "resource": "resource"}
    assert notes == ["close", "task"]


def test_a_pyramid_view(notes):
    """It is mapped by the arguments that are left, with or without a context."""

    @inject
    def read(request, tasks: BackgroundTasks, size: Annotated[int, Query()] = 1):
        tasks.add_task(notes.append, "task")
        return {"key": request.matchdict["key"], "size": size}

    @inject
    def read_context(context, request, resource=Depends(closing(notes))):
        return {"resource": resource}

    def refused(error, request):
        return request.get_response(error)  # one of Werkzeug's errors is a WSGI application

    with Configurator() as config:
        config.add_route("one", "/one/{key}")
        config.add_route("two", "/two")
        config.add_view(read, route_name="one", renderer="json")
        config.add_view(read_context, route_name="two", renderer="json")
        config.add_exception_view(refused, context=WerkzeugHTTPException)
        browser = client(wrap(config.make_wsgi_app()))

    assert browser.get("/one/a?size=3").get_json() == {"key": "a", "size": 3}
    assert browser.get("/two").get_json() == {"resource": "resource"}
    assert notes == ["task", "close"]
    wrong = browser.get("/one/a?size=big")
    assert (wrong.status_code, wrong.get_json()["detail"][0]["loc"]) == (422, ["query", "size"])
