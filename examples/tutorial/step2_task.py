"""Step 2: work that is left for after the response."""

import time

from wsgibg import App, BackgroundTasks, ThreadExecutor

app = App(executor=ThreadExecutor())


def send_mail(to: str, subject: str) -> None:
    time.sleep(2)  # a mail server takes its time
    print(f"mail to {to}: {subject}", flush=True)


@app.post("/orders/{customer}")
def place_order(customer: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(send_mail, customer, subject="your order")
    return {"message": "accepted"}


if __name__ == "__main__":
    from werkzeug.serving import run_simple

    run_simple("127.0.0.1", 8000, app, threaded=True)
