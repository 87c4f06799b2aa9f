"""What `wrap` costs a request that adds no task: `python -m benchmarks.wrapping`.

Each kind of body is served bare, inside a `ClosingIterator` of Werkzeug's with one callback, and
inside `wrap`, in turns and in one run; stated is what the two add to the bare request, as minimum
and median. The bytes are iterated and the body is closed, as a server does.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from io import BytesIO
from time import perf_counter
from typing import Any

from werkzeug.wsgi import ClosingIterator, FileWrapper

from wsgibg import wrap

App = Callable[[dict[str, Any], Callable[..., None]], Any]


class Body:
    """An iterator of a class of somebody's own, with one chunk."""

    def __init__(self) -> None:
        self.left = 1

    def __iter__(self) -> Body:
        return self

    def __next__(self) -> bytes:
        if not self.left:
            raise StopIteration
        self.left = 0
        return b"hello"

    def close(self) -> None:
        """Have nothing to close."""


def _generated() -> Any:
    yield b"hello"


#: By their names, what makes the bodies; those a server may treat in a way of its own come first.
BODIES: dict[str, Callable[[], Any]] = {
    "list": lambda: [b"hello"],
    "file wrapper": lambda: FileWrapper(BytesIO(b"hello")),
    "generator": _generated,
    "class of one's own": Body,
    "ClosingIterator (Flask's)": lambda: ClosingIterator([b"hello"], _nothing),
}


def _nothing(*_: object) -> None:
    pass


def _app(body: Callable[[], Any]) -> App:
    def app(environ: dict[str, Any], start_response: Callable[..., None]) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return body()

    return app


def _closing(app: App) -> App:
    return lambda environ, start_response: ClosingIterator(app(environ, start_response), [_nothing])


def serve(app: App, count: int) -> float:
    """The microseconds that a request takes."""
    begun = perf_counter()
    for _ in range(count):
        body = app({"REQUEST_METHOD": "GET"}, _nothing)
        for _chunk in body:
            pass
        if hasattr(body, "close"):
            body.close()
    return (perf_counter() - begun) / count * 1e6


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--count", type=int, default=3_000, help="requests in each round")
    options = parser.parse_args()
    print("| body | bare µs | ClosingIterator adds | `wrap` adds | ratio | ratio of medians |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, body in BODIES.items():
        bare = _app(body)
        ways = {"bare": bare, "closing": _closing(bare), "wrap": wrap(bare)}
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(options.rounds):
            for way, app in ways.items():
                times[way].append(serve(app, options.count))
        least = {way: min(each) for way, each in times.items()}
        middle = {way: statistics.median(each) for way, each in times.items()}
        closing, wrapped = least["closing"] - least["bare"], least["wrap"] - least["bare"]
        medians = (middle["wrap"] - middle["bare"]) / (middle["closing"] - middle["bare"])
        print(
            f"| {name} | {least['bare']:.2f} | {closing:.2f} | {wrapped:.2f}"
            f" | {wrapped / closing:.2f} | {medians:.2f} |"
        )


if __name__ == "__main__":
    main()
