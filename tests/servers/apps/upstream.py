"""An application that asks another server, with one client for all requests and tasks."""

from __future__ import annotations

import os

import httpx
from evidence import note

from wsgibg import App, BackgroundTasks

app = App()

# Made once, when the module is loaded. It belongs to the event loop that first uses it, so this
# works because there is only one.
client = httpx.AsyncClient(base_url=os.environ["UPSTREAM"], timeout=20)


@app.get("/ready")
async def ready() -> bool:
    return True


async def tell(job: str, what: str) -> None:
    answer = await client.get("/tell", params={"what": what})
    note(job, f"told {answer.text}")


@app.get("/ask")
async def ask(job: str, what: str, tasks: BackgroundTasks) -> str:
    answer = await client.get("/ask", params={"what": what})
    tasks.add_task(tell, job, what)
    return answer.text
