"""The README's program: the client is answered at once, the mail goes out two seconds later."""

from time import sleep

from werkzeug.serving import run_simple

from wsgibg import App, BackgroundTasks

app = App()


def send_mail(email: str) -> None:
    sleep(2)
    print("mail sent to", email, flush=True)


@app.post("/signup/{email}")
def signup(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(send_mail, email)
    return {"message": "welcome"}


run_simple("127.0.0.1", 8000, app, threaded=True)
