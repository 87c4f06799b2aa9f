"""Coverage-guided requests, by hand: ``tox -e fuzz``, or ``tox -e fuzz -- -max_total_time=3600``.

What follows ``--`` are libFuzzer's options; a directory among them is the corpus, which grows. A
request that is answered by a 5xx, tells the client about us or loses a task stops the run, and is
written to a file, which can be given instead of the corpus to see it again.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import atheris

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

with atheris.instrument_imports(include=["wsgibg"]):
    from tests.test_bad_input import JSON, ROUTES, acceptable, assert_no_task_is_lost, serving

METHODS = ["GET", "POST", "HEAD", "OPTIONS", "X"]
KINDS = [JSON, "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
FIELDS = ["QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_HOST", "HTTP_COOKIE"]
FIELDS += ["HTTP_X_TOKEN", "HTTP_X_LIST", "HTTP_TRANSFER_ENCODING", "SCRIPT_NAME", "SERVER_PORT"]

SERVED = serving(max_content_length=10_000)


def latin(source: Any, size: int) -> str:
    """Text as a server hands it on (PEP 3333)."""
    return str(source.ConsumeBytes(size).decode("latin-1"))


def one_request(data: bytes) -> None:
    """Make a request of some bytes, send it, look at the answer."""
    source = atheris.FuzzedDataProvider(data)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": source.PickValueInList(METHODS),
        "CONTENT_TYPE": source.PickValueInList(KINDS),
    }
    path = source.PickValueInList(ROUTES)
    if source.ConsumeBool():
        path += latin(source, 20)
    for _ in range(source.ConsumeIntInRange(0, 3)):
        environ[source.PickValueInList(FIELDS)] = latin(source, 40)
    if source.ConsumeBool():
        environ["wsgi.input_terminated"] = True
    body = source.ConsumeBytes(source.remaining_bytes())
    acceptable(SERVED.ask(path, body, **environ), 200, 307, *range(400, 500))
    assert_no_task_is_lost(SERVED)
    del SERVED.events[:], SERVED.added[:], SERVED.ran[:]


if __name__ == "__main__":
    logging.disable(logging.WARNING)  # a dropped task is no news here
    atheris.Setup(sys.argv, one_request)
    atheris.Fuzz()
