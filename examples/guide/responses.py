"""The programs of the guide to requests, responses and errors."""

# ruff: noqa: ARG001, D101
from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from wsgibg import App, HTTPException, Request, Response, status
from wsgibg.responses import FileResponse, JSONResponse, RedirectResponse, StreamingResponse

app = App()


# --8<-- [start:model]
class User(BaseModel):
    name: str
    password: str


class PublicUser(BaseModel):
    name: str


@app.post("/users", status_code=status.HTTP_201_CREATED)
def create_user(user: User) -> PublicUser:
    return PublicUser(name=user.name)


# --8<-- [end:model]


# --8<-- [start:injected]
@app.get("/cached")
def cached(response: Response) -> dict[str, str]:
    response.headers["Cache-Control"] = "max-age=60"
    response.set_cookie("seen", "yes", httponly=True)
    return {"message": "the same for a minute"}


# --8<-- [end:injected]


# --8<-- [start:classes]
@app.get("/old")
def old() -> RedirectResponse:
    return RedirectResponse("/cached")


@app.get("/rows")
def rows() -> StreamingResponse:
    def generate() -> Iterator[str]:
        for number in range(3):
            yield f"{number}\n"

    return StreamingResponse(generate(), media_type="text/csv")


@app.get("/source")
def source() -> FileResponse:
    return FileResponse(__file__, filename="source.py")


# --8<-- [end:classes]


# --8<-- [start:request]
@app.post("/echo")
def echo(request: Request) -> dict[str, object]:
    return {"method": request.method, "path": request.url.path, "body": request.get_json()}


@app.post("/profile")
async def profile(request: Request) -> dict[str, object]:
    async with request.form() as form:  # closes the files in the end
        picture = form["picture"]
        return {"name": form["name"], "file": picture.filename, "size": picture.size}


# --8<-- [end:request]


# --8<-- [start:errors]
class OutOfStock(Exception):
    def __init__(self, item: str) -> None:
        self.item = item


@app.exception_handler(OutOfStock)
def out_of_stock(request: Request, exc: OutOfStock) -> JSONResponse:
    return JSONResponse({"sold_out": exc.item}, status_code=409)


@app.get("/items/{item}")
def read_item(item: str) -> dict[str, str]:
    if item == "tea":
        raise OutOfStock(item)
    if item == "unicorn":
        raise HTTPException(404, detail="No such item", headers={"X-Hint": "try tea"})
    return {"item": item}


# --8<-- [end:errors]
