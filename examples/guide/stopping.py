"""Guide "Stopping": an application for a server that dies of SIGTERM itself."""

from wsgibg import App, BackgroundTasks, ThreadExecutor

# --8<-- [start:install]
app = App(executor=ThreadExecutor())
app.install_signal_handlers()
# --8<-- [end:install]


@app.post("/count/{number}")
def count(number: int, background_tasks: BackgroundTasks):
    background_tasks.add_task(print, "counted", number, flush=True)
    return {"accepted": number}
