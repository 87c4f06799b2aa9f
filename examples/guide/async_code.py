"""The programs of the guide to async code."""

# ruff: noqa: D102
from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Annotated

from wsgibg import App, BackgroundTasks, Depends

app = App()
lines: list[str] = []


# --8<-- [start:gather]
async def fetch(name: str) -> str:
    await asyncio.sleep(0.01)  # stands for a call over the network
    return name.upper()


@app.get("/both")
async def both() -> list[str]:
    return await asyncio.gather(fetch("first"), fetch("second"))


# --8<-- [end:gather]


# --8<-- [start:mixed]
class Client:
    """Stands for a client with connections that belong to one event loop."""

    async def send(self, line: str) -> None:
        await asyncio.sleep(0)
        lines.append(line)

    async def aclose(self) -> None:
        lines.append("closed")


async def get_client() -> AsyncIterator[Client]:
    client = Client()
    yield client
    await client.aclose()


async def notify(line: str) -> None:
    await Client().send(line)


@app.post("/messages")
def post_message(background_tasks: BackgroundTasks) -> str:
    background_tasks.add_task(notify, "from a plain handler")
    return "accepted"


@app.put("/messages")
async def put_message(client: Annotated[Client, Depends(get_client)]) -> str:
    await client.send("from an async handler")
    return "sent"


# --8<-- [end:mixed]


# --8<-- [start:threads]
@app.get("/lent")
async def lent() -> str:
    return threading.current_thread().name  # no await: the server's own thread


@app.get("/hop")
async def hop() -> str:
    await asyncio.sleep(0)
    return threading.current_thread().name  # the loop's thread


# --8<-- [end:threads]


def read_slowly() -> str:
    return threading.current_thread().name


# --8<-- [start:blocking]
@app.get("/slow")
async def slow() -> str:
    return await asyncio.to_thread(read_slowly)  # not read_slowly(): that would stop the loop


# --8<-- [end:blocking]
