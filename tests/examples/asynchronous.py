"""The examples once more, with `async def` wherever there can be one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

from wsgibg import App, BackgroundTask, BackgroundTasks, Depends
from wsgibg.responses import PlainTextResponse

send_notification = App()
merged_tasks = App()
response_background = App()


def write_now(variable: str, line: str) -> None:
    with Path(os.environ[variable]).open("a", encoding="utf-8") as log:
        log.write(f"{line}\n")


async def write(variable: str, line: str) -> None:
    await asyncio.to_thread(write_now, variable, line)


@send_notification.post("/send-notification/{email}")
async def send(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(write, "NOTIFICATION_LOG", f"notification for {email}: welcome")
    return {"message": "Notification sent in the background"}


async def library_card(card: int, background_tasks: BackgroundTasks) -> AsyncIterator[int]:
    background_tasks.add_task(write, "LENDING_JOURNAL", f"card {card} was shown")
    yield card
    await asyncio.sleep(0)


@merged_tasks.post("/loans/{book}")
async def lend(
    book: str, card: Annotated[int, Depends(library_card)], background_tasks: BackgroundTasks
) -> dict[str, str]:
    await asyncio.sleep(0)
    background_tasks.add_task(write, "LENDING_JOURNAL", f"{book} was lent on card {card}")
    return {"message": f"Enjoy {book}"}


@response_background.put("/pictures/{picture}")
async def put_picture(picture: str) -> PlainTextResponse:
    task = BackgroundTask(write, "THUMBNAILS", line=f"{picture}, 120 pixels wide")
    return PlainTextResponse("The thumbnail will follow", status_code=202, background=task)
