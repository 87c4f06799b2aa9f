"""A handler returns a response that brings one task along."""

import os

from wsgibg import App, BackgroundTask
from wsgibg.responses import PlainTextResponse

app = App()


def make_thumbnail(picture: str, width: int) -> None:
    with open(os.environ.get("THUMBNAILS", "thumbnails.txt"), "a") as thumbnails:
        thumbnails.write(f"{picture}, {width} pixels wide\n")


@app.put("/pictures/{picture}")
def put_picture(picture: str) -> PlainTextResponse:
    task = BackgroundTask(make_thumbnail, picture, width=120)
    return PlainTextResponse("The thumbnail will follow", status_code=202, background=task)
