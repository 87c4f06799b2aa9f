"""A handler adds a task: the client has its answer, then the notification is written."""

import os
import time

from wsgibg import App, BackgroundTasks

app = App()


def write_notification(email: str, message: str = "") -> None:
    time.sleep(0.2)  # a mail server takes its time
    with open(os.environ.get("NOTIFICATION_LOG", "log.txt"), "a") as log:
        log.write(f"notification for {email}: {message}\n")


@app.post("/send-notification/{email}")
def send_notification(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(write_notification, email, message="welcome")
    return {"message": "Notification sent in the background"}
