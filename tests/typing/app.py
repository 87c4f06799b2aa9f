"""What a type checker says of an app: routes, dependencies, responses, `wrap`; never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Annotated, Any, assert_type
from wsgiref.types import WSGIApplication

from wsgibg import (
    APIRouter,
    App,
    BackgroundTask,
    BackgroundTasks,
    Body,
    Cookie,
    Depends,
    Executor,
    Header,
    HTTPException,
    InlineExecutor,
    Path,
    Query,
    Request,
    Response,
    Security,
    TaskManager,
    wrap,
)
from wsgibg.datastructures import URL, FormData, MutableHeaders, QueryParams
from wsgibg.embedding import WrappedApp
from wsgibg.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    StreamingResponse,
)


class Item:
    name: str = ""


class Pages:
    def __init__(self, size: int = 10) -> None:
        self.size = size


# --- the app -------------------------------------------------------------------------------


async def odd(request: Request, error: Exception) -> Response:
    assert_type(await request.body(), bytes)
    return PlainTextResponse(str(error))


app = App(
    title="shop",
    debug=True,
    dependencies=[Depends(Pages)],
    executor=InlineExecutor(),
    executors={"other": InlineExecutor()},
    after_task_error="stop",
    dependency_scope="tasks",
    exception_handlers={404: odd, ValueError: odd},
)
router = APIRouter(prefix="/items", tags=["items"])
app.include_router(router, prefix="/v1")

as_wsgi: WSGIApplication = app
assert_type(app.tasks, TaskManager)
assert_type(app.drain(1.5), list[BackgroundTask])

App(executor=InlineExecutor)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
App(executors=["other"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
App(after_task_error="halt")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
App(dependency_scope="reqest")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
APIRouter(prefx="/")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


@app.exception_handler(ValueError)
def bad_value(request: Request, error: ValueError) -> Response:
    return PlainTextResponse(str(error), status_code=400)


still_the_handler: Callable[[Request, ValueError], Response] = bad_value


# --- routes --------------------------------------------------------------------------------


@app.get("/plain", response_model=dict[str, int], status_code=201, tags=["a"])
def plain(q: str = "") -> dict[str, int]:
    return {q: 1}


@router.post("/async", response_class=PlainTextResponse)
async def asynchronous(size: int) -> str:
    return "x" * size


@app.api_route("/both", methods=["GET", "HEAD"])
def both() -> None:
    pass


def a_handler_is_still_the_function() -> None:
    """A route's decorator gives back what it was given."""
    assert_type(plain("ada"), dict[str, int])
    plain(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    app.add_api_route("/more", both, methods=["PUT"])


def options_have_types() -> None:
    """A wrong or unknown option of a route is found before it runs."""
    app.get("/", status_code="201")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    app.get("/", response_modl=int)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    app.get(plain)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# --- parameters ----------------------------------------------------------------------------


def get_item() -> Iterator[Item]:
    yield Item()


async def get_session() -> AsyncIterator[Item]:
    yield Item()


@app.put("/{number}")
async def annotated(
    number: Annotated[int, Path(ge=1)],
    item: Annotated[Item, Depends(get_item, scope="function")],
    session: Annotated[Item, Security(get_session, scopes=["write"])],
    pages: Annotated[Pages, Depends()],
    tasks: BackgroundTasks,
    request: Request,
    response: Response,
    q: Annotated[str | None, Query(min_length=3, pattern="^a")] = None,
    agent: Annotated[str, Header(convert_underscores=False)] = "",
    token: Annotated[str | None, Cookie(alias="t")] = None,
    body: Annotated[Mapping[str, Any] | None, Body(embed=True)] = None,
) -> Item:
    """Inside, everything has the type of its annotation."""
    assert_type(item, Item)
    assert_type(pages.size, int)
    assert_type(request.url, URL)
    assert_type(request.query_params, QueryParams)
    assert_type(await request.form(), FormData)
    assert_type(request.get_data(), bytes)
    assert_type(response.headers, MutableHeaders)
    if token is None:
        raise HTTPException(401)
    return session


def older(
    q: int = Query(1, ge=1),
    item: Item = Depends(get_item),
    name: str | None = Body(None),
) -> int:
    """A marker as the default fits any annotation."""
    return q


def markers_have_types() -> None:
    """So do their options."""
    Query(min_lenght=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Query(ge="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Depends(get_item, scope="reqest")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Depends(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# --- responses -----------------------------------------------------------------------------


def responses(tasks: BackgroundTasks) -> None:
    """Content, headers and tasks are checked."""
    JSONResponse({"a": 1}, 201, headers={"X-A": "b"}, background=tasks)
    Response(b"", background=BackgroundTask(print, "sent"))
    StreamingResponse(chunk for chunk in ("a", b"b"))
    FileResponse("a.txt", filename="b.txt")
    RedirectResponse("/", status_code=303)
    StreamingResponse(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Response(background=print)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    response = Response()
    response.set_cookie("a", "b", 60, secure=True, httponly=True, samesite="strict")
    response.delete_cookie("a", secure=True)
    response.set_cookie("a", http_only=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    response.set_cookie("a", samesite="no")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# --- wrap ----------------------------------------------------------------------------------


def legacy(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    return []


class Pool(Executor):
    def submit(self, batch: BackgroundTasks) -> None:
        assert_type(batch.tasks, list[BackgroundTask])


wrapped = wrap(legacy, executor=Pool(), after_task_error="stop", strict=True)
assert_type(wrapped, WrappedApp)
assert_type(wrapped.drain(), list[BackgroundTask])
wrapped_too: WSGIApplication = wrap(app, tasks=app.tasks)
wrap(legacy, executor=Pool)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
wrap(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
