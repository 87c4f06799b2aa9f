"""Tasks that are tried again, and tasks that may not take long."""

import asyncio
import time

from wsgibg import App, BackgroundTasks, ThreadExecutor, current_task, task

app = App(executor=ThreadExecutor(workers=4))
lines = []


# --8<-- [start:retries]
@task(retries=3, backoff=0.1, retry_on=(OSError, TimeoutError))
def send_mail(to: str):
    attempt = current_task().attempt
    if attempt < 3:
        raise ConnectionError(f"the mail server is away ({attempt})")
    lines.append(f"mail to {to} in attempt {attempt}")


@app.post("/orders")
def order(email: str, background_tasks: BackgroundTasks):
    background_tasks.add_task(send_mail, email)
    return {"ordered": True}


# --8<-- [end:retries]


# --8<-- [start:call]
@app.post("/orders/important")
def order_important(email: str, background_tasks: BackgroundTasks):
    background_tasks.add_task(send_mail.with_options(retries=10), email)
    return {"ordered": True}


# --8<-- [end:call]


# --8<-- [start:async]
@task(timeout=0.2)
async def ask_slow_service():
    try:
        await asyncio.sleep(60)
    finally:
        lines.append("cancelled")


# --8<-- [end:async]


# --8<-- [start:sync]
@task(timeout=0.2)
def resize_all(pictures: int):
    for number in range(pictures):
        if current_task().cancelled:
            lines.append(f"gave up after {number} of {pictures}")
            return
        time.sleep(0.05)  # the work on one picture


# --8<-- [end:sync]


@app.post("/slow")
def slow(background_tasks: BackgroundTasks):
    background_tasks.add_task(ask_slow_service)
    background_tasks.add_task(resize_all, 100)
    return {"started": True}
