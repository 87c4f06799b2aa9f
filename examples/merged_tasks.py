"""A dependency and a handler both add tasks: they run in the order in which they were added."""

import os
from typing import Annotated

from wsgibg import App, BackgroundTasks, Depends

app = App()


def write_line(line: str) -> None:
    with open(os.environ.get("LENDING_JOURNAL", "journal.txt"), "a") as journal:
        journal.write(line + "\n")


def library_card(card: int, background_tasks: BackgroundTasks) -> int:
    background_tasks.add_task(write_line, f"card {card} was shown")
    return card


@app.post("/loans/{book}")
def lend(
    book: str, card: Annotated[int, Depends(library_card)], background_tasks: BackgroundTasks
) -> dict[str, str]:
    background_tasks.add_task(write_line, f"{book} was lent on card {card}")
    return {"message": f"Enjoy {book}"}
