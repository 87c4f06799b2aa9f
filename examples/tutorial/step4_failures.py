"""Step 4: what becomes of the tasks when the request, or one of them, fails."""

import logging

from wsgibg import App, BackgroundTasks, HTTPException, TaskEvent, task

app = App()
log = logging.getLogger("shop")


def reserve(item: str) -> None:
    log.info("reserved %s", item)


def send_mail(to: str) -> None:
    raise ConnectionError(f"no mail server for {to}")


@task(when="always")
def audit(line: str) -> None:
    log.info("audit: %s", line)


@app.post("/orders/{customer}/{item}")
def place_order(customer: str, item: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(audit, f"{customer} orders {item}")
    background_tasks.add_task(send_mail, customer)
    background_tasks.add_task(reserve, item)
    if item == "unicorn":
        raise HTTPException(404, detail="No such item")
    return {"message": "accepted"}


@app.on_task
def watch(event: TaskEvent) -> None:
    if event.kind not in ("added", "started"):
        log.info("%s %s", event.task.name, event.kind)


if __name__ == "__main__":
    from werkzeug.serving import run_simple

    logging.basicConfig(level=logging.INFO)
    run_simple("127.0.0.1", 8000, app, threaded=True)
