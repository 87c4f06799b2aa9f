"""The application that the tests of the command line explain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel
from werkzeug.wrappers import Response as WerkzeugResponse

from wsgibg import (
    APIRouter,
    App,
    BackgroundTasks,
    Body,
    Cookie,
    Depends,
    Header,
    Path,
    Query,
    Request,
    Response,
    Security,
)
from wsgibg.params import SecurityScopes
from wsgibg.responses import HTMLResponse, RedirectResponse


class Item(BaseModel):
    name: str
    price: float = 0


class Session:
    pass


class Page(BaseModel):
    size: int = 10
    number: int = 1


def even(value: int) -> int:
    return value


def get_settings() -> dict[str, str]:
    return {}


def get_db(settings: Annotated[dict[str, str], Depends(get_settings)]) -> Iterator[Session]:
    yield Session()


def get_lock() -> Iterator[None]:
    yield


def get_files() -> Iterator[None]:
    yield


def get_user(
    db: Annotated[Session, Depends(get_db)], x_token: Annotated[str, Header(min_length=8)]
) -> str:
    return x_token


async def get_clock() -> str:
    return "now"


async def get_pool() -> AsyncIterator[str]:
    await asyncio.sleep(0)
    yield "pool"


def get_scopes(scopes: SecurityScopes, request: Request) -> SecurityScopes:
    return scopes


def get_tasks() -> BackgroundTasks:
    return BackgroundTasks()


app = App()
router = APIRouter(prefix="/users")
not_an_app = {"routes": []}


@app.post(
    "/items/{item_id}", status_code=201, response_model=Item, response_model_exclude_none=True
)
def create_item(
    item_id: Annotated[int, Path(ge=1)],
    item: Item,
    db: Annotated[Session, Depends(get_db)],
    user: Annotated[str, Depends(get_user)],
    lock: Annotated[None, Depends(get_lock, scope="function")],
    files: Annotated[None, Depends(get_files, scope="tasks")],
    tasks: BackgroundTasks,
    q: Annotated[str | None, Query(max_length=50, pattern="^[a-z]+$")] = None,
    tags: Annotated[list[str], Query(default_factory=list)] = [],  # noqa: B006 (the factory's)
) -> Any:
    return item


@app.get("/items/{item_id}")
def read_item(item_id: int, verbose: bool = False):
    return {"item_id": item_id, "verbose": verbose}


@app.api_route("/clock", methods=["GET", "POST"])
async def read_clock(clock: Annotated[str, Depends(get_clock)]) -> dict[str, str]:
    return {"clock": clock}


@app.get("/pool")
async def read_pool(
    pool: Annotated[str, Depends(get_pool)], response: Response, page: Annotated[Page, Query()]
) -> list[Item]:
    await asyncio.sleep(0)
    return []


@app.post("/embedded")
def embedded(
    item: Item,
    count: Annotated[int | None, Body(ge=0)] = None,
    number: Annotated[int, AfterValidator(even)] = 2,
    long: str = "a long default, longer than the columns of a table should be",
    theme: Annotated[str, Cookie()] = "light",
    either: Annotated[int | float, Query(ge=1)] = ...,
) -> None:
    pass


@app.get("/scoped")
def scoped(
    scopes: Annotated[SecurityScopes, Security(get_scopes, scopes=["items:read", "me"])],
    plain: Annotated[SecurityScopes, Depends(get_scopes)],
    tasks: Annotated[BackgroundTasks, Depends(get_tasks)],
) -> Response:
    return Response()


@app.get("/old", response_class=RedirectResponse)
def old() -> str:
    return "/new"


@app.get("/page", response_class=HTMLResponse)
def page() -> str:
    return "<p>"


class Odd(Response):
    media_type = "text/odd"

    def __init__(self, content: Any, background: Any = None) -> None:
        super().__init__(content, background=background)


@app.get("/odd", response_class=Odd)
def odd():
    return b""


@app.get("/names", response_model_by_alias=False)
def names() -> Item:
    return Item(name="")


@app.post("/xml")
def xml(document: Annotated[str, Body(media_type="application/xml")]):
    return document


@app.get("/two", dependencies=[Depends(get_lock), Depends(get_files)])
def two():
    return None


app.get("/builtin")(object)


@app.delete("/items/{item_id}", status_code=204)
def delete_item(item_id: int, session: Annotated[Session, Depends()]) -> None:
    pass


@router.get("/{user_id}")
def read_user(user_id: str):
    return user_id


@router.get("/me")
def read_me():
    return "me"


app.include_router(router)
app.mount("/{n}/in", WerkzeugResponse("in"))
app.mount("/legacy", WerkzeugResponse("legacy"))
app.add_api_route("/legacy/late", read_me)
